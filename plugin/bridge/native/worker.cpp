#include "worker.h"

#include <algorithm>
#include <cstring>

namespace stembridge {

namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kHeartStopped = 5 * kSecond;     // without a heartbeat: then give it up
constexpr int64_t kBirth = 20 * kSecond;           // until the first heartbeat: Python may start from a cold, busy disk
constexpr int64_t kLongestAnswer = 300 * kSecond;  // heartbeats may go on while the work hangs
constexpr int64_t kLook = kSecond / 20;            // how often a waiting thread checks the heartbeat

}  // namespace

Worker::~Worker() {
    if (child_ && !was_ready_)
        child_->kill();  // a Python process that is still starting does not notice a closed socket
}

void Worker::configure(double sample_rate, int channels, const std::atomic<bool>& cancelled) {
    if (!alive() && !start()) return;
    skip(sent_);
    int64_t deadline = now_ns() + kLongestAnswer;
    // The socket may be full until the worker has read the earlier packets.
    bool sent = false;
    while (alive() && !cancelled && (!sent || unanswered_ > 0)) {
        if (!sent && (sent = send(kConfigure, 0, 0, sample_rate, nullptr, channels))) unanswered_++;
        if (receive(kLook, false) > 0 && received_.head.kind == kReady && --unanswered_ == 0) {
            latency_ = received_.head.position;
            hop_ = received_.head.length;
            tail_ = static_cast<int64_t>(received_.head.value);
            born_ns_ = now_ns();
            was_ready_ = true;
            done_ = sent_;  // it answers in order, so everything earlier is done
        }
        if (alive() && now_ns() > deadline) give_up("its process did not become ready");
    }
}

bool Worker::start() {
    child_.reset();
    failed_.clear();
    beats_ = 0;
    sent_ = done_ = given_ = silent_ns_ = 0;
    unanswered_ = 0;
    was_ready_ = false;
    for (size_t i = 0; i < meters_.size(); i++) meters_[i] = descriptor_.meters[i].initial;
    born_ns_ = last_look_ns_ = now_ns();
    std::string error;
    child_ = Child::start(model_.arguments, memory_size(1 + static_cast<int>(descriptor_.outputs.size())), &error);
    if (!child_) failed_ = error;
    return child_ != nullptr;
}

bool Worker::reset(int64_t position, int64_t ring, const std::vector<double>& values) {
    std::vector<Move> moves(values.size());
    for (size_t i = 0; i < values.size(); i++) moves[i] = {0, static_cast<int32_t>(i), values[i]};
    if (!send(kReset, position, ring, 0, moves.data(), static_cast<int>(moves.size()))) return false;
    sent_ = done_ = position;
    ring_ = ring;
    return true;
}

bool Worker::process(int64_t position, int length, bool realtime, bool all_outputs, const Move* moves, int count) {
    int flags = (realtime ? kRealtime : 0) + (all_outputs ? kAllOutputs : 0);
    if (!send(kProcess, position, length, flags, moves, count)) return false;
    sent_ = position + length;
    given_ += length;
    return true;
}

void Worker::skip(int64_t position) {
    auto* skipped = reinterpret_cast<std::atomic<int64_t>*>(child_->memory() + kSkipOffset);
    skipped->store(position, std::memory_order_relaxed);
}

Worker::Answer Worker::wait(int64_t position, int64_t deadline_ns) {
    int64_t last_chance = deadline_ns ? 0 : now_ns() + kLongestAnswer;
    while (alive()) {
        int64_t now = now_ns(), remaining = deadline_ns ? deadline_ns - now : kLook;
        bool in_time = done_ >= position;
        // Packets that have arrived are always received, so that the socket does not fill.
        long size = receive(in_time ? 0 : std::clamp<int64_t>(remaining, 0, kLook), deadline_ns == 0);
        if (size > 0 && received_.head.kind == kDone) {
            done_ = std::max(done_, received_.head.position);
            read_meters(size);
            if (last_chance) last_chance = now + kLongestAnswer;
        }
        if (size == 0 && in_time) return Answer::in_time;
        if (size == 0 && deadline_ns && remaining <= 0) return Answer::late;
        if (size == 0 && last_chance && now > last_chance && alive())
            give_up("its process did not answer for 5 minutes");
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

// Receive a packet into received_, or put the worker's end into failed_.
long Worker::receive(int64_t timeout_ns, bool eager) {
    long size = child_->receive(&received_, sizeof received_, timeout_ns, eager);
    if (size < 0) failed_ = "its process " + child_->end();
    if (size > 0 && received_.head.kind == kFailed) {
        size_t length = std::min<size_t>({received_.head.count, size - sizeof(Packet), kMaxText});
        failed_ = "its processor failed";
        if (length > 0) failed_ = std::string(received_.rest, length);
    }
    if (size == 0 && !heart_beats()) give_up(beats_ ? "its process stopped answering" : "its process did not start");
    return size;
}

void Worker::read_meters(size_t size) {
    size_t count = std::min<size_t>({received_.head.count, (size - sizeof(Packet)) / sizeof(double), meters_.size()});
    std::memcpy(meters_.data(), received_.rest, count * sizeof(double));
}

bool Worker::heart_beats() {
    auto* counter = reinterpret_cast<std::atomic<uint64_t>*>(child_->memory() + kBeatsOffset);
    uint64_t beats = counter->load(std::memory_order_relaxed);
    int64_t now = now_ns();
    // Only the time between checks counts, because a host that was stopped for a while must not blame the worker.
    silent_ns_ = beats == beats_ ? silent_ns_ + std::min(now - last_look_ns_, 2 * kLook) : 0;
    beats_ = beats;
    last_look_ns_ = now;
    return silent_ns_ < (beats_ ? kHeartStopped : kBirth);
}

void Worker::give_up(const std::string& why) {
    child_->kill();
    failed_ = why;
}

}  // namespace stembridge
