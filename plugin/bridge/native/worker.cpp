#include "worker.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace stembridge {

namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kHeartStopped = 5 * kSecond;   // without a beat it is given up
constexpr int64_t kBirth = 20 * kSecond;         // until the first beat: an interpreter on a cold, busy disk
constexpr int64_t kLook = kSecond / 20;          // how often a waiting thread feels the pulse

}  // namespace

bool Worker::configure(double sample_rate, int channels, bool realtime) {
    if (!alive()) {
        child_.reset();
        failed_.clear();
        beats_ = 0;
        sent_ = done_ = given_ = silent_ns_ = 0;
        ready_ns_ = last_look_ns_ = now_ns();
        std::string error;
        child_ = Child::start(descriptor_.arguments, kMemorySize, &error);
        if (!child_) {
            failed_ = error;
            return false;
        }
    }
    send(kConfigure, realtime, 0, sample_rate, nullptr, channels);
    while (alive()) {
        if (receive(kLook, false) > 0 && received_.head.kind == kReady) {
            latency_ = received_.head.position;
            hop_ = received_.head.length;
            ready_ns_ = now_ns();
            done_ = sent_;  // it answers in turn: whatever it was given before is done
            return true;
        }
    }
    return false;
}

bool Worker::reset(int64_t position, int64_t ring, const std::vector<double>& values) {
    std::vector<Move> moves(values.size());
    for (size_t i = 0; i < values.size(); i++) moves[i] = {0, static_cast<int32_t>(i), values[i]};
    if (!send(kReset, position, ring, 0, moves.data(), static_cast<int>(moves.size()))) return false;
    sent_ = done_ = position;
    ring_ = ring;
    return true;
}

bool Worker::process(int64_t position, int length, const Move* moves, int count) {
    if (!send(kProcess, position, length, 0, moves, count)) return false;
    sent_ = position + length;
    given_ += length;
    return true;
}

Worker::Answer Worker::wait(int64_t position, int64_t deadline_ns) {
    while (alive()) {
        int64_t left = deadline_ns ? deadline_ns - now_ns() : kLook;
        bool in_time = done_ >= position;
        // What is already there is taken in any case, so that the socket does not fill.
        long size = receive(in_time ? 0 : std::clamp<int64_t>(left, 0, kLook), deadline_ns == 0);
        if (size > 0 && received_.head.kind == kDone) done_ = std::max(done_, received_.head.position);
        if (size == 0 && in_time) return Answer::in_time;
        if (size == 0 && deadline_ns && left <= 0) return Answer::late;
    }
    return Answer::never;
}

bool Worker::send(Kind kind, int64_t position, int64_t length, double value, const Move* moves, int count) {
    if (!alive()) return false;
    outgoing_.head = {kind, static_cast<uint32_t>(count), position, length, value};
    size_t size = moves ? count * sizeof(Move) : 0;
    if (size) std::memcpy(outgoing_.moves, moves, size);
    return child_->send(&outgoing_, sizeof(Packet) + size);
}

// One packet into received_, or the worker's end into failed_.
long Worker::receive(int64_t timeout_ns, bool eager) {
    long size = child_->receive(&received_, sizeof received_, timeout_ns, eager);
    if (size < 0) fail("its process " + child_->end());
    if (size > 0 && received_.head.kind == kFailed) {
        size_t length = std::min<size_t>({received_.head.count, size - sizeof(Packet), kMaxText});
        fail(std::string(received_.text, length));
    }
    if (size == 0 && !heart_beats()) {
        child_->kill();
        fail("its process stopped answering");
    }
    return size;
}

bool Worker::heart_beats() {
    auto* counter = reinterpret_cast<std::atomic<uint64_t>*>(child_->memory());
    uint64_t beats = counter->load(std::memory_order_relaxed);
    int64_t now = now_ns();
    // Only what was seen counts: a host that was itself stopped for a while must not blame the worker.
    silent_ns_ = beats == beats_ ? silent_ns_ + std::min(now - last_look_ns_, 2 * kLook) : 0;
    beats_ = beats;
    last_look_ns_ = now;
    return silent_ns_ < (beats_ ? kHeartStopped : kBirth);
}

void Worker::fail(const std::string& why) { failed_ = why; }

}  // namespace stembridge
