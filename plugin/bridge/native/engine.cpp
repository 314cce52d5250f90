#include "engine.h"

#include <algorithm>

namespace stembridge {

namespace {

constexpr int kHeldUp = 2;  // rings have room for so many times the samples that a worker may be late
constexpr int64_t kLongestAhead = kLongestRing / 2 - kPiece;  // samples
constexpr int64_t kLongestLoad = 10'000'000'000;  // ns in real time, for a latency that only the worker knows

// Returns the head start that a worker has in real time, in samples.
int64_t head_start(const Latency& latency, const Setup& setup) {
    if (!setup.realtime) return 0;
    return std::min(latency.hop > 0 ? latency.hop : int64_t{setup.longest_block}, kLongestAhead);
}

}  // namespace

Engine::Engine(const Descriptor& descriptor, const Model& model)
    : descriptor_(descriptor),
      model_(model),
      report_(descriptor.name),
      supervisor_(descriptor, model, report_),
      follower_(supervisor_, report_, static_cast<int>(descriptor.parameters.size()) - 1) {}

bool Engine::configure(const Setup& setup, int64_t least_latency, bool wait) {
    supervisor_.leave_if_forked();
    supervisor_.take_started();
    const Worker& worker = supervisor_.worker();
    bool same = setup == setup_ && least_latency == least_latency_;
    bool there = setup.sounds_like(setup_) && (supervisor_.starting() || worker.ready());
    bool told = worker.ready() ? worker.latency() + ahead_ == latency_ : dry_wet_.configured();
    if (same && there && told) return false;
    if (!same) supervisor_.forget_failures();  // the earlier failures had other settings
    setup_ = setup, least_latency_ = least_latency;
    follower_.lose_step();
    report_.set_time(0);
    if (!there && supervisor_.may_start()) supervisor_.start(setup.sample_rate, setup.channels);
    Latency latency;
    if (!find_latency(&latency, wait)) return true;
    ahead_ = std::max(head_start(latency, setup), least_latency - latency.samples);
    latency_ = latency.samples + ahead_;
    tail_ = latency.tail;
    int64_t ring = ahead_ > 0 ? power_of_two(kHeldUp * (ahead_ + kPiece)) : kShortestRing;
    dry_wet_.configure(setup.sample_rate, setup.channels, 1 + static_cast<int>(descriptor_.outputs.size()), latency_,
                       ahead_);
    follower_.configure(setup.channels, latency_, ahead_, ring);
    return true;
}

bool Engine::can_be_late(const Setup& setup, int64_t latency) const {
    const Worker& worker = supervisor_.worker();
    int64_t ahead = latency - worker.latency();
    return ahead >= head_start({worker.latency(), worker.hop(), worker.tail()}, setup) && ahead <= kLongestAhead;
}

std::optional<int64_t> Engine::known_latency(const Model& model, const Setup& setup) {
    auto known = model.latencies.find(setup.sample_rate);
    if (known == model.latencies.end()) return {};
    return known->second.samples + head_start(known->second, setup);
}

// Returns the latency from the worker if it is ready, otherwise from the descriptor, otherwise waits for the worker.
bool Engine::find_latency(Latency* latency, bool wait) {
    auto known = model_.latencies.find(setup_.sample_rate);
    if (!supervisor_.worker().ready() && known != model_.latencies.end()) {
        *latency = known->second;
        return true;
    }
    if (wait) supervisor_.wait_for_start(setup_.realtime ? now_ns() + kLongestLoad : 0);
    const Worker& worker = supervisor_.worker();
    if (!worker.ready()) {
        report_.dry(supervisor_.starting() ? "its process is still starting" : worker.error(), wait);
        return false;
    }
    *latency = {worker.latency(), worker.hop(), worker.tail()};
    return true;
}

void Engine::begin(int64_t origin, std::optional<int64_t> hops_from, bool bypassed) {
    follower_.begin(origin, hops_from);
    dry_wet_.begin(origin, bypassed);
    report_.wet();
    forked_ = false;
}

void Engine::join(int64_t position, int64_t hops_from, bool bypassed) {
    follower_.join(position, hops_from);
    dry_wet_.begin(position, bypassed);
}

void Engine::take(const Piece& piece, double seconds, const std::vector<double>& values) {
    report_.set_time(seconds);
    follower_.hear(piece);
    keep_worker(piece, values);
    dry_wet_.take(piece.inputs, piece.position, piece.length);
    follower_.give(piece);
}

bool Engine::render(int64_t position, float* const* outputs, int length) {
    bool there = dry_wet_.render(supervisor_.worker(), follower_.extent(), position, outputs, length);
    if (dry_wet_.wet()) report_.wet();
    return there;
}

bool Engine::leave_if_forked() {
    if (!supervisor_.leave_if_forked()) return false;
    follower_.lose_step();
    forked_ = true;
    return true;
}

// Get a worker that follows the stream, if possible; in real time without waiting.
void Engine::keep_worker(const Piece& piece, const std::vector<double>& values) {
    if (forked_ && follower_.heard()) report_.dry("this process is a fork and starts its own worker");
    forked_ = false;
    if (supervisor_.starting()) {
        if (piece.offline()) supervisor_.wait_for_start(0);
        else supervisor_.take_started();
        if (supervisor_.starting() && follower_.heard()) report_.dry("its process is still starting");
        if (supervisor_.starting()) return;
    }
    if (supervisor_.worker().ready() && !follower_.in_step()) follower_.follow(piece, values);
    if (supervisor_.worker().ready()) return;
    if (!piece.offline() || !supervisor_.may_start()) report_.dry(supervisor_.worker().error(), true);
    if (!supervisor_.may_start()) return;
    supervisor_.start(setup_.sample_rate, setup_.channels);
    if (!piece.offline()) return;
    supervisor_.wait_for_start(0);
    if (supervisor_.worker().ready()) follower_.follow(piece, values);
}

}  // namespace stembridge
