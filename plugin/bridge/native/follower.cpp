#include "follower.h"

#include <algorithm>
#include <cstring>

namespace stembridge {

namespace {

constexpr int kFewHops = 4, kFewBlocks = 2;  // a worker that is later than both skips to the current block

}  // namespace

void Follower::configure(int channels, int64_t latency, int64_t ahead, int64_t ring) {
    channels_ = channels, latency_ = latency, ahead_ = ahead, ring_ = ring;
}

void Follower::begin(int64_t origin, std::optional<int64_t> hops_from) {
    hops_from_ = hops_from;
    in_step_ = resting_ = heard_ = false;
    silent_ = 0;
    origin_ = origin;
    extent_ = {origin, origin, origin, origin};
}

void Follower::join(int64_t position, int64_t hops_from) {
    begin(position, hops_from);
    extent_.sound_from = INT64_MIN;
    extent_.wet_from = INT64_MAX;
}

void Follower::hear(const Piece& piece) {
    // In real time a stream begins at its first sound, also where the host starts to play: it may send silence first, as
    // long as the latency of its other plugins.
    int64_t& from = extent_.sound_from;
    bool may_wait = !piece.offline() || hops_from_ || from > origin_;
    if (piece.silent && from == piece.position && may_wait) from += piece.length;
    heard_ = from <= piece.position;
}

void Follower::follow(const Piece& piece, const std::vector<double>& values) {
    Worker& worker = supervisor_.worker();
    if (worker.latency() + ahead_ != latency_) {  // the host compensates another latency: wait for its next setup
        std::string is = std::to_string(worker.latency() + ahead_), was = std::to_string(latency_);
        std::string why = "its latency is " + is + " samples, but the host was told " + was;
        return report_.dry(why + "; install the plugin again", true);
    }
    int64_t position = piece.position;
    // Without a tail, the worker may make sound from silence.
    if (extent_.sound_from > position && worker.tail() < 0) extent_.sound_from = position;
    bool begins = extent_.sound_from >= position;
    Worker::Answer answer = worker.wait(worker.sent(), piece.offline() ? 0 : now_ns());
    if (answer == Worker::Answer::never) {
        if (!begins) report_.dry(worker.error(), true);  // otherwise nothing is dry yet
        supervisor_.count_failure();
    }
    if (answer == Worker::Answer::late && !begins) report_.dry("it is still busy with earlier blocks");
    if (answer == Worker::Answer::never || (answer == Worker::Answer::late && !begins)) return;
    if (extent_.sound_from > position) return;  // begin at the first sound
    // Begin whole hops after the first sound, so that the worker cuts the stream as if it had followed from there on.
    int64_t hop = worker.hop(), since = position - hops_from_.value_or(extent_.sound_from);
    int64_t lead = hop > 0 ? (since % hop + hop) % hop : 0;
    followed_from_ = position - lead;
    worker.skip(followed_from_);
    // Before the first sound there was silence. Later, the worker's first output needs input that it has not received.
    extent_.wet_from = begins ? position : position + worker.latency();
    extent_.gap_from = extent_.gap_to = followed_from_;
    in_step_ = worker.reset(followed_from_, ring_, {values.begin(), values.begin() + bypass_});
    resting_ = false;
    if (in_step_) send_silence(piece, lead);
}

void Follower::give(const Piece& piece) {
    bool silent = piece.silent && piece.count == 0;
    if (in_step_) rest(piece);
    silent_ = silent ? silent_ + piece.length : 0;
    if (in_step_ && !resting_ && !hand_over(piece)) in_step_ = false;
}

bool Follower::hand_over(const Piece& piece) {
    // Do not wait for a worker that is still late with the last block, because the host's thread has other work.
    Worker& worker = supervisor_.worker();
    int64_t wanted = piece.position - ahead_;
    Worker::Answer answer = piece.offline() ? Worker::Answer::in_time : worker.wait(wanted, now_ns());
    int64_t few = std::max(kFewHops * std::max(ahead_, worker.hop()), int64_t{kFewBlocks} * piece.length);
    if (answer == Worker::Answer::late && wanted - worker.done() > few) return skip(piece.position);
    if (!send(piece)) return false;
    int64_t deadline = piece.offline() ? 0 : answer == Worker::Answer::in_time ? piece.deadline_ns : now_ns();
    answer = worker.wait(wanted + piece.length, deadline);
    if (answer == Worker::Answer::never) lose_worker();
    if (answer == Worker::Answer::late) report_.dry("it did not answer in time");
    return answer != Worker::Answer::never;
}

// Returns false if that failed: the worker is lost, or skips ahead.
bool Follower::send(const Piece& piece) {
    Worker& worker = supervisor_.worker();
    bool offline = piece.offline();
    for (int start = 0, next = 0; start < piece.length;) {
        int64_t position = piece.position + start, ring = worker.ring();
        int64_t size = std::min<int64_t>(piece.length - start, ring - (position & (ring - 1)));
        if (!offline) size = std::min(size, until_work(position));
        int taken = take_packet(piece, start, &next, &size);
        if (offline) worker.wait(position + size - ring, 0);  // for room
        else if (position + size - worker.done() > ring) return skip(piece.position);
        if (worker.alive()) {
            for (int c = 0; c < channels_; c++)
                std::memcpy(worker.input(c, position), piece.inputs[c] + start, size * sizeof(float));
        }
        auto process = [&] {
            return worker.process(position, static_cast<int>(size), !offline, piece.all_outputs, packet_, taken);
        };
        bool sent = process();
        if (!sent) {
            Worker::Answer answer = worker.wait(worker.sent(), offline ? 0 : now_ns());
            if (answer == Worker::Answer::never) return lose_worker(), false;
            if (!offline) return skip(piece.position);
            sent = process();
        }
        if (!sent) return skip(piece.position);
        start += static_cast<int>(size);
    }
    return true;
}

// Skip to the block at `position`, because the worker is so late that all pending blocks would be late too.
bool Follower::skip(int64_t position) {
    report_.dry("it fell behind");
    supervisor_.worker().skip(position);
    extent_.wet_from = INT64_MAX;
    return false;
}

// In real time, after so much silence that the output is silent, the worker rests until there is sound or a move.
void Follower::rest(const Piece& piece) {
    Worker& worker = supervisor_.worker();
    bool may_rest = piece.silent && piece.count == 0 && !piece.offline();
    if (resting_) {
        if (worker.wait(worker.sent(), now_ns()) == Worker::Answer::never) lose_worker();
        else if (!may_rest) wake(piece);
    } else if (may_rest && worker.tail() >= 0 && silent_ >= latency_ + worker.tail()) {
        resting_ = worker.wait(piece.position, now_ns()) == Worker::Answer::in_time;
        if (resting_) extent_.gap_from = piece.position, extent_.gap_to = INT64_MAX;
    }
}

// Leave out whole hops of silence, so that the worker continues as if the silence had been shorter.
void Follower::wake(const Piece& piece) {
    Worker& worker = supervisor_.worker();
    resting_ = false;
    int64_t hop = worker.hop(), lead = hop > 0 ? (piece.position - extent_.gap_from) % hop : 0;
    extent_.gap_to = piece.position - lead;
    worker.jump(extent_.gap_to);
    send_silence(piece, lead);
}

// Send silence in place of the last `length` samples before the piece.
void Follower::send_silence(const Piece& piece, int64_t length) {
    const float* silence[kMaxChannels] = {kSilence, kSilence};
    Piece silent = piece;
    silent.inputs = silence, silent.count = 0;
    for (int64_t remaining = length; in_step_ && remaining > 0; remaining -= silent.length) {
        silent.position = piece.position - remaining;
        silent.length = static_cast<int>(std::min<int64_t>(kPiece, remaining));
        in_step_ = send(silent);
    }
}

// Put the moves of `size` samples from `start` on into packet_, beginning with moves[*next]; fewer samples if there are
// too many moves.
int Follower::take_packet(const Piece& piece, int start, int* next, int64_t* size) {
    int taken = 0;
    for (; *next < piece.count && piece.moves[*next].offset < start + *size; ++*next) {
        const Move& move = piece.moves[*next];
        if (move.parameter == bypass_) continue;
        if (taken == kMaxMoves) {
            *size = std::max(move.offset - start, 1);
            break;
        }
        packet_[taken++] = {std::max(move.offset - start, 0), move.parameter, move.value};
    }
    while (taken > 0 && packet_[taken - 1].offset >= *size) taken--;
    while (*next > 0 && piece.moves[*next - 1].offset >= start + *size) --*next;
    return taken;
}

// In real time blocks end just before the sample that completes a hop and causes work. So output that does not need that
// work is not delayed by it, however the host cuts its blocks.
int64_t Follower::until_work(int64_t position) const {
    int64_t hop = supervisor_.worker().hop();
    return hop > 0 ? hop - (position - followed_from_ + 1) % hop : ahead_ > 0 ? ahead_ : kPiece;
}

void Follower::lose_worker() {
    report_.dry(supervisor_.worker().error(), true);
    supervisor_.count_failure();
    in_step_ = false;
}

}  // namespace stembridge
