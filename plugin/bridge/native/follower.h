// Lets a worker follow the stream: sends it the input in packets, and knows where its output is valid.
#pragma once

#include <optional>
#include <vector>

#include "drywet.h"
#include "report.h"
#include "supervisor.h"

namespace stembridge {

// How a block is processed. In real time the worker has a part of the block's duration. For prefetched blocks, which
// come in bursts, it has more time. Offline the shell waits.
enum class Mode { realtime, prefetch, offline };

// A part of a block, at most kPiece samples.
struct Piece {
    const float* const* inputs;
    int64_t position;  // of its first sample, in the stream
    int length;
    const Move* moves;  // sorted by offset, including those of the bypass
    int count;
    Mode mode;
    int64_t deadline_ns;  // for the worker's answer, if not offline
    bool all_outputs;     // the host uses more than the first one
    bool silent;          // the input is all zeros

    bool offline() const { return mode == Mode::offline; }
};

class Follower {
public:
    Follower(Supervisor& supervisor, Report& report, int bypass)
        : supervisor_(supervisor), report_(report), bypass_(bypass) {}

    // latency, ahead: see DryWet::configure. ring: length of the worker's rings, in samples.
    void configure(int channels, int64_t latency, int64_t ahead, int64_t ring);
    // Begin a stream at `origin`. hops_from: a position in the stream at which a hop starts on the host's timeline; then
    // the worker begins at the first sound in any mode. Without it, hops are counted from the worker's beginning.
    void begin(int64_t origin, std::optional<int64_t> hops_from);
    // Join a stream that has had sound before `position`. hops_from: the start of a hop in the stream.
    void join(int64_t position, int64_t hops_from);
    // Stop following, because the worker is another one, or was configured again.
    void lose_step() { in_step_ = false; }
    bool in_step() const { return in_step_; }
    bool resting() const { return resting_; }
    bool heard() const { return heard_; }  // sound, since the stream began
    const Extent& extent() const { return extent_; }

    // Record whether the stream has had sound yet.
    void hear(const Piece& piece);
    // Let the worker begin here: at once at the beginning of a stream, otherwise after it has answered all earlier
    // blocks. values: of all parameters.
    void follow(const Piece& piece, const std::vector<double>& values);
    // Send the piece to the worker, unless it is not in step or may rest, and wait for the answer as long as the mode
    // allows.
    void give(const Piece& piece);

private:
    bool hand_over(const Piece& piece);
    bool send(const Piece& piece);
    bool skip(int64_t position);
    void rest(const Piece& piece);
    void wake(const Piece& piece);
    void send_silence(const Piece& piece, int64_t length);
    int take_packet(const Piece& piece, int start, int* next, int64_t* size);
    int64_t until_work(int64_t position) const;
    void lose_worker();

    Supervisor& supervisor_;
    Report& report_;
    const int bypass_;  // index of the bypass, which the worker does not have
    int channels_ = 0;
    int64_t latency_ = 0, ahead_ = 0, ring_ = kShortestRing;

    bool in_step_ = false;
    bool resting_ = false;  // the worker does not receive the current silence
    bool heard_ = false;
    int64_t origin_ = 0;  // position of the stream's first sample
    std::optional<int64_t> hops_from_;
    int64_t followed_from_ = 0;  // position of the first sample that the worker received since its reset
    int64_t silent_ = 0;         // samples of silence without a move, before the next piece
    Extent extent_;
    Move packet_[kMaxMoves];
};

}  // namespace stembridge
