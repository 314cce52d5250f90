#include "stream.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <system_error>

namespace stembridge {

namespace {

constexpr int kPiece = kShortestRing;      // samples worked on at a time
constexpr int kHeldUp = 2;                 // rings have room for so many times what a worker has to do in time
constexpr double kFade = 0.005;           // seconds between dry and wet
constexpr double kWait = 0.75;            // of a block's time that a call in real time may wait for the worker
constexpr int64_t kMillisecond = 1'000'000;
constexpr int kPrefetchWait = 4;  // times as long for a prefetched block
constexpr int64_t kLeastPrefetchWait = 250 * kMillisecond;  // but at least this long
constexpr int kFewHops = 4, kFewBlocks = 2;  // a worker that is later than both skips to the current block
constexpr int64_t kLongestLoad = 10'000 * kMillisecond;  // in real time, for a latency that only the worker knows
constexpr int64_t kSlowBirth = 5000 * kMillisecond;      // if a failed start took longer, a retry would hold up the host
constexpr int64_t kProvenTime = 10'000 * kMillisecond;  // a worker that lived so long, or
constexpr double kProvenAudio = 1;                      // was given so many seconds of sound, is in no crash loop
constexpr int64_t kSaidAgain = 1000 * kMillisecond;
constexpr int64_t kFirstPause = 500 * kMillisecond, kLongestPause = 30'000 * kMillisecond;
constexpr float kSilence[kPiece] = {};

int64_t power_of_two(int64_t least) {
    int64_t power = 1;
    while (power < least) power *= 2;
    return power;
}

bool is_silent(const float* samples, int length) {
    return samples == kSilence || std::all_of(samples, samples + length, [](float sample) { return sample == 0; });
}

}  // namespace

struct Stream::Start {
    std::unique_ptr<Worker> worker;
    std::atomic<bool> cancelled{false}, finished{false};
    std::thread thread;

