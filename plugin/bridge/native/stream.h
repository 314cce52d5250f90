// A stream of audio through the worker, in step to the sample whatever becomes of it.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "drywet.h"
#include "follower.h"
#include "report.h"
#include "supervisor.h"

namespace stembridge {

// Whether the worker makes the sound. The texts are in controller.cpp.
enum class Status { running, starting, dry, failed };

class Stream {
public:
    explicit Stream(const Descriptor& descriptor);

    // Call before audio flows. Starts a worker in the background, and waits for it only if the latency is not known
    // otherwise; in real time not for long. `realtime` decides the latency; each block has its own mode.
    void configure(double sample_rate, int channels, int longest_block, bool realtime);
    // Forget all audio. The next block's parameters at offset 0 act at once, without a glide.
    void reset() { fresh_ = true, project_time_.reset(); }
    // The same where the host starts to play or jumps: the next block is at that position of its project, in samples. The
    // sound is then what it would be if the worker had got the project's sound from its start.
    void reset_at(int64_t project_time) { fresh_ = true, project_time_ = project_time; }
    // Plain values of all parameters, for when they changed outside a block. Any thread.
    void set_values(const std::vector<double>& values);
    // A null input is silence; inputs may be outputs. outputs: as for DryWet::render. moves: sorted by offset,
    // with those of the bypass. False if any of it went out dry by mistake.
    bool process(const float* const* inputs, float* const* outputs, int length, const std::vector<Move>& moves,
                 Mode mode);

    int64_t latency() const { return latency_; }
    int64_t tail() const { return tail_; }  // as Worker::tail
    Status status() const;                  // during the last block
    const std::vector<double>& meters() const { return supervisor_.worker().meters(); }
    // Play the input without the latency, for when that is not known.
    void pass_through(const float* const* inputs, float* const* outputs, int channels, int length) const;

private:
    bool find_latency(Latency* latency);
    void take_values(const std::vector<Move>& moves);
    void begin_afresh(const std::vector<Move>& moves);
    void process_piece(const Piece& piece);
    void keep_worker(const Piece& piece);

    const Descriptor& descriptor_;
    const int bypass_;   // index of that parameter
    const int outputs_;  // how many
    Report report_;
    Supervisor supervisor_;
    Follower follower_;
    DryWet dry_wet_;

    double sample_rate_ = 0;
    int channels_ = 0, longest_block_ = 0;
    bool realtime_ = false;            // as set up
    int64_t ring_ = kShortestRing;     // of the worker, in samples
    int64_t latency_ = 0, ahead_ = 0;  // ahead: the head start the worker has in real time, part of the latency
    int64_t tail_ = -1;

    bool fresh_ = true;                    // no block since the reset
    std::optional<int64_t> project_time_;  // of the first block after the reset
    int64_t position_ = 0;                 // of the next sample; never goes back
    int64_t origin_ = 0;                   // of the first sample since the reset
    bool went_dry_ = false;
    std::vector<double> values_;  // of all parameters, at position_
    std::vector<Move> handed_;
    std::vector<float*> outputs_at_;  // where the current piece goes

    std::atomic<bool> values_changed_{false};
    std::vector<std::atomic<double>> new_values_;
};

}  // namespace stembridge
