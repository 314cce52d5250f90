#include "stream.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace stembridge {

namespace {

constexpr int kPiece = kShortestRing;      // samples worked on at a time
constexpr int kHeldUp = 2;                 // rings have room for so many times what a worker has to do in time
constexpr double kFade = 0.005;           // seconds between dry and wet
constexpr double kWait = 0.75;            // of a block's time that a call in real time may wait for the worker
constexpr int64_t kMillisecond = 1'000'000;
constexpr int64_t kProvenTime = 10'000 * kMillisecond;  // a worker that lived so long, or
constexpr double kProvenAudio = 1;                      // was given so many seconds of sound, is in no crash loop
constexpr int64_t kSaidAgain = 1000 * kMillisecond;
constexpr int64_t kFirstPause = 500 * kMillisecond, kLongestPause = 30'000 * kMillisecond;

int64_t power_of_two(int64_t least) {
    int64_t power = 1;
    while (power < least) power *= 2;
    return power;
}

}  // namespace

struct Stream::Restart {
    std::unique_ptr<Worker> worker;
    std::atomic<bool> finished{false};
    std::thread thread;

    ~Restart() {
        if (thread.joinable()) thread.join();
    }
};

Stream::Stream(const Descriptor& descriptor)
    : descriptor_(descriptor),
      bypass_(static_cast<int>(descriptor.parameters.size()) - 1),
      worker_(std::make_unique<Worker>(descriptor)),
      owner_(process_id()),
      new_values_(descriptor.parameters.size()) {
    for (const Parameter& parameter : descriptor.parameters) values_.push_back(parameter.initial);
    set_values(values_);
}

Stream::~Stream() {
    if (process_id() != owner_) disown();
}

void Stream::configure(double sample_rate, int channels, int longest_block, bool realtime) {
    if (process_id() != owner_) disown();
    if (restart_) {
        restart_->thread.join();
        keep_worker();
    }
    bool same = sample_rate == sample_rate_ && channels == channels_ && realtime == realtime_ &&
                (longest_block == longest_block_ || !realtime);
    if (same && worker_->alive()) return;
    if (!same) failures_ = 0, not_before_ns_ = 0;  // what failed before was another case
    sample_rate_ = sample_rate, channels_ = channels, longest_block_ = longest_block, realtime_ = realtime;
    step_ = std::min(1.0, 1 / (kFade * sample_rate));
    fresh_ = true;
    in_step_ = false;
    if (!worker_->alive() && !may_start()) return;
    if (!worker_->configure(sample_rate, channels, realtime)) {
        report(worker_->error());
        count_failure();
        return;
    }
    ahead_ = !realtime ? 0 : worker_->hop() > 0 ? worker_->hop() : longest_block;
    ahead_ = std::min(ahead_, kLongestRing / 2 - kPiece);
    latency_ = worker_->latency() + ahead_;
    ring_ = realtime ? power_of_two(kHeldUp * (ahead_ + kPiece)) : kShortestRing;
    for (auto& ring : dry_) ring.assign(static_cast<size_t>(power_of_two(latency_ + kPiece)), 0.0f);
    handed_.reserve(kMaxMoves);
}

void Stream::set_values(const std::vector<double>& values) {
    for (size_t i = 0; i < values.size(); i++) new_values_[i].store(values[i], std::memory_order_relaxed);
    values_changed_.store(true, std::memory_order_release);
}

