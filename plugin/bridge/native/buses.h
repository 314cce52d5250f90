// The audio buses, and the samples in them, whatever the host's format.
#pragma once

#include <string>
#include <vector>

#include "protocol.h"
#include "vst3.h"

namespace stembridge {

class Buses {
public:
    // others: names of the outputs besides the main one.
    explicit Buses(const std::vector<std::string>& others) : others_(others), active_(others.size()) {}

    int count(int32_t direction) const { return direction == vst3::kInput ? 1 : 1 + shown(); }
    // Offer the main output only.
    void hide_others() { hidden_ = true; }
    vst3::Result info(int32_t direction, int32_t index, vst3::BusInfo* bus) const;
    vst3::Result activate(int32_t direction, int32_t index, bool on);
    vst3::Result arrange(const vst3::SpeakerArrangement* ins, int32_t count_in, const vst3::SpeakerArrangement* outs,
                         int32_t count_out);
    vst3::SpeakerArrangement arrangement(int32_t direction) const {
        return (direction == vst3::kInput ? channels_ : output_channels_) == 1 ? vst3::kMono : vst3::kStereo;
    }

    int channels() const { return channels_; }  // of the input, and so of the sound inside
    // A block as the stream takes it: false if the host gave no place for the main output.
    bool take(const vst3::ProcessData& data);
    const float* const* inputs() const { return inputs_; }  // null where there is silence, or no input
    float* const* outputs() const {
        return outputs_.data();
    }  // the channels of one output after the other; null if not wanted
    // The block's output to where the host wants it, and whether it is silent.
    void give(const vst3::ProcessData& data) const;

private:
    int shown() const { return hidden_ ? 0 : static_cast<int>(others_.size()); }
    float* scratch(size_t index, int32_t length) { return scratch_.data() + index * length; }

    const std::vector<std::string>& others_;
    std::vector<bool> active_;  // of the others
    bool hidden_ = false;
    int channels_ = 2, output_channels_ = 2;
    const float* inputs_[kMaxChannels] = {};
    std::vector<float*> outputs_;
    std::vector<float> scratch_;  // for 64-bit samples
};

}  // namespace stembridge
