// One running model: its process, which follows the stream, and its output.
#pragma once

#include <optional>
#include <vector>

#include "drywet.h"
#include "follower.h"
#include "report.h"
#include "supervisor.h"

namespace stembridge {

// The settings of a host before audio is processed.
struct Setup {
    double sample_rate = 0;  // Hz
    int channels = 0, longest_block = 0;
    bool realtime = false;  // decides the latency; each block has its own mode

    bool sounds_like(const Setup& other) const {
        return sample_rate == other.sample_rate && channels == other.channels;
    }
    bool operator==(const Setup& other) const {
        return sounds_like(other) && realtime == other.realtime && (longest_block == other.longest_block || !realtime);
    }
};

class Engine {
public:
    Engine(const Descriptor& descriptor, const Model& model);

    const Model& model() const { return model_; }
    // Prepare for a setup in which the output is at least so many samples late. Starts a process in the background. If
    // only the process knows the latency and `wait` is set, wait for it, in real time not for long. Returns true if the
    // stream must begin again.
    bool configure(const Setup& setup, int64_t least_latency, bool wait);
    bool configured() const { return dry_wet_.configured(); }
    // Returns whether configure() can make the output exactly so many samples late. The worker must be ready.
    bool can_be_late(const Setup& setup, int64_t latency) const;
    // Returns its latency in samples, if that is known without a process.
    static std::optional<int64_t> known_latency(const Model& model, const Setup& setup);
    // Begin a stream, see Follower::begin.
    void begin(int64_t origin, std::optional<int64_t> hops_from, bool bypassed);
    // Join a stream at `position`, see Follower::join.
    void join(int64_t position, int64_t hops_from, bool bypassed);
    // Wait to take over from another engine, which plays.
    void stand_by(bool on) { report_.stand_by(on ? model_.name : ""); }

    // Keep a process running, and send it the piece. seconds: since the stream began. values: of all parameters before
    // the piece.
    void take(const Piece& piece, double seconds, const std::vector<double>& values);
    void bypass(int64_t position, bool on) { dry_wet_.bypass(position, on); }
    // Write the output of the last piece, see DryWet::render.
    bool render(int64_t position, float* const* outputs, int length);
    // Report why the latency is not known.
    void report_no_latency() { report_.dry(supervisor_.worker().error(), true); }

    int64_t latency() const { return latency_; }  // in samples
    int64_t tail() const { return tail_; }        // see Worker::tail
    bool starting() const { return supervisor_.starting(); }
    bool alive() const { return supervisor_.worker().alive(); }
    bool ready() const { return supervisor_.worker().ready(); }
    bool failing() const { return !ready() && supervisor_.failing(); }
    void wait_for_start() { supervisor_.wait_for_start(0); }
    // Returns whether its output is ready, without a fade, for a stream that another engine plays.
    bool in_step() const { return ready() && (follower_.in_step() || !follower_.heard()) && dry_wet_.settled(); }
    const std::vector<double>& meters() const { return supervisor_.worker().meters(); }
    // In a fork of the process, leave its worker alone.
    bool leave_if_forked();

private:
    bool find_latency(Latency* latency, bool wait);
    void keep_worker(const Piece& piece, const std::vector<double>& values);

    const Descriptor& descriptor_;
    const Model& model_;
    Report report_;
    Supervisor supervisor_;
    Follower follower_;
    DryWet dry_wet_;

    Setup setup_;
    int64_t least_latency_ = 0;
    int64_t latency_ = 0, ahead_ = 0;  // ahead: the head start that the worker has, part of the latency
    int64_t tail_ = -1;
    bool forked_ = false;  // the worker was left in the middle of a stream, which is dry if it goes on
};

}  // namespace stembridge
