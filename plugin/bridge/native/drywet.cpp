#include "drywet.h"

#include <algorithm>
#include <cstring>

namespace stembridge {

namespace {

constexpr double kFadeS = 0.005;  // length of the crossfade between dry and wet

}  // namespace

void DryWet::configure(double sample_rate, int channels, int outputs, int64_t latency, int64_t ahead) {
    channels_ = channels, outputs_ = outputs, latency_ = latency, ahead_ = ahead;
    step_ = std::min(1.0, 1 / (kFadeS * sample_rate));
    for (auto& ring : dry_) ring.assign(static_cast<size_t>(power_of_two(latency + kPiece)), 0.0f);
    gap_.assign(static_cast<size_t>(outputs * channels), 0.0f);
}

void DryWet::begin(int64_t origin, bool bypassed) {
    origin_ = origin;
    switches_.clear();
    bypassed_ = bypassed;
    wetness_ = bypassed ? 0 : 1;
    fading_out_ = false;
    std::fill(gap_.begin(), gap_.end(), 0.0f);
}

void DryWet::take(const float* const* inputs, int64_t position, int length) {
    for (int c = 0; c < channels_; c++) {
        int64_t mask = static_cast<int64_t>(dry_[c].size()) - 1, at = position & mask;
        int64_t first = std::min<int64_t>(length, mask + 1 - at);
        std::memcpy(&dry_[c][at], inputs[c], first * sizeof(float));
        std::memcpy(&dry_[c][0], inputs[c] + first, (length - first) * sizeof(float));
    }
}

// index: of the channel among those of all outputs.
float DryWet::dry(int index, int64_t position) const {
    int output = index / channels_;
    if (position < origin_ || (output > 0 && output < outputs_ - 1)) return 0;
    const std::vector<float>& ring = dry_[index % channels_];
    return ring[position & (static_cast<int64_t>(ring.size()) - 1)];
}

bool DryWet::render(const Worker& worker, const Extent& extent, int64_t start, float* const* outputs, int length) {
    if (render_wet(worker, extent, start, outputs, length)) return true;
    int64_t until = worker.started() ? worker.done() : extent.wet_from;
    bool missing = false;
    for (int i = 0; i < length; i++) {
        int64_t position = start + i;
        for (; !switches_.empty() && switches_.front().position <= position; switches_.pop_front())
            bypassed_ = switches_.front().on;
        int64_t theirs = position - ahead_;
        bool silent = extent.silent(theirs), there = silent || (theirs >= extent.wet_from && theirs < until);
        if (!there) {
            missing |= !bypassed_;
            fading_out_ = true;
        } else if (wetness_ == 0) {
            fading_out_ = false;
        }
        double target = bypassed_ || fading_out_ ? 0 : 1;
        wetness_ += std::clamp(target - wetness_, -step_, step_);
        for (int k = 0; k < outputs_ * channels_; k++) {
            if (!outputs[k]) continue;
            float dry = this->dry(k, position - latency_);
            float wet = !there || silent ? 0 : *worker.output(k / channels_, k % channels_, theirs);
            // If wet samples for the fade-out are missing, keep the last difference between wet and dry until the fade
            // ends. A jump back to the true difference would click.
            if (!fading_out_) gap_[k] = wet - dry;
            outputs[k][i] = wetness_ == 1 ? wet : wetness_ == 0 ? dry : dry + static_cast<float>(wetness_) * gap_[k];
        }
    }
    return !missing;
}

// The usual case, quickly: all of it is there and nothing fades. False if it is another case.
bool DryWet::render_wet(const Worker& worker, const Extent& extent, int64_t start, float* const* outputs, int length) {
    int64_t from = start - ahead_;
    bool still = wetness_ == 1 && !fading_out_ && !bypassed_ &&
                 (switches_.empty() || switches_.front().position >= start + length);
    if (!still || !worker.started() || from < std::max(extent.sound_from, extent.wet_from)) return false;
    if (from + length > worker.done() || (from < extent.gap_to && from + length > extent.gap_from)) return false;
    int64_t first = std::min<int64_t>(length, worker.ring() - (from & (worker.ring() - 1)));
    for (int k = 0; k < outputs_ * channels_; k++) {
        if (!outputs[k]) continue;
        int output = k / channels_, channel = k % channels_;
        std::memcpy(outputs[k], worker.output(output, channel, from), first * sizeof(float));
        std::memcpy(outputs[k] + first, worker.output(output, channel, from + first), (length - first) * sizeof(float));
        gap_[k] = outputs[k][length - 1] - dry(k, start + length - 1 - latency_);
    }
    return true;
}

}  // namespace stembridge
