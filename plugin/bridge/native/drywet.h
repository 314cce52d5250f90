// The plugin's output: the worker's where it is there, else the input, late by the same latency.
#pragma once

#include <deque>
#include <vector>

#include "protocol.h"
#include "worker.h"

namespace stembridge {

// Where in the stream the worker's output is good.
struct Extent {
    int64_t sound_from = 0;            // the first sound, or the next sample if there was none yet
    int64_t wet_from = 0;              // the worker has seen enough of the input from here on
    int64_t gap_from = 0, gap_to = 0;  // samples that it was not given; its output is silence there

    bool in_gap(int64_t position) const { return position >= gap_from && position < gap_to; }
    bool silent(int64_t position) const { return position < sound_from || in_gap(position); }
};

class DryWet {
public:
    // latency: of the output, in samples. ahead: how much of it is the worker's head start.
    void configure(double sample_rate, int channels, int outputs, int64_t latency, int64_t ahead);
    bool configured() const { return !dry_[0].empty(); }
    // A stream begins at `origin`: forget what was before.
    void begin(int64_t origin, bool bypassed);
    // Keep the input from `position` on, at most kPiece samples.
    void take(const float* const* inputs, int64_t position, int length);
    // Switch the bypass when the input at `position` is heard.
    void bypass(int64_t position, bool on) { switches_.push_back({position + latency_, on}); }
    // The output from `position` on, as much as was taken. outputs: the channels of the first output, then those of the
    // next; a null is not wanted. All outputs but the first and the last are silent where they are dry, so that they
    // still sum to the first. False if any of it is dry by mistake.
    bool render(const Worker& worker, const Extent& extent, int64_t position, float* const* outputs, int length);
    // No sample of the last block was dry or fading.
    bool wet() const { return wetness_ == 1; }
    // Nor is there a fade: it is all wet, or all bypassed.
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
    std::deque<Switch> switches_;           // of the bypass, at output positions
    bool bypassed_ = false, fading_out_ = false;
    double wetness_ = 1, step_ = 1;  // crossfade between dry, 0, and wet, 1
    std::vector<float> gap_;         // wet minus dry at the last sample that was there wet
};

}  // namespace stembridge
