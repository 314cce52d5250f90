#include "buses.h"

#include <algorithm>

#include "text.h"

namespace stembridge {

using namespace vst3;

namespace {

void* channel_of(const AudioBusBuffers& bus, int channel, bool wide) {
    if (channel >= bus.numChannels) return nullptr;
    if (wide) return bus.channelBuffers64 ? bus.channelBuffers64[channel] : nullptr;
    return bus.channelBuffers32 ? bus.channelBuffers32[channel] : nullptr;
}

// Fill a bus whose first `made` channels are there: others repeat the last of them up to `wanted`, or are silent.
template <typename Sample>
void complete(AudioBusBuffers& bus, Sample** channels, int made, int wanted, int32_t length) {
    bus.silenceFlags = 0;
    for (int c = 0; channels && c < bus.numChannels; c++) {
        if (!channels[c]) continue;
        if (c >= made && c < wanted && made > 0) std::copy_n(channels[made - 1], length, channels[c]);
        else if (c >= made) std::fill_n(channels[c], length, Sample{0});
        bool silent = std::all_of(channels[c], channels[c] + length, [](Sample sample) { return sample == 0; });
        if (silent) bus.silenceFlags |= uint64_t{1} << c;
    }
}

}  // namespace

Result Buses::info(int32_t direction, int32_t index, BusInfo* bus) const {
    if (index < 0 || index >= count(direction)) return kInvalidArgument;
    int channels = direction == kInput ? channels_ : output_channels_;
    *bus = {kAudio, direction, channels, {}, index == 0 ? kMain : kAux, index == 0 ? kDefaultActive : 0};
    copy(direction == kInput ? "Input" : index == 0 ? "Output" : others_[index - 1], bus->name);
    return kResultOk;
}

Result Buses::activate(int32_t direction, int32_t index, bool on) {
    if (index < 0 || index >= count(direction)) return kInvalidArgument;
    if (index > 0) active_[index - 1] = on;
    return kResultOk;
}

Result Buses::arrange(const SpeakerArrangement* ins, int32_t count_in, const SpeakerArrangement* outs,
                      int32_t count_out) {
    if (count_in != 1 || count_out < 1 || count_out > count(kOutput)) return kResultFalse;
    bool known = (ins[0] == kMono && outs[0] == kMono) || (ins[0] == kMono && outs[0] == kStereo) ||
                 (ins[0] == kStereo && outs[0] == kStereo);
    // For a bus that is not in use, hosts may give no channels.
    bool alike = std::all_of(outs + 1, outs + count_out, [&](auto out) { return out == outs[0] || out == kEmpty; });
    if (!known || !alike) return kResultFalse;
    channels_ = ins[0] == kMono ? 1 : 2;
    output_channels_ = outs[0] == kMono ? 1 : 2;
    return kResultOk;
}

bool Buses::take(const ProcessData& data) {
    bool wide = data.symbolicSampleSize == kSample64;
    int32_t length = data.numSamples;
    size_t outputs = 1 + others_.size();
    outputs_.assign(outputs * channels_, nullptr);
    if (wide) scratch_.resize((1 + outputs) * channels_ * length);
    for (int c = 0; c < channels_; c++) {
        inputs_[c] = nullptr;
        void* input = data.numInputs > 0 ? channel_of(data.inputs[0], c, wide) : nullptr;
        if (!input || (data.inputs[0].silenceFlags >> c & 1)) continue;
        inputs_[c] = static_cast<float*>(input);
        if (!wide) continue;
        std::copy_n(static_cast<double*>(input), length, scratch(c, length));
        inputs_[c] = scratch(c, length);
    }
    for (size_t k = 0; k < outputs && k < static_cast<size_t>(data.numOutputs); k++) {
        for (int c = 0; c < channels_ && (k == 0 || active_[k - 1]); c++) {
            void* output = channel_of(data.outputs[k], c, wide);
            if (!output && k == 0) return false;
            size_t at = k * channels_ + c;
            if (output) outputs_[at] = wide ? scratch(channels_ + at, length) : static_cast<float*>(output);
        }
    }
    return true;
}

void Buses::give(const ProcessData& data) const {
    for (int k = 0; k < data.numOutputs; k++) {
        AudioBusBuffers& bus = data.outputs[k];
        int made = 0;
        for (; made < channels_ && k <= static_cast<int>(others_.size()); made++) {
            const float* output = outputs_[k * channels_ + made];
            if (!output) break;
            if (data.symbolicSampleSize == kSample64) std::copy_n(output, data.numSamples, bus.channelBuffers64[made]);
        }
        if (data.symbolicSampleSize == kSample64)
            complete(bus, bus.channelBuffers64, made, output_channels_, data.numSamples);
        else complete(bus, bus.channelBuffers32, made, output_channels_, data.numSamples);
    }
}

}  // namespace stembridge