bool Stream::process(const float* const* inputs, float* const* outputs, int length, const std::vector<Move>& moves) {
    if (process_id() != owner_) {
        disown();
        if (!fresh_) report("this process is a fork and starts one of its own");
    }
    if (length == 0) {
        take_values(moves);
        return true;
    }
    if (dry_[0].empty()) {  // never knew a latency: what comes in goes out
        report(worker_->error());
        for (int c = 0; c < channels_; c++) std::memmove(outputs[c], inputs[c], length * sizeof(float));
        return false;
    }
    went_dry_ = false;
    if (fresh_) begin_afresh(moves);
    for (int start = 0, next = 0; start < length;) {
        int size = std::min(kPiece, length - start);
        deadline_ns_ = now_ns() + static_cast<int64_t>(1e9 * kWait * size / sample_rate_);
        handed_.clear();
        if (start == 0 && values_changed_.exchange(false, std::memory_order_acquire))
            for (int i = 0; i <= bypass_; i++)
                if (new_values_[i] != values_[i]) handed_.push_back({0, i, new_values_[i]});
        for (; next < static_cast<int>(moves.size()) && moves[next].offset < start + size; next++)
            handed_.push_back({std::max(0, moves[next].offset - start), moves[next].parameter, moves[next].value});
        const float* in[kMaxChannels];
        float* out[kMaxChannels];
        for (int c = 0; c < channels_; c++) in[c] = inputs[c] + start, out[c] = outputs[c] + start;
        process_piece(in, out, size, handed_.data(), static_cast<int>(handed_.size()));
        start += size;
    }
    return !went_dry_;
}

// A call without audio: its values are those of the next block.
void Stream::take_values(const std::vector<Move>& moves) {
    for (const Move& move : moves) new_values_[move.parameter].store(move.value, std::memory_order_relaxed);
    if (!moves.empty()) values_changed_.store(true, std::memory_order_release);
}

// What is set before the first sample acts from it on, without a glide or a fade.
void Stream::begin_afresh(const std::vector<Move>& moves) {
    fresh_ = false;
    in_step_ = false;
    position_ = (position_ + ring_ - 1) & ~(ring_ - 1);  // blocks of a power of two then lie in the ring in one piece
    origin_ = position_;
    switches_.clear();
    if (values_changed_.exchange(false, std::memory_order_acquire))
        for (size_t i = 0; i < values_.size(); i++) values_[i] = new_values_[i];
    for (const Move& move : moves)
        if (move.offset <= 0) values_[move.parameter] = move.value;
    bypassed_ = values_[bypass_] >= 0.5;
    wetness_ = bypassed_ ? 0 : 1;
    fading_out_ = false;
    reported_ = false;
    std::fill(std::begin(gap_), std::end(gap_), 0.0f);
}

void Stream::process_piece(const float* const* inputs, float* const* outputs, int length, const Move* moves,
                           int count) {
    keep_worker();
    for (int c = 0; c < channels_; c++) {
        int64_t mask = static_cast<int64_t>(dry_[c].size()) - 1, at = position_ & mask;
        int64_t first = std::min<int64_t>(length, mask + 1 - at);
        std::memcpy(&dry_[c][at], inputs[c], first * sizeof(float));
        std::memcpy(&dry_[c][0], inputs[c] + first, (length - first) * sizeof(float));
    }
    if (in_step_ && !hand_over(inputs, length, moves, count)) in_step_ = false;
    for (int i = 0; i < count; i++) apply(moves[i]);
    render(outputs, length);
    position_ += length;
}

void Stream::apply(const Move& move) {
    values_[move.parameter] = move.value;
    if (move.parameter == bypass_) switches_.push_back({position_ + move.offset + latency_, move.value >= 0.5});
}

// Have a worker that follows the stream, if it can be had: without blocking in real time.
void Stream::keep_worker() {
    if (restart_) {
        if (!restart_->finished) return;
        worker_ = std::move(restart_->worker);
        restart_.reset();
        if (!worker_->alive()) count_failure();
    }
    if (worker_->alive() && !in_step_) follow();
    if (worker_->alive()) return;
    if (!may_start()) {
        report(worker_->error());
        return;
    }
    if (realtime_) {
        report(worker_->error());
        restart_ = std::make_unique<Restart>();
        restart_->worker = std::move(worker_);
        worker_ = std::make_unique<Worker>(descriptor_);  // stands in until then
        restart_->thread = std::thread([restart = restart_.get(), this] {
            restart->worker->configure(sample_rate_, channels_, realtime_);
            restart->finished = true;
        });
    } else if (worker_->configure(sample_rate_, channels_, realtime_)) {
        follow();
    } else {
        report(worker_->error());
        count_failure();
    }
}

