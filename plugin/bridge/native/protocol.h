// The protocol between the shell and its worker process. plugin/bridge/worker.py has the same in Python.
//
// Audio is in shared memory: rings for the channels of the shell's input, and then of the worker's outputs. A sample's
// place in its ring follows from its position in the stream. Turns are packets on a socket: a Packet, then `count` Moves.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stembridge {

constexpr int kMaxChannels = 2;
// Samples in a ring, always a power of two. A short ring stays in the cache.
constexpr int64_t kShortestRing = 1 << 14, kLongestRing = 1 << 21;
constexpr int kPiece = kShortestRing;  // samples that the shell processes at a time
inline constexpr float kSilence[kPiece] = {};

constexpr int64_t power_of_two(int64_t least) {
    int64_t power = 1;
    while (power < least) power *= 2;
    return power;
}

// Shared memory begins with a uint64_t, the count of heartbeats, and an int64_t, a position in the stream: the worker
// skips blocks before it. The rings are at kAudioOffset.
constexpr size_t kBeatsOffset = 0, kSkipOffset = 8, kAudioOffset = 4096;
constexpr size_t memory_size(int outputs) {
    return kAudioOffset + (1 + outputs) * kMaxChannels * kLongestRing * sizeof(float);
}
constexpr int kMaxMoves = 1024;  // in one packet
constexpr int kMaxText = 500;    // bytes of the reason in a kFailed packet, in place of moves
constexpr int kMaxMeters = 64;   // values in a kDone packet, in place of moves

enum Kind : uint32_t {
    // from the shell
    kConfigure = 1,  // count: channels; value: sample rate in Hz
    kReset,    // position: of the stream's first sample; length: samples in a ring; moves: the values of all parameters
    kProcess,  // position, length: of the block, in one piece of the ring; value: kRealtime and kAllOutputs, added up;
               // moves: in the block
    // from the worker
    kReady,  // after each kConfigure. position: latency in samples; length: the hop, 0 if it has none; value: the tail in
             // samples, -1 if it has none
    kDone,    // position: the output is written or skipped up to this sample; then `count` doubles, the meters' values
    kFailed,  // then a text of `count` bytes with the reason; the worker ends
};

constexpr int kRealtime = 1;    // the block is played in real time
constexpr int kAllOutputs = 2;  // the host uses all outputs, not only the first

struct Packet {
    uint32_t kind, count;
    int64_t position, length;
    double value;
};

struct Move {
    int32_t offset;     // in samples, from the block's first
    int32_t parameter;  // index in the descriptor
    double value;
};

static_assert(sizeof(Packet) == 32 && sizeof(Move) == 16, "worker.py unpacks these");

}  // namespace stembridge
