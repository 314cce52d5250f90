#include "stream.h"

#include <algorithm>
#include <cstring>

namespace stembridge {

namespace {

constexpr int kHeldUp = 2;      // rings have room for so many times what a worker has to do in time
constexpr double kWait = 0.75;  // of a block's time that a call in real time may wait for the worker
constexpr int64_t kMillisecond = 1'000'000;
constexpr int kPrefetchWait = 4;                            // times as long for a prefetched block
constexpr int64_t kLeastPrefetchWait = 250 * kMillisecond;  // but at least this long
constexpr int64_t kLongestLoad = 10'000 * kMillisecond;     // in real time, for a latency that only the worker knows

bool is_silent(const float* samples, int length) {
    return samples == kSilence || std::all_of(samples, samples + length, [](float sample) { return sample == 0; });
}

}  // namespace

Stream::Stream(const Descriptor& descriptor)
    : descriptor_(descriptor),
      bypass_(static_cast<int>(descriptor.parameters.size()) - 1),
      outputs_(1 + static_cast<int>(descriptor.outputs.size())),
      report_(descriptor.name),
      supervisor_(descriptor, report_),
      follower_(supervisor_, report_, bypass_),
      outputs_at_(outputs_ * kMaxChannels),
      new_values_(descriptor.parameters.size()) {
    for (const Parameter& parameter : descriptor.parameters) values_.push_back(parameter.initial);
    set_values(values_);
    handed_.reserve(kMaxMoves);
}

void Stream::configure(double sample_rate, int channels, int longest_block, bool realtime) {
    supervisor_.leave_if_forked();
    supervisor_.take_started();
    Worker& worker = supervisor_.worker();
    bool same_sound = sample_rate == sample_rate_ && channels == channels_;
    bool same = same_sound && realtime == realtime_ && (longest_block == longest_block_ || !realtime);
    bool there = same_sound && (supervisor_.starting() || worker.ready());
    bool told = worker.ready() ? worker.latency() + ahead_ == latency_ : dry_wet_.configured();
    if (same && there && told) return;
    if (!same) supervisor_.forget_failures();  // what failed before was another case
    sample_rate_ = sample_rate, channels_ = channels, longest_block_ = longest_block, realtime_ = realtime;
    fresh_ = true;
    follower_.lose_step();
    report_.set_time(0);
    if (!there && supervisor_.may_start()) supervisor_.start(sample_rate, channels);
    Latency latency;
    if (!find_latency(&latency)) return;
    ahead_ = !realtime ? 0 : latency.hop > 0 ? latency.hop : longest_block;
    ahead_ = std::min(ahead_, kLongestRing / 2 - kPiece);
    latency_ = latency.samples + ahead_;
    tail_ = latency.tail;
    ring_ = realtime ? power_of_two(kHeldUp * (ahead_ + kPiece)) : kShortestRing;
    dry_wet_.configure(sample_rate, channels, outputs_, latency_, ahead_);
    follower_.configure(channels, latency_, ahead_, ring_);
}

// From the worker if it is ready, else from the descriptor, else wait for the worker.
bool Stream::find_latency(Latency* latency) {
    auto known = descriptor_.latencies.find(sample_rate_);
    if (!supervisor_.worker().ready() && known != descriptor_.latencies.end()) {
        *latency = known->second;
        return true;
    }
    supervisor_.wait_for_start(realtime_ ? now_ns() + kLongestLoad : 0);
    const Worker& worker = supervisor_.worker();
    if (!worker.ready()) {
        report_.dry(supervisor_.starting() ? "its process is still starting" : worker.error(), true);
        return false;
    }
    *latency = {worker.latency(), worker.hop(), worker.tail()};
    return true;
}

void Stream::set_values(const std::vector<double>& values) {
    for (size_t i = 0; i < values.size(); i++) new_values_[i].store(values[i], std::memory_order_relaxed);
    values_changed_.store(true, std::memory_order_release);
}

bool Stream::process(const float* const* inputs, float* const* outputs, int length, const std::vector<Move>& moves,
                     Mode mode) {
    if (supervisor_.leave_if_forked()) {
        follower_.lose_step();
        if (!fresh_) report_.dry("this process is a fork and starts one of its own");
    }
    if (length == 0) {
        take_values(moves);
        return true;
    }
    if (!dry_wet_.configured()) {  // never knew a latency
        report_.dry(supervisor_.worker().error(), true);
        pass_through(inputs, outputs, channels_, length);
        return false;
    }
    went_dry_ = false;
    if (fresh_) begin_afresh(moves);
    bool all_outputs = std::any_of(outputs + channels_, outputs + outputs_ * channels_, [](float* out) { return out; });
    for (int start = 0, next = 0; start < length;) {
        int size = std::min(kPiece, length - start);
        auto patience = static_cast<int64_t>(1e9 * kWait * size / sample_rate_);
        if (mode == Mode::prefetch) patience = std::max(kPrefetchWait * patience, kLeastPrefetchWait);
        int64_t deadline_ns = now_ns() + patience;
        handed_.clear();
        if (start == 0 && values_changed_.exchange(false, std::memory_order_acquire))
            for (int i = 0; i <= bypass_; i++)
                if (new_values_[i] != values_[i]) handed_.push_back({0, i, new_values_[i]});
        for (; next < static_cast<int>(moves.size()) && moves[next].offset < start + size; next++)
            handed_.push_back({std::max(0, moves[next].offset - start), moves[next].parameter, moves[next].value});
        const float* in[kMaxChannels];
        bool silent = true;
        for (int c = 0; c < channels_; c++) {
            in[c] = inputs[c] ? inputs[c] + start : kSilence;
            silent = silent && is_silent(in[c], size);
        }
        for (int k = 0; k < outputs_ * channels_; k++) outputs_at_[k] = outputs[k] ? outputs[k] + start : nullptr;
        process_piece({in, position_, size, handed_.data(), static_cast<int>(handed_.size()), mode, deadline_ns,
                       all_outputs, silent});
        start += size;
    }
    return !went_dry_;
}

void Stream::pass_through(const float* const* inputs, float* const* outputs, int channels, int length) const {
    for (int k = outputs_ * channels - 1; k >= 0; k--) {  // the first output may be where the input is
        if (!outputs[k]) continue;
        const float* input = k < channels || k >= (outputs_ - 1) * channels ? inputs[k % channels] : nullptr;
        if (input) std::memmove(outputs[k], input, length * sizeof(float));
        else std::fill_n(outputs[k], length, 0.0f);
    }
}

// A call without audio: its values are those of the next block.
void Stream::take_values(const std::vector<Move>& moves) {
    for (const Move& move : moves) new_values_[move.parameter].store(move.value, std::memory_order_relaxed);
    if (!moves.empty()) values_changed_.store(true, std::memory_order_release);
}

// What is set before the first sample acts from it on, without a glide or a fade.
void Stream::begin_afresh(const std::vector<Move>& moves) {
    fresh_ = false;
    position_ = (position_ + ring_ - 1) & ~(ring_ - 1);  // blocks of a power of two then lie in the ring in one piece
    origin_ = position_;
    if (values_changed_.exchange(false, std::memory_order_acquire))
        for (size_t i = 0; i < values_.size(); i++) values_[i] = new_values_[i];
    for (const Move& move : moves)
        if (move.offset <= 0) values_[move.parameter] = move.value;
    // Hosts that compensate for latency send their project's start when the position is as far before it.
    std::optional<int64_t> hops_from;
    if (project_time_) hops_from = origin_ - (*project_time_ + latency_);
    follower_.begin(origin_, hops_from);
    dry_wet_.begin(origin_, values_[bypass_] >= 0.5);
    report_.wet();
}

void Stream::process_piece(const Piece& piece) {
    report_.set_time(static_cast<double>(position_ - origin_) / sample_rate_);
    follower_.hear(piece);
    keep_worker(piece);
    dry_wet_.take(piece.inputs, position_, piece.length);
    follower_.give(piece);
    for (int i = 0; i < piece.count; i++) {
        const Move& move = piece.moves[i];
        values_[move.parameter] = move.value;
        if (move.parameter == bypass_) dry_wet_.bypass(position_ + move.offset, move.value >= 0.5);
    }
    went_dry_ |=
        !dry_wet_.render(supervisor_.worker(), follower_.extent(), position_, outputs_at_.data(), piece.length);
    if (dry_wet_.wet()) report_.wet();
    position_ += piece.length;
}

Status Stream::status() const {
    if (supervisor_.starting()) return Status::starting;
    if (!supervisor_.worker().alive()) return Status::failed;
    return went_dry_ ? Status::dry : Status::running;
}

// Get a worker that follows the stream, if possible; in real time without waiting.
void Stream::keep_worker(const Piece& piece) {
    if (supervisor_.starting()) {
        if (piece.offline()) supervisor_.wait_for_start(0);
        else supervisor_.take_started();
        if (supervisor_.starting() && follower_.heard()) report_.dry("its process is still starting");
        if (supervisor_.starting()) return;
    }
    if (supervisor_.worker().ready() && !follower_.in_step()) follower_.follow(piece, values_);
    if (supervisor_.worker().ready()) return;
    if (!piece.offline() || !supervisor_.may_start()) report_.dry(supervisor_.worker().error(), true);
    if (!supervisor_.may_start()) return;
    supervisor_.start(sample_rate_, channels_);
    if (!piece.offline()) return;
    supervisor_.wait_for_start(0);
    if (supervisor_.worker().ready()) follower_.follow(piece, values_);
}

}  // namespace stembridge
