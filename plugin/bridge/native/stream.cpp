#include "stream.h"

#include <algorithm>
#include <cstring>
#include <system_error>
#include <thread>

namespace stembridge {

namespace {

constexpr double kWait = 0.75;  // of a block's time that a call in real time may wait for the worker
constexpr int64_t kMillisecond = 1'000'000;
constexpr int kPrefetchWait = 4;                            // times as long for a prefetched block
constexpr int64_t kLeastPrefetchWait = 250 * kMillisecond;  // but at least this long
constexpr double kFadeOver = 0.02;                          // seconds from one model to another

bool is_silent(const float* samples, int length) {
    return samples == kSilence || std::all_of(samples, samples + length, [](float sample) { return sample == 0; });
}

}  // namespace

struct Stream::Farewell {
    std::unique_ptr<Engine> engine;
    std::atomic<bool> over{false};
    std::thread thread;

    ~Farewell() {
        if (thread.joinable()) thread.join();
    }
};

Stream::Stream(const Descriptor& descriptor)
    : descriptor_(descriptor),
      bypass_(static_cast<int>(descriptor.parameters.size()) - 1),
      outputs_(1 + static_cast<int>(descriptor.outputs.size())),
      engine_(std::make_unique<Engine>(descriptor, descriptor.models[0])),
      faded_at_(outputs_ * kMaxChannels),
      outputs_at_(outputs_ * kMaxChannels),
      playing_(&descriptor.models[0]),
      new_values_(descriptor.parameters.size()) {
    for (const Parameter& parameter : descriptor.parameters) values_.push_back(parameter.initial);
    set_values(values_);
    handed_.reserve(kMaxMoves);
}

Stream::~Stream() { leave_if_forked(); }

void Stream::configure(const Setup& setup) {
    leave_if_forked();
    setup_ = setup;
    bool changed = false;
    if (next_ && &next_->model() != &chosen()) part_with(std::move(next_));
    if (make_next()) {
        next_->configure(setup, 0, true);
        // The stream begins again. The old engine plays until the next one is ready, if it can have the same latency.
        bool goes_on =
            setup.realtime && engine_->ready() && !next_->ready() && engine_->can_be_late(setup, next_->latency());
        if (next_->configured() && !goes_on) take_over(), changed = true;
    }
    bool waits = next_ && next_->configured();
    changed |= engine_->configure(setup, waits ? next_->latency() : 0, true);
    fresh_ |= changed;
    show_latency();
}

// Returns whether there is an engine for a chosen model that does not play yet. It is made if needed.
bool Stream::make_next() {
    if (!next_ && &engine_->model() != &chosen()) {
        next_ = std::make_unique<Engine>(descriptor_, chosen());
        next_->stand_by(true);
    }
    return next_ != nullptr;
}

// In the middle of a stream, get an engine for the chosen model, and let it join the stream.
void Stream::follow_choice(bool offline) {
    if (farewell_ && (offline || farewell_->over)) farewell_.reset();
    if (farewell_ || fading_) return;
    if (next_ && &next_->model() != &chosen()) {
        part_with(std::move(next_));
        if (!offline) return;
    }
    if (!make_next() || next_->configured()) return;
    next_->configure(setup_, 0, offline);
    if (next_->configured() && !fresh_) next_->join(position_, hops_from_, values_[bypass_] >= 0.5);
}

void Stream::take_over() {
    part_with(std::move(engine_));
    engine_ = std::move(next_);
    engine_->stand_by(false);
    fading_ = false, fade_ = 0;
}

void Stream::part_with(std::unique_ptr<Engine> engine) {
    farewell_ = std::make_unique<Farewell>();  // waits for the last one
    farewell_->engine = std::move(engine);
    try {
        farewell_->thread = std::thread([farewell = farewell_.get()] {
            use_ordinary_scheduling();
            farewell->engine.reset();
            farewell->over = true;
        });
    } catch (const std::system_error&) {  // the system refuses a thread
        farewell_.reset();
    }
}

void Stream::show_latency() {
    playing_ = &engine_->model();
    latency_ = engine_->latency();
    tail_ = engine_->tail();
}

int64_t Stream::latency() const {
    if (playing_ == &chosen()) return latency_;
    return Engine::known_latency(chosen(), setup_).value_or(latency_);
}

// Another process has the workers, and the threads are there.
void Stream::leave_if_forked() {
    bool left = engine_->leave_if_forked();
    if (next_) next_->leave_if_forked();
    if (left) (void)farewell_.release();
}

void Stream::set_values(const std::vector<double>& values) {
    for (size_t i = 0; i < values.size(); i++) new_values_[i].store(values[i], std::memory_order_relaxed);
    values_changed_.store(true, std::memory_order_release);
}

bool Stream::process(const float* const* inputs, float* const* outputs, int length, const std::vector<Move>& moves,
                     Mode mode) {
    leave_if_forked();
    if (length == 0) {
        take_values(moves);
        return true;
    }
    int channels = setup_.channels;
    if (!engine_->configured()) {  // its latency was never known
        engine_->report_no_latency();
        pass_through(inputs, outputs, channels, length);
        return false;
    }
    went_dry_ = false;
    follow_choice(mode == Mode::offline);
    if (fresh_) begin_afresh(moves, mode == Mode::offline);
    bool all_outputs = std::any_of(outputs + channels, outputs + outputs_ * channels, [](float* out) { return out; });
    for (int start = 0, next = 0; start < length;) {
        int size = std::min(kPiece, length - start);
        auto patience = static_cast<int64_t>(1e9 * kWait * size / setup_.sample_rate);
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
        for (int c = 0; c < channels; c++) {
            in[c] = inputs[c] ? inputs[c] + start : kSilence;
            silent = silent && is_silent(in[c], size);
        }
        for (int k = 0; k < outputs_ * channels; k++) outputs_at_[k] = outputs[k] ? outputs[k] + start : nullptr;
        process_piece({in, position_, size, handed_.data(), static_cast<int>(handed_.size()), mode, deadline_ns,
                       all_outputs, silent});
        start += size;
    }
    return !went_dry_;
}

void Stream::pass_through(const float* const* inputs, float* const* outputs, int channels, int length) const {
    for (int k = outputs_ * channels - 1; k >= 0; k--) {  // the first output may share its memory with the input
        if (!outputs[k]) continue;
        const float* input = k < channels || k >= (outputs_ - 1) * channels ? inputs[k % channels] : nullptr;
        if (input) std::memmove(outputs[k], input, length * sizeof(float));
        else std::fill_n(outputs[k], length, 0.0f);
    }
}

// Handles a call without audio: its values are those of the next block.
void Stream::take_values(const std::vector<Move>& moves) {
    for (const Move& move : moves) new_values_[move.parameter].store(move.value, std::memory_order_relaxed);
    if (!moves.empty()) values_changed_.store(true, std::memory_order_release);
}

// Values that are set before the first sample act from it on, without a glide or a fade.
void Stream::begin_afresh(const std::vector<Move>& moves, bool offline) {
    fresh_ = false;
    if (next_ && offline) next_->wait_for_start();
    if (next_ && next_->configured() && next_->ready()) take_over(), show_latency();
    fading_ = false, fade_ = 0;
    // Then blocks of a power of two are in one piece in every engine's ring.
    position_ = (position_ + kLongestRing - 1) & ~(kLongestRing - 1);
    origin_ = position_;
    if (values_changed_.exchange(false, std::memory_order_acquire))
        for (size_t i = 0; i < values_.size(); i++) values_[i] = new_values_[i];
    for (const Move& move : moves)
        if (move.offset <= 0) values_[move.parameter] = move.value;
    bool bypassed = values_[bypass_] >= 0.5;
    for (Engine* engine : {engine_.get(), next_.get()}) {
        if (!engine || !engine->configured()) continue;
        // Hosts that compensate for latency send their project's start when the position is earlier by the latency.
        std::optional<int64_t> hops_from;
        if (project_time_) hops_from = origin_ - (*project_time_ + engine->latency());
        engine->begin(origin_, hops_from, bypassed);
        hops_from_ = hops_from.value_or(origin_);
    }
}

void Stream::process_piece(const Piece& piece) {
    double seconds = static_cast<double>(position_ - origin_) / setup_.sample_rate;
    bool has_next = next_ && next_->configured();
    engine_->take(piece, seconds, values_);
    if (has_next) next_->take(piece, seconds, values_);
    for (int i = 0; i < piece.count; i++) {
        const Move& move = piece.moves[i];
        values_[move.parameter] = move.value;
        if (move.parameter != bypass_) continue;
        engine_->bypass(position_ + move.offset, move.value >= 0.5);
        if (has_next) next_->bypass(position_ + move.offset, move.value >= 0.5);
    }
    went_dry_ |= !engine_->render(position_, outputs_at_.data(), piece.length);
    if (has_next) fade_over(piece.length);
    position_ += piece.length;
}

// Fade to the next engine once it is in step.
void Stream::fade_over(int length) {
    size_t channels = static_cast<size_t>(outputs_) * setup_.channels;
    faded_.resize(channels * length);
    for (size_t k = 0; k < channels; k++) faded_at_[k] = outputs_at_[k] ? &faded_[k * length] : nullptr;
    bool there = next_->render(position_, faded_at_.data(), length);
    if (!fading_) {
        fading_ = next_->in_step();
        return;
    }
    went_dry_ |= !there;
    double step = std::min(1.0, 1 / (kFadeOver * setup_.sample_rate)), start = fade_;
    for (size_t k = 0; k < channels; k++) {
        fade_ = start;
        for (int i = 0; i < length; i++) {
            fade_ = std::min(1.0, fade_ + step);
            if (!outputs_at_[k]) continue;
            float old = outputs_at_[k][i];
            outputs_at_[k][i] =
                fade_ == 1 ? faded_at_[k][i] : old + static_cast<float>(fade_) * (faded_at_[k][i] - old);
        }
    }
    if (fade_ == 1) take_over(), show_latency();
}

Status Stream::status() const {
    if (engine_->starting()) return Status::starting;
    if (!engine_->alive()) return Status::failed;
    if (went_dry_) return Status::dry;
    if (!next_) return Status::running;
    return next_->failing() ? Status::other_model : Status::changing;
}

}  // namespace stembridge