    ~Start() {
        cancelled = true;
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
    if (starting_ && starting_->finished) take_started();
    bool same_sound = sample_rate == sample_rate_ && channels == channels_;
    bool same = same_sound && realtime == realtime_ && (longest_block == longest_block_ || !realtime);
    bool there = same_sound && (starting_ || worker_->ready());
    bool told = worker_->ready() ? worker_->latency() + ahead_ == latency_ : !dry_[0].empty();
    if (same && there && told) return;
    if (!same) failures_ = 0, not_before_ns_ = 0;  // what failed before was another case
    sample_rate_ = sample_rate, channels_ = channels, longest_block_ = longest_block, realtime_ = realtime;
    step_ = std::min(1.0, 1 / (kFade * sample_rate));
    fresh_ = true;
    in_step_ = false;
    if (!there && may_start()) start_worker();
    Latency latency;
    if (!find_latency(&latency)) return;
    ahead_ = !realtime ? 0 : latency.hop > 0 ? latency.hop : longest_block;
    ahead_ = std::min(ahead_, kLongestRing / 2 - kPiece);
    latency_ = latency.samples + ahead_;
    ring_ = realtime ? power_of_two(kHeldUp * (ahead_ + kPiece)) : kShortestRing;
    for (auto& ring : dry_) ring.assign(static_cast<size_t>(power_of_two(latency_ + kPiece)), 0.0f);
    handed_.reserve(kMaxMoves);
}

// From the worker if it is ready, else from the descriptor, else wait for the worker.
bool Stream::find_latency(Latency* latency) {
    auto known = descriptor_.latencies.find(sample_rate_);
    if (!worker_->ready() && known != descriptor_.latencies.end()) {
        *latency = known->second;
        return true;
    }
    if (starting_) wait_for_start(realtime_ ? now_ns() + kLongestLoad : 0);
    if (!worker_->ready()) {
        report(starting_ ? "its process is still starting" : worker_->error(), true);
        return false;
    }
    *latency = {worker_->latency(), worker_->hop()};
    return true;
}

// Start in the background. A start that is under way goes on with the new settings.
void Stream::start_worker() {
    stop_starting();
    starting_ = std::make_unique<Start>();
    starting_->worker = std::move(worker_);
    worker_ = std::make_unique<Worker>(descriptor_);  // stands in until then
    try {
        starting_->thread = std::thread([start = starting_.get(), rate = sample_rate_, channels = channels_] {
            use_ordinary_scheduling();
            start->worker->configure(rate, channels, start->cancelled);
            start->finished = true;
        });
    } catch (const std::system_error&) {  // the system refuses a thread, as it may to a deadline-scheduled one
        starting_->finished = true;
    }
}

void Stream::stop_starting() {
    if (!starting_) return;
    starting_->cancelled = true;
    if (starting_->thread.joinable()) starting_->thread.join();
    worker_ = std::move(starting_->worker);
    starting_.reset();
}

void Stream::take_started() {
    stop_starting();
    if (worker_->ready()) return;
    report(worker_->error(), true);
    count_failure();
}

// deadline_ns: 0 to wait until the worker is ready or has failed.
void Stream::wait_for_start(int64_t deadline_ns) {
    while (!starting_->finished && (deadline_ns == 0 || now_ns() < deadline_ns))
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (starting_->finished) take_started();
}

void Stream::set_values(const std::vector<double>& values) {
    for (size_t i = 0; i < values.size(); i++) new_values_[i].store(values[i], std::memory_order_relaxed);
    values_changed_.store(true, std::memory_order_release);
}

bool Stream::process(const float* const* inputs, float* const* outputs, int length, const std::vector<Move>& moves,
                     Mode mode) {
    mode_ = mode;
    if (process_id() != owner_) {
        disown();
        if (!fresh_) report("this process is a fork and starts one of its own");
    }
    if (length == 0) {
        take_values(moves);
        return true;
    }
    if (dry_[0].empty()) {  // never knew a latency: what comes in goes out
        report(worker_->error(), true);
        for (int c = 0; c < channels_; c++) {
            if (inputs[c]) std::memmove(outputs[c], inputs[c], length * sizeof(float));
            else std::fill_n(outputs[c], length, 0.0f);
        }
        return false;
    }
    went_dry_ = false;
    if (fresh_) begin_afresh(moves);
    for (int start = 0, next = 0; start < length;) {
        int size = std::min(kPiece, length - start);
        auto patience = static_cast<int64_t>(1e9 * kWait * size / sample_rate_);
        if (mode == Mode::prefetch) patience = std::max(kPrefetchWait * patience, kLeastPrefetchWait);
        deadline_ns_ = now_ns() + patience;
        handed_.clear();
        if (start == 0 && values_changed_.exchange(false, std::memory_order_acquire))
            for (int i = 0; i <= bypass_; i++)
                if (new_values_[i] != values_[i]) handed_.push_back({0, i, new_values_[i]});
        for (; next < static_cast<int>(moves.size()) && moves[next].offset < start + size; next++)
            handed_.push_back({std::max(0, moves[next].offset - start), moves[next].parameter, moves[next].value});
        const float* in[kMaxChannels];
        float* out[kMaxChannels];
        for (int c = 0; c < channels_; c++) in[c] = inputs[c] ? inputs[c] + start : kSilence, out[c] = outputs[c] + start;
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
    silent_ = 0;
    position_ = (position_ + ring_ - 1) & ~(ring_ - 1);  // blocks of a power of two then lie in the ring in one piece
    origin_ = sound_from_ = position_;
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
    bool silent = true;
    for (int c = 0; c < channels_ && silent; c++) silent = is_silent(inputs[c], length);
    // If a stream begins in real time, it begins at its first sound.
    if (silent && sound_from_ == position_ && (mode_ != Mode::offline || sound_from_ > origin_)) sound_from_ += length;
    keep_worker();
    for (int c = 0; c < channels_; c++) {
        int64_t mask = static_cast<int64_t>(dry_[c].size()) - 1, at = position_ & mask;
        int64_t first = std::min<int64_t>(length, mask + 1 - at);
        std::memcpy(&dry_[c][at], inputs[c], first * sizeof(float));
        std::memcpy(&dry_[c][0], inputs[c] + first, (length - first) * sizeof(float));
    }
    silent = silent && count == 0;
    if (in_step_) rest(silent);
    silent_ = silent ? silent_ + length : 0;
    if (in_step_ && !resting_ && !hand_over(inputs, length, moves, count)) in_step_ = false;
    for (int i = 0; i < count; i++) apply(moves[i]);
    render(outputs, length);
    position_ += length;
}

void Stream::apply(const Move& move) {
    values_[move.parameter] = move.value;
    if (move.parameter == bypass_) switches_.push_back({position_ + move.offset + latency_, move.value >= 0.5});
}

// Get a worker that follows the stream, if possible; in real time without waiting.
void Stream::keep_worker() {
    bool offline = mode_ == Mode::offline;
    if (starting_) {
        if (offline) wait_for_start(0);
        else if (starting_->finished) take_started();
        if (starting_ && sound_from_ <= position_) report("its process is still starting");
        if (starting_) return;
    }
    if (worker_->ready() && !in_step_) follow();
    if (worker_->ready()) return;
    if (!offline || !may_start()) report(worker_->error(), true);
    if (!may_start()) return;
    start_worker();
    if (!offline) return;
    wait_for_start(0);
    if (worker_->ready()) follow();
}

// Let the worker begin here: at once at the beginning of a stream, else after it has answered all earlier blocks.
void Stream::follow() {
    if (worker_->latency() + ahead_ != latency_) {  // not what the host compensates: wait for its next setup
        std::string is = std::to_string(worker_->latency() + ahead_), was = std::to_string(latency_);
        return report("its latency is " + is + " samples, but the host was told " + was + "; install the plugin again", true);
    }
    // Without a tail, the worker may make sound of silence.
    if (sound_from_ > position_ && worker_->tail() < 0) sound_from_ = position_;
    bool begins = sound_from_ >= position_;
    Worker::Answer answer = worker_->wait(worker_->sent(), mode_ == Mode::offline ? 0 : now_ns());
    if (answer == Worker::Answer::never) {
        if (!begins) report(worker_->error(), true);  // else nothing is dry yet
        count_failure();
    }
    if (answer == Worker::Answer::late && !begins) report("it is still busy with earlier blocks");
    if (answer == Worker::Answer::never || (answer == Worker::Answer::late && !begins)) return;
    if (sound_from_ > position_) return;  // begin at the first sound
    // Begin whole hops after the first sound, so that the worker cuts the stream as if it had followed from there.
    int64_t hop = worker_->hop(), lead = hop > 0 ? (position_ - sound_from_) % hop : 0;
    worker_->skip(position_ - lead);
    std::vector<double> values(values_.begin(), values_.end() - 1);
    // Before the first sound there was silence; anywhere later its first output needs input that it has not seen.
    wet_from_ = begins ? position_ : position_ + worker_->latency();
    in_step_ = worker_->reset(position_ - lead, ring_, values);
    resting_ = false;
    gap_from_ = gap_to_ = followed_from_ = position_ - lead;
    if (in_step_) send_silence(lead);
}

bool Stream::hand_over(const float* const* inputs, int length, const Move* moves, int count) {
    // Do not wait for a worker that is still late with the last block: the host's thread has other work.
    bool offline = mode_ == Mode::offline;
    Worker::Answer answer = offline ? Worker::Answer::in_time : worker_->wait(position_ - ahead_, now_ns());
    int64_t few = std::max(kFewHops * std::max(ahead_, worker_->hop()), int64_t{kFewBlocks} * length);
    if (answer == Worker::Answer::late && position_ - ahead_ - worker_->done() > few) return skip();
    if (!send(inputs, position_, length, moves, count)) return false;
    int64_t deadline = offline ? 0 : answer == Worker::Answer::in_time ? deadline_ns_ : now_ns();
    answer = worker_->wait(position_ + length - ahead_, deadline);
    if (answer == Worker::Answer::never) lose_worker();
    if (answer == Worker::Answer::late) report("it did not answer in time");
    return answer != Worker::Answer::never;
}

// Give the worker a block that begins at position `from`. False if that failed: the worker is lost, or skips ahead.
bool Stream::send(const float* const* inputs, int64_t from, int length, const Move* moves, int count) {
    bool offline = mode_ == Mode::offline;
    for (int start = 0, next = 0; start < length;) {
        int64_t position = from + start, ring = worker_->ring();
        int64_t size = std::min<int64_t>(length - start, ring - (position & (ring - 1)));
        if (!offline) size = std::min(size, until_work(position));
        int taken = take_packet(moves, count, start, &next, &size);
        if (offline) worker_->wait(position + size - ring, 0);  // for room
        else if (position + size - worker_->done() > ring) return skip();
        if (worker_->alive()) {
            for (int c = 0; c < channels_; c++)
                std::memcpy(worker_->input(c, position), inputs[c] + start, size * sizeof(float));
        }
        bool sent = worker_->process(position, static_cast<int>(size), !offline, packet_, taken);
        if (!sent) {
            Worker::Answer answer = worker_->wait(worker_->sent(), offline ? 0 : now_ns());
            if (answer == Worker::Answer::never) return lose_worker(), false;
            if (!offline) return skip();
            sent = worker_->process(position, static_cast<int>(size), !offline, packet_, taken);
        }
        if (!sent) return skip();
        start += static_cast<int>(size);
    }
    return true;
}

// The worker is so late that all pending blocks would be too late as well: go on with the current block.
bool Stream::skip() {
    report("it fell behind");
    worker_->skip(position_);
    wet_from_ = INT64_MAX;
    return false;
}

// In real time, after so much silence that the output is silent, the worker rests until there is sound or a move.
void Stream::rest(bool silent) {
    bool realtime = mode_ != Mode::offline;
    if (resting_) {
        if (worker_->wait(worker_->sent(), now_ns()) == Worker::Answer::never) {
            lose_worker();
        } else if (!silent || !realtime) {
            wake();
        }
    } else if (realtime && silent && worker_->tail() >= 0 && silent_ >= latency_ + worker_->tail()) {
        resting_ = worker_->wait(position_, now_ns()) == Worker::Answer::in_time;
        if (resting_) gap_from_ = position_, gap_to_ = INT64_MAX;
    }
}

// Leave out whole hops of silence, so that the worker goes on as if the silence had been shorter.
void Stream::wake() {
    resting_ = false;
    int64_t hop = worker_->hop(), lead = hop > 0 ? (position_ - gap_from_) % hop : 0;
    gap_to_ = position_ - lead;
    worker_->jump(gap_to_);
    send_silence(lead);
}

// Send silence in place of the last `length` samples.
void Stream::send_silence(int64_t length) {
    const float* silence[kMaxChannels] = {kSilence, kSilence};
    for (int64_t from = position_ - length; in_step_ && from < position_; from += kPiece)
        in_step_ = send(silence, from, static_cast<int>(std::min<int64_t>(kPiece, position_ - from)), nullptr, 0);
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
    return hop > 0 ? hop - (position - followed_from_ + 1) % hop : ahead_ > 0 ? ahead_ : kPiece;
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
        bool silent = theirs < sound_from_ || in_gap(theirs), there = silent || (theirs >= wet_from_ && theirs < until);
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
    if (!still || !worker_->started() || from < std::max(sound_from_, wet_from_) || from + length > worker_->done())
        return false;
    if (from < gap_to_ && from + length > gap_from_) return false;
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
    report(worker_->error(), true);
    count_failure();
    in_step_ = false;
}

// A worker that fails at once may be replaced once; after that the pauses double.
void Stream::count_failure() {
    double given = static_cast<double>(worker_->given()) / sample_rate_;
    if (worker_->lived_ns() > kProvenTime || given > kProvenAudio) failures_ = 0;
    int64_t pause = 0;
    if (failures_ > 0) pause = std::min(kFirstPause << std::min(failures_ - 1, 10), kLongestPause);
    if (!worker_->was_ready() && worker_->lived_ns() > kSlowBirth) pause = kLongestPause;
    failures_++;
    not_before_ns_ = now_ns() + pause;
}

// This is a fork of the process that has the worker: leave it alone and have one of our own.
void Stream::disown() {
    owner_ = process_id();
    (void)starting_.release();  // its thread is not here
    worker_ = std::make_unique<Worker>(descriptor_);
    in_step_ = false;
    failures_ = 0;
    not_before_ns_ = 0;
}

// Print one line each time the sound goes dry, not for each block or each attempt of a host that loads the plugin.
// lost: the worker is lost, which is reported even if the sound was already dry for another reason.
void Stream::report(const std::string& why, bool lost) {
    bool again = why == reported_why_;
    if (reported_ ? again || !lost : again && now_ns() < reported_ns_ + kSaidAgain) return;
    double seconds = sample_rate_ > 0 && !fresh_ ? static_cast<double>(position_ - origin_) / sample_rate_ : 0;
    std::fprintf(stderr, "stembridge: %s: %s %.3f s%s, because %s\n", descriptor_.name.c_str(),
                 reported_ ? "still dry at" : "dry from", seconds, reported_ ? "" : " on",
                 why.empty() ? "its process is not running" : why.c_str());
    reported_ = true;
    reported_why_ = why;
    reported_ns_ = now_ns();
}

}  // namespace stembridge
