#include "transport.h"

#include <cmath>

namespace stembridge {

namespace {

constexpr double kToleranceSamples = 2;  // hosts that play faster or slower round positions
constexpr double kMaxSpeed = 16;         // no host plays faster
constexpr double kSecondsInMinute = 60;

// Whether the block begins at the start of a loop that the host plays, give or take `samples`.
bool begins_loop(const vst3::ProcessContext& context, double samples) {
    constexpr uint32_t needed =
        vst3::kCycleActive | vst3::kCycleValid | vst3::kProjectTimeMusicValid | vst3::kTempoValid;
    if ((context.state & needed) != needed) return false;
    double quarters = context.projectTimeMusic - context.cycleStartMusic;
    return std::abs(quarters) * kSecondsInMinute / context.tempo * context.sampleRate <= samples;
}

}  // namespace

bool Transport::jumps(const vst3::ProcessContext* context, int32_t length) {
    bool playing = context && (context->state & vst3::kPlaying), starts = playing && !playing_;
    playing_ = playing;
    if (!playing) return false;
    int64_t position = context->projectTimeSamples;
    if (!starts && position == position_) {  // a host that cuts its blocks may give all parts the same position
        length_ += length;
        return false;
    }
    double moved = static_cast<double>(position - position_), played = static_cast<double>(length_);
    auto as_fast_as = [&](double speed) { return std::abs(moved - speed * played) <= kToleranceSamples; };
    bool jumps = starts || !(as_fast_as(1) || as_fast_as(speed_));
    if (jumps && !starts && begins_loop(*context, played + kToleranceSamples)) jumps = false;
    // A jump may have been a change of speed, which the next block shows.
    bool possible = !starts && played > 0 && std::abs(moved) <= kMaxSpeed * played;
    speed_ = possible ? moved / played : 1;
    position_ = position;
    length_ = length;
    return jumps;
}

}  // namespace stembridge