// Let the worker begin here, once it has answered all it was given before.
void Stream::follow() {
    if (worker_->latency() + ahead_ != latency_) return;  // not what the host reckons with: wait for the next setup
    Worker::Answer answer = worker_->wait(worker_->sent(), now_ns());
    if (answer == Worker::Answer::never) count_failure();  // and nothing is dry yet
    if (answer == Worker::Answer::late) report("it has not yet done what it was given before");
    if (answer != Worker::Answer::in_time) return;
    std::vector<double> values(values_.begin(), values_.end() - 1);
    in_step_ = worker_->reset(position_, ring_, values);
    followed_from_ = position_;
    // At the beginning silence went before; later on its first output would have needed input it has not seen.
    wet_from_ = position_ == origin_ ? origin_ : position_ + worker_->latency();
}

bool Stream::hand_over(const float* const* inputs, int length, const Move* moves, int count) {
    // Who has not even done what was due at the last call is not waited for: the host's thread has other work.
    bool awaited = !realtime_ || worker_->wait(position_ - ahead_, now_ns()) == Worker::Answer::in_time;
    for (int start = 0, next = 0; start < length;) {
        int64_t position = position_ + start;
        int64_t size = std::min<int64_t>(length - start, worker_->ring() - (position & (worker_->ring() - 1)));
        if (realtime_) size = std::min(size, until_work(position));
        int taken = take_packet(moves, count, start, &next, &size);
        if (position + size - worker_->done() > worker_->ring()) {
            report("it fell behind");
            return false;
        }
        for (int c = 0; c < channels_; c++)
            std::memcpy(worker_->input(c, position), inputs[c] + start, size * sizeof(float));
        bool sent = worker_->process(position, static_cast<int>(size), packet_, taken);
        Worker::Answer answer = Worker::Answer::in_time;
        if (!sent) answer = worker_->wait(worker_->sent(), now_ns());
        else if (!realtime_) answer = worker_->wait(position + size, 0);
        if (answer == Worker::Answer::never) lose_worker();
        else if (!sent) report("it fell behind");
        if (!sent || answer == Worker::Answer::never) return false;
        start += static_cast<int>(size);
    }
    if (!realtime_) return true;
    Worker::Answer answer = worker_->wait(position_ + length - ahead_, awaited ? deadline_ns_ : now_ns());
    if (answer == Worker::Answer::never) lose_worker();
    if (answer == Worker::Answer::late) report("it did not answer in time");
    return answer != Worker::Answer::never;
}

// The moves of `size` samples from `start` on into packet_, from moves[*next] on; fewer samples if they are too many.
int Stream::take_packet(const Move* moves, int count, int start, int* next, int64_t* size) {
    int taken = 0;
    for (; *next < count && moves[*next].offset < start + *size; ++*next) {
        const Move& move = moves[*next];
        if (move.parameter == bypass_) continue;
        if (taken == kMaxMoves) {
            *size = std::max(move.offset - start, 1);
            break;
        }
        packet_[taken++] = {std::max(move.offset - start, 0), move.parameter, move.value};
    }
    while (taken > 0 && packet_[taken - 1].offset >= *size) taken--;
    while (*next > 0 && moves[*next - 1].offset >= start + *size) --*next;
    return taken;
}

// In real time blocks end just before the sample that completes a hop and makes work: what is there without that work is
// not held up by it, however the host cuts its blocks.
int64_t Stream::until_work(int64_t position) const {
    int64_t hop = worker_->hop();
    return hop > 0 ? hop - (position - followed_from_ + 1) % hop : ahead_;
}

float Stream::dry(int channel, int64_t position) const {
    if (position < origin_) return 0;
    return dry_[channel][position & (static_cast<int64_t>(dry_[channel].size()) - 1)];
}

