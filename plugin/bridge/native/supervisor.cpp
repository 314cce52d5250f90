#include "supervisor.h"

#include <algorithm>
#include <chrono>
#include <system_error>

namespace stembridge {

namespace {

constexpr int64_t kMillisecond = 1'000'000;
constexpr int64_t kSlowBirth = 5000 * kMillisecond;     // if a failed start took longer, a retry would hold up the host
constexpr int64_t kProvenTime = 10'000 * kMillisecond;  // a worker that lived so long, or
constexpr double kProvenAudio = 1;                      // was given so many seconds of sound, is in no crash loop
constexpr int64_t kFirstPause = 500 * kMillisecond, kLongestPause = 30'000 * kMillisecond;

}  // namespace

struct Supervisor::Start {
    std::unique_ptr<Worker> worker;
    std::atomic<bool> cancelled{false}, finished{false};
    std::thread thread;

    ~Start() {
        cancelled = true;
        if (thread.joinable()) thread.join();
    }
};

Supervisor::Supervisor(const Descriptor& descriptor, const Model& model, Report& report)
    : descriptor_(descriptor),
      model_(model),
      report_(report),
      worker_(std::make_unique<Worker>(descriptor, model)),
      owner_(process_id()) {}

Supervisor::~Supervisor() { leave_if_forked(); }

void Supervisor::start(double sample_rate, int channels) {
    stop_starting();
    sample_rate_ = sample_rate;
    starting_ = std::make_unique<Start>();
    starting_->worker = std::move(worker_);
    worker_ = std::make_unique<Worker>(descriptor_, model_);
    try {
        starting_->thread = std::thread([start = starting_.get(), sample_rate, channels] {
            use_ordinary_scheduling();
            start->worker->configure(sample_rate, channels, start->cancelled);
            start->finished = true;
        });
    } catch (const std::system_error&) {  // the system refuses a thread, as it may for a deadline-scheduled one
        starting_->finished = true;
    }
}

void Supervisor::stop_starting() {
    if (!starting_) return;
    starting_->cancelled = true;
    if (starting_->thread.joinable()) starting_->thread.join();
    worker_ = std::move(starting_->worker);
    starting_.reset();
}

void Supervisor::take_started() {
    if (!starting_ || !starting_->finished) return;
    stop_starting();
    if (worker_->ready()) return;
    report_.dry(worker_->error(), true);
    count_failure();
}

void Supervisor::wait_for_start(int64_t deadline_ns) {
    while (starting_ && !starting_->finished && (deadline_ns == 0 || now_ns() < deadline_ns))
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    take_started();
}

void Supervisor::count_failure() {
    double given = static_cast<double>(worker_->given()) / sample_rate_;
    if (worker_->lived_ns() > kProvenTime || given > kProvenAudio) failures_ = 0;
    int64_t pause = 0;
    if (failures_ > 0) pause = std::min(kFirstPause << std::min(failures_ - 1, 10), kLongestPause);
    if (!worker_->was_ready() && worker_->lived_ns() > kSlowBirth) pause = kLongestPause;
    failures_++;
    not_before_ns_ = now_ns() + pause;
}

bool Supervisor::leave_if_forked() {
    if (process_id() == owner_) return false;
    owner_ = process_id();
    (void)starting_.release();  // its thread is not in this process
    worker_ = std::make_unique<Worker>(descriptor_, model_);
    forget_failures();
    return true;
}

}  // namespace stembridge
