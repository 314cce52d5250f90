// A stream of audio through the worker, in step to the sample whatever becomes of it: what the worker cannot give is the
// input, late by the same latency.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "worker.h"

namespace stembridge {

// How a block is processed. In real time the worker has a part of the block's duration; for prefetched blocks, which
// come in bursts, it has longer. Offline the shell waits.
enum class Mode { realtime, prefetch, offline };

class Stream {
public:
    explicit Stream(const Descriptor& descriptor);
    ~Stream();

    // Call before audio flows. Starts a worker in the background, and waits for it only if the latency is not known
    // otherwise; in real time not for long. `realtime` decides the latency; each block has its own mode.
    void configure(double sample_rate, int channels, int longest_block, bool realtime);
    // Forget all audio. The next block's parameters at offset 0 act at once, without a glide.
    void reset() { fresh_ = true; }
    // Plain values of all parameters, for when they changed outside a block. Any thread.
    void set_values(const std::vector<double>& values);
    // A null input is silence; inputs may be outputs. moves: sorted by offset; `parameter` may be the bypass. False if
    // any of it went out dry by mistake.
    bool process(const float* const* inputs, float* const* outputs, int length, const std::vector<Move>& moves, Mode mode);

    int64_t latency() const { return latency_; }

private:
    struct Start;  // starts the worker in a thread

    void start_worker();
    void stop_starting();
    void take_started();
    void wait_for_start(int64_t deadline_ns);
    bool find_latency(Latency* latency);
    void take_values(const std::vector<Move>& moves);
    void begin_afresh(const std::vector<Move>& moves);
    void process_piece(const float* const* inputs, float* const* outputs, int length, const Move* moves, int count);
    void apply(const Move& move);
    void keep_worker();
    void follow();
    bool hand_over(const float* const* inputs, int length, const Move* moves, int count);
    bool send(const float* const* inputs, int64_t from, int length, const Move* moves, int count);
    bool skip();
    void rest(bool silent);
    void wake();
    void send_silence(int64_t length);
    void render(float* const* outputs, int length);
    bool render_wet(float* const* outputs, int length);
    int take_packet(const Move* moves, int count, int start, int* next, int64_t* size);
    int64_t until_work(int64_t position) const;
    float dry(int channel, int64_t position) const;
    bool in_gap(int64_t position) const { return position >= gap_from_ && position < gap_to_; }
    bool may_start() const { return now_ns() >= not_before_ns_; }
    void lose_worker();
    void count_failure();
    void disown();
    void report(const std::string& why, bool lost = false);

    const Descriptor& descriptor_;
    const int bypass_;  // index of that parameter
    double sample_rate_ = 0;
    int channels_ = 0, longest_block_ = 0;
    bool realtime_ = false;  // as set up
    Mode mode_ = Mode::offline;  // of the block
    int64_t ring_ = kShortestRing;     // of the worker, in samples
    int64_t latency_ = 0, ahead_ = 0;  // ahead: the head start the worker has in real time, part of the latency

    std::unique_ptr<Worker> worker_;
    std::unique_ptr<Start> starting_;
    int64_t owner_;  // the process this was made in: a fork starts a worker of its own
    int failures_ = 0;
    int64_t not_before_ns_ = 0;  // the circuit breaker

    bool fresh_ = true;     // no block since the reset
    bool in_step_ = false;  // the worker follows the stream
    int64_t position_ = 0;  // of the next sample; never goes back
    int64_t origin_ = 0;    // of the first sample since the reset
    int64_t sound_from_ = 0;  // of the first sound since origin_, or of the next sample if there was none yet
    int64_t followed_from_ = 0;  // of the first sample the worker was given since its reset
    int64_t wet_from_ = 0;  // the worker's output is good from here on
    int64_t silent_ = 0;    // samples of silence without a move, up to position_
    bool resting_ = false;  // the worker is not given the current silence
    int64_t gap_from_ = 0, gap_to_ = 0;  // samples that it was not given; its output is silence there
    int64_t deadline_ns_ = 0;
    std::vector<double> values_;            // of all parameters, at position_
    std::vector<float> dry_[kMaxChannels];  // rings of the input
    std::vector<Move> handed_;
    Move packet_[kMaxMoves];

    struct Switch {
        int64_t position;
        bool on;
    };
    std::deque<Switch> switches_;  // of the bypass, at output positions
    bool bypassed_ = false;
    double wetness_ = 1, step_ = 1;  // cross-fade between dry, 0, and wet, 1
    float gap_[kMaxChannels] = {};   // wet minus dry at the last sample that was there wet
    bool fading_out_ = false, went_dry_ = false, reported_ = false;
    std::string reported_why_;
    int64_t reported_ns_ = 0;

    std::atomic<bool> values_changed_{false};
    std::vector<std::atomic<double>> new_values_;
};

}  // namespace stembridge
