// Counts the blocks of each instance that went out dry by mistake, for Python code that loaded the library.
#pragma once

#include <atomic>
#include <cstdint>

namespace stembridge {

class Dropouts {
public:
    Dropouts();
    ~Dropouts();
    void add() { ++count_; }

private:
    const int64_t instance_;
    std::atomic<int64_t>& count_;
};

}  // namespace stembridge
