// Keeps a worker running: starts it in the background, and replaces it if it fails, but not again and again.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "platform.h"
#include "report.h"
#include "worker.h"

namespace stembridge {

class Supervisor {
public:
    Supervisor(const Descriptor& descriptor, const Model& model, Report& report);
    ~Supervisor();

    Worker& worker() { return *worker_; }  // while it starts, a placeholder that is never ready
    const Worker& worker() const { return *worker_; }
    bool starting() const { return starting_ != nullptr; }
    bool failing() const { return failures_ > 0; }  // the last worker failed, and perhaps some before it
    bool may_start() const { return now_ns() >= not_before_ns_; }

    // Start in the background. A start that is under way continues with the new settings.
    void start(double sample_rate, int channels);
    // Take the worker over if its start has ended.
    void take_started();
    // Wait until the start has ended, and take the worker over. deadline_ns: 0 for no deadline.
    void wait_for_start(int64_t deadline_ns);
    // Count a failure of the worker. One that fails at once may be replaced once; after that the pauses double.
    void count_failure();
    void forget_failures() { failures_ = 0, not_before_ns_ = 0; }
    // Returns true in a fork of the process that has the worker. The fork leaves that worker alone, and starts its own.
    bool leave_if_forked();

private:
    struct Start;  // starts a worker in a thread

    void stop_starting();

    const Descriptor& descriptor_;
    const Model& model_;
    Report& report_;
    std::unique_ptr<Worker> worker_;
    std::unique_ptr<Start> starting_;
    int64_t owner_;  // the process that has the worker
    double sample_rate_ = 0;
    int failures_ = 0;
    int64_t not_before_ns_ = 0;  // no start before this time, after repeated failures
};

}  // namespace stembridge
