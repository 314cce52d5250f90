// The plugin's output: that of the worker if it is ready, otherwise the input with the same latency.
#pragma once

#include <deque>
#include <vector>

#include "protocol.h"
#include "worker.h"

namespace stembridge {

// The parts of the stream in which the worker's output is valid.
struct Extent {
    int64_t sound_from = 0;            // the first sound, or the next sample if there was none yet
    int64_t wet_from = 0;              // from here on the worker has received enough input
    int64_t gap_from = 0, gap_to = 0;  // input that it did not receive; its output is silent there

    bool in_gap(int64_t position) const { return position >= gap_from && position < gap_to; }
    bool silent(int64_t position) const { return position < sound_from || in_gap(position); }
};

class DryWet {
public:
    // latency: of the output, in samples. ahead: the worker's head start, a part of the latency.
    void configure(double sample_rate, int channels, int outputs, int64_t latency, int64_t ahead);
    bool configured() const { return !dry_[0].empty(); }
    // Begin a stream at `origin`, and forget everything before.
    void begin(int64_t origin, bool bypassed);
    // Store the input from `position` on, at most kPiece samples.
    void take(const float* const* inputs, int64_t position, int length);
    // Switch the bypass at the time when the input at `position` is heard.
    void bypass(int64_t position, bool on) { switches_.push_back({position + latency_, on}); }
    // Write the output from `position` on, as many samples as were stored. outputs: the channels of the first output,
    // then those of the next; null for channels that the host does not use. Where the sound is dry, all outputs except
    // the first and the last are silent, so that they still sum to the first. Returns false if a sample is dry by
    // mistake.
    bool render(const Worker& worker, const Extent& extent, int64_t position, float* const* outputs, int length);
    // Returns whether no sample of the last block was dry or fading.
    bool wet() const { return wetness_ == 1; }
    // Returns whether there is no fade: all is wet, or all is bypassed.
    bool settled() const { return !fading_out_ && wetness_ == (bypassed_ ? 0 : 1); }

private:
    struct Switch {
        int64_t position;
        bool on;
    };

    bool render_wet(const Worker& worker, const Extent& extent, int64_t position, float* const* outputs, int length);
    float dry(int index, int64_t position) const;

    int channels_ = 0, outputs_ = 0;
    int64_t latency_ = 0, ahead_ = 0, origin_ = 0;
    std::vector<float> dry_[kMaxChannels];  // rings of the input
    std::deque<Switch> switches_;           // switches of the bypass, at output positions
    bool bypassed_ = false, fading_out_ = false;
    double wetness_ = 1, step_ = 1;  // crossfade from dry, 0, to wet, 1
    std::vector<float> gap_;         // wet minus dry at the last sample with wet sound
};

}  // namespace stembridge
