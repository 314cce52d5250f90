// One model at work: its process, how that follows the stream, and the output in step.
#pragma once

#include <optional>
#include <vector>

#include "drywet.h"
#include "follower.h"
#include "report.h"
#include "supervisor.h"

namespace stembridge {

// What a host sets up before audio flows.
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
    // Get ready for a setup, in which the output is at least so many samples late. Starts a process in the background. If
    // only the process knows the latency, wait for it, if `wait`; in real time not for long. True if what was there
    // before is of no use any more: the stream must begin afresh.
    bool configure(const Setup& setup, int64_t least_latency, bool wait);
    bool configured() const { return dry_wet_.configured(); }
    // Whether configure() can make the output exactly so many samples late. The worker must be ready.
    bool can_be_late(const Setup& setup, int64_t latency) const;
    // The latency in samples that it would have, if that is known without a process.
    static std::optional<int64_t> known_latency(const Model& model, const Setup& setup);
    // A stream begins: see Follower::begin.
    void begin(int64_t origin, std::optional<int64_t> hops_from, bool bypassed);
    // Go along with a stream from `position` on: see Follower::join.
    void join(int64_t position, int64_t hops_from, bool bypassed);
    // Another engine plays, and this one is to take over.
    void stand_by(bool on) { report_.stand_by(on ? model_.name : ""); }

    // Keep a process at work, and give it the piece. seconds: since the stream began. values: of all parameters, before
    // the piece.
    void take(const Piece& piece, double seconds, const std::vector<double>& values);
    void bypass(int64_t position, bool on) { dry_wet_.bypass(position, on); }
    // As DryWet::render, of the piece just taken.
    bool render(int64_t position, float* const* outputs, int length);
    // Say why the latency is not known.
    void report_no_latency() { report_.dry(supervisor_.worker().error(), true); }

    int64_t latency() const { return latency_; }  // in samples
    int64_t tail() const { return tail_; }        // as Worker::tail
    bool starting() const { return supervisor_.starting(); }
    bool alive() const { return supervisor_.worker().alive(); }
    bool ready() const { return supervisor_.worker().ready(); }
    bool failing() const { return !ready() && supervisor_.failing(); }
    void wait_for_start() { supervisor_.wait_for_start(0); }
    // Its output is there, without a fade, for a stream that another engine plays.
    bool in_step() const { return ready() && (follower_.in_step() || !follower_.heard()) && dry_wet_.settled(); }
    const std::vector<double>& meters() const { return supervisor_.worker().meters(); }
    // In a fork of the process, leave its worker alone. fresh: as the stream has not begun, nothing is dry.
    bool leave_if_forked(bool fresh);

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
};

}  // namespace stembridge
