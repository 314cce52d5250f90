#include "report.h"

#include <cstdio>

#include "platform.h"

namespace stembridge {

namespace {

constexpr int64_t kSaidAgain = 1'000'000'000;  // ns until the same reason is reported again

}  // namespace

void Report::dry(const std::string& why, bool lost) {
    bool again = why == why_;
    if (!waiting_.empty()) {
        if (lost && !again)
            std::fprintf(stderr, "stembridge: %s: cannot change to the model %s yet, because %s\n", name_.c_str(),
                         waiting_.c_str(), why.c_str());
        if (lost) why_ = why;
        return;
    }
    if (reported_ ? again || !lost : again && now_ns() < reported_ns_ + kSaidAgain) return;
    std::fprintf(stderr, "stembridge: %s: %s %.3f s%s, because %s\n", name_.c_str(),
                 reported_ ? "still dry at" : "dry from", seconds_, reported_ ? "" : " on",
                 why.empty() ? "its process is not running" : why.c_str());
    reported_ = true;
    why_ = why;
    reported_ns_ = now_ns();
}

}  // namespace stembridge
