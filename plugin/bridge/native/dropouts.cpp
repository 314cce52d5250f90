#include "dropouts.h"

#include <map>
#include <mutex>

#include "platform.h"

namespace stembridge {

namespace {

std::mutex mutex;
std::map<int64_t, std::atomic<int64_t>> counts;
int64_t made = 0;
// A host that reloads an instance destroys it and makes the next one: on that thread it goes on counting.
thread_local int64_t newest = 0, orphan = 0;

int64_t take_instance() {
    std::lock_guard<std::mutex> lock(mutex);
    newest = orphan ? orphan : ++made;
    orphan = 0;
    return newest;
}

std::atomic<int64_t>& count_of(int64_t instance) {
    std::lock_guard<std::mutex> lock(mutex);
    return counts[instance];
}

}  // namespace

Dropouts::Dropouts() : instance_(take_instance()), count_(count_of(instance_)) {}

Dropouts::~Dropouts() {
    std::lock_guard<std::mutex> lock(mutex);
    if (orphan) counts.erase(orphan);
    orphan = instance_;
}

}  // namespace stembridge

// The instance made last on this thread.
STEMBRIDGE_EXPORT int64_t stembridge_newest() { return stembridge::newest; }

// How many blocks of an instance went out dry that should not have.
STEMBRIDGE_EXPORT int64_t stembridge_dropouts(int64_t instance) {
    std::lock_guard<std::mutex> lock(stembridge::mutex);
    auto found = stembridge::counts.find(instance);
    return found == stembridge::counts.end() ? 0 : found->second.load();
}
