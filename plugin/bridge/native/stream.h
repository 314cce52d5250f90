// A stream of audio through an engine. It stays in time to the sample, even if the engine fails.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine.h"

namespace stembridge {

// Whether the worker makes the sound. changing: the chosen model is not ready yet, and another one plays. other_model:
// the chosen model is not available, and another one plays. The texts are in controller.cpp.
enum class Status { running, starting, dry, failed, changing, other_model };

class Stream {
public:
    explicit Stream(const Descriptor& descriptor);
    ~Stream();

    // Call before audio is processed. Starts a worker in the background, and waits for it only if the latency is not known
    // otherwise; in real time not for long.
    void configure(const Setup& setup);
    // Change to another of the descriptor's models. In the middle of a stream the old one plays until the new one is in
    // step, and then they cross-fade; offline the stream waits for the new one. May be called by any thread.
    void choose(size_t model) { chosen_ = model; }
    // Forget all audio. The next block's parameters at offset 0 act at once, without a glide.
    void reset() { fresh_ = true, project_time_.reset(); }
    // The same where the host starts to play or jumps: the next block is at that position of its project, in samples. The
    // sound is then the same as if the worker had received the project's sound from its start.
    void reset_at(int64_t project_time) { fresh_ = true, project_time_ = project_time; }
    // Set the plain values of all parameters after a change outside a block. May be called by any thread.
    void set_values(const std::vector<double>& values);
    // Process a block. A null input is silence; inputs may be outputs. outputs: see DryWet::render. moves: sorted by
    // offset, including those of the bypass. Returns false if a sample went out dry by mistake.
    bool process(const float* const* inputs, float* const* outputs, int length, const std::vector<Move>& moves,
                 Mode mode);

    int64_t latency() const;                // of the model that was chosen last, in samples. For any thread
    int64_t tail() const { return tail_; }  // see Worker::tail. For any thread
    Status status() const;                  // during the last block
    const std::vector<double>& meters() const { return engine_->meters(); }
    // Play the input without latency, as long as the latency is not known.
    void pass_through(const float* const* inputs, float* const* outputs, int channels, int length) const;

private:
    struct Farewell;  // ends an engine in a thread, because this may take a while

    void take_values(const std::vector<Move>& moves);
    void begin_afresh(const std::vector<Move>& moves, bool offline);
    void process_piece(const Piece& piece);
    const Model& chosen() const { return descriptor_.models[chosen_]; }
    bool make_next();
    void follow_choice(bool offline);
    void fade_over(int length);
    void take_over();
    void part_with(std::unique_ptr<Engine> engine);
    void show_latency();
    void leave_if_forked();

    const Descriptor& descriptor_;
    const int bypass_;                       // index of the bypass
    const int outputs_;                      // number of outputs
    std::unique_ptr<Engine> engine_, next_;  // next: for the chosen model, until it is in step
    std::unique_ptr<Farewell> farewell_;
    bool fading_ = false;  // from the engine to the next
    double fade_ = 0;      // share of the next
    std::vector<float> faded_;
    std::vector<float*> faded_at_;

    Setup setup_;
    bool fresh_ = true;                    // no block since the reset
    std::optional<int64_t> project_time_;  // of the first block after the reset
    int64_t hops_from_ = 0;                // as for Follower::join
    int64_t position_ = 0;                 // of the next sample; never goes back
    int64_t origin_ = 0;                   // of the first sample since the reset
    bool went_dry_ = false;
    std::vector<double> values_;  // of all parameters, at position_
    std::vector<Move> handed_;
    std::vector<float*> outputs_at_;  // destinations of the current piece

    std::atomic<size_t> chosen_{0};               // index of a model
    std::atomic<const Model*> playing_;           // the engine's
    std::atomic<int64_t> latency_{0}, tail_{-1};  // the engine's
    std::atomic<bool> values_changed_{false};
    std::vector<std::atomic<double>> new_values_;
};

}  // namespace stembridge