void Stream::render(float* const* outputs, int length) {
    if (render_wet(outputs, length)) return;
    int64_t until = worker_->started() ? worker_->done() : wet_from_;
    for (int i = 0; i < length; i++) {
        int64_t position = position_ + i;
        for (; !switches_.empty() && switches_.front().position <= position; switches_.pop_front())
            bypassed_ = switches_.front().on;
        int64_t theirs = position - ahead_;
        bool silent = theirs < origin_, there = silent || (theirs >= wet_from_ && theirs < until);
        if (!there) {
            went_dry_ |= !bypassed_;
            fading_out_ = true;
        } else if (wetness_ == 0) {
            fading_out_ = false;
        }
        double target = bypassed_ || fading_out_ ? 0 : 1;
        wetness_ += std::clamp(target - wetness_, -step_, step_);
        for (int c = 0; c < channels_; c++) {
            float dry = this->dry(c, position - latency_);
            float wet = !there || silent ? 0 : *worker_->output(c, theirs);
            // Where there is no wet sample to fade out with, the last one's distance from the dry one stands for it, to
            // the fade's end: a jump back to the true distance would click.
            if (!fading_out_) gap_[c] = wet - dry;
            outputs[c][i] = wetness_ == 1 ? wet : wetness_ == 0 ? dry : dry + static_cast<float>(wetness_) * gap_[c];
        }
    }
    if (wetness_ == 1) reported_ = false;
}

// The usual case, quickly: all of it is there and nothing fades. False if it is another case.
bool Stream::render_wet(float* const* outputs, int length) {
    int64_t from = position_ - ahead_;
    bool still = wetness_ == 1 && !fading_out_ && !bypassed_ &&
                 (switches_.empty() || switches_.front().position >= position_ + length);
    if (!still || !worker_->started() || from < std::max(origin_, wet_from_) || from + length > worker_->done())
        return false;
    int64_t first = std::min<int64_t>(length, worker_->ring() - (from & (worker_->ring() - 1)));
    for (int c = 0; c < channels_; c++) {
        std::memcpy(outputs[c], worker_->output(c, from), first * sizeof(float));
        std::memcpy(outputs[c] + first, worker_->output(c, from + first), (length - first) * sizeof(float));
        gap_[c] = outputs[c][length - 1] - dry(c, position_ + length - 1 - latency_);
    }
    reported_ = false;
    return true;
}

void Stream::lose_worker() {
    report(worker_->error());
    count_failure();
    in_step_ = false;
}

// A worker that fails at once may be replaced once; after that the pauses double.
void Stream::count_failure() {
    double given = static_cast<double>(worker_->given()) / sample_rate_;
    if (worker_->lived_ns() > kProvenTime || given > kProvenAudio) failures_ = 0;
    int64_t pause = 0;
    if (failures_ > 0) pause = std::min(kFirstPause << std::min(failures_ - 1, 10), kLongestPause);
    failures_++;
    not_before_ns_ = now_ns() + pause;
}

// This is a fork of the process that has the worker: leave it alone and have one of our own.
void Stream::disown() {
    owner_ = process_id();
    (void)restart_.release();  // its thread is not here
    worker_ = std::make_unique<Worker>(descriptor_);
    in_step_ = false;
    failures_ = 0;
    not_before_ns_ = 0;
}

// One line for each time it goes dry, not for each block, nor for each time a host that loads a plugin tries it.
void Stream::report(const std::string& why) {
    bool said = why == reported_why_ && now_ns() < reported_ns_ + kSaidAgain;
    if (reported_ || said) return;
    reported_ = true;
    reported_why_ = why;
    reported_ns_ = now_ns();
    double seconds = sample_rate_ > 0 && !fresh_ ? static_cast<double>(position_ - origin_) / sample_rate_ : 0;
    std::fprintf(stderr, "stembridge: %s: dry from %.3f s on, because %s\n", descriptor_.name.c_str(), seconds,
                 why.empty() ? "its process is not there" : why.c_str());
}

}  // namespace stembridge
