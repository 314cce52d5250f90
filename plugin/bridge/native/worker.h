// The shell's end of the worker: the Python process that makes the sound.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "descriptor.h"
#include "platform.h"
#include "protocol.h"

namespace stembridge {

class Worker {
public:
    enum class Answer { in_time, late, never };

    Worker(const Descriptor& descriptor, const Model& model)
        : descriptor_(descriptor), model_(model), meters_(descriptor.meters.size()) {}
    ~Worker();

    // Start the process if it does not run, and let it make a processor. Blocks until the processor is ready, the
    // process has failed (see error()), or `cancelled` is set. After that, configure() continues with the same process.
    void configure(double sample_rate, int channels, const std::atomic<bool>& cancelled);
    // Forget all audio and set all parameters. position: of the next sample. ring: in samples.
    bool reset(int64_t position, int64_t ring, const std::vector<double>& values);
    // Hand over a block whose samples are at input(). It must not cross the end of the ring. Never blocks. Returns false
    // if that failed: the process is gone, or has not read the earlier packets.
    bool process(int64_t position, int length, bool realtime, bool all_outputs, const Move* moves, int count);
    // Let the worker skip earlier blocks that it has not processed yet.
    void skip(int64_t position);
    // Continue at a later position. Call only after the worker has done all earlier blocks.
    void jump(int64_t position) { sent_ = done_ = position; }
    // Wait until its output is written up to `position`. deadline_ns: 0 to wait as long as there are heartbeats, but no
    // longer than kLongestAnswer for each block.
    Answer wait(int64_t position, int64_t deadline_ns);

    bool started() const { return child_ != nullptr; }  // its output can be read, even after its end
    bool alive() const { return child_ != nullptr && failed_.empty(); }
    bool ready() const { return alive() && was_ready_ && unanswered_ == 0; }
    bool was_ready() const { return was_ready_; }
    int64_t done() const { return done_; }    // its output is written up to this position
    int64_t sent() const { return sent_; }    // it has received input up to this position
    int64_t given() const { return given_; }  // all samples that it has received since its start
    int64_t latency() const { return latency_; }
    int64_t hop() const { return hop_; }
    int64_t tail() const { return tail_; }  // after so many samples of silence it may rest; -1 if it may not
    int64_t lived_ns() const { return now_ns() - born_ns_; }  // since it was ready, or else since it was started
    const std::string& error() const { return failed_; }

    int64_t ring() const { return ring_; }  // in samples
    float* input(int channel, int64_t position) const { return at(channel, position); }
    const float* output(int output, int channel, int64_t position) const {
        return at((1 + output) * kMaxChannels + channel, position);
    }
    const std::vector<double>& meters() const { return meters_; }  // the latest values

private:
    float* at(int index, int64_t position) const {
        auto* audio = reinterpret_cast<float*>(child_->memory() + kAudioOffset);
        return audio + index * kLongestRing + (position & (ring_ - 1));
    }
    bool start();
    bool send(Kind kind, int64_t position, int64_t length, double value, const Move* moves, int count);
    long receive(int64_t timeout_ns, bool eager);
    void read_meters(size_t size);
    bool heart_beats();
    void give_up(const std::string& why);

    const Descriptor& descriptor_;
    const Model& model_;
    std::unique_ptr<Child> child_;
    std::string failed_;
    bool was_ready_ = false;
    int unanswered_ = 0;  // configure packets that it has not answered yet
    int64_t done_ = 0, sent_ = 0, given_ = 0, latency_ = 0, hop_ = 0, tail_ = -1, ring_ = kShortestRing;
    uint64_t beats_ = 0;
    int64_t last_look_ns_ = 0, silent_ns_ = 0, born_ns_ = 0;
    std::vector<double> meters_;
    struct {
        Packet head;
        char rest[kMaxMeters * sizeof(double)];
    } received_;
    static_assert(kMaxText <= sizeof received_.rest);
    struct {
        Packet head;
        Move moves[kMaxMoves];
    } outgoing_;
};

}  // namespace stembridge
