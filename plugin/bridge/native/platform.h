// All that depends on the operating system: where this library lies, and a child process with a socket and shared memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

// What a host or Python may call.
#if defined(_WIN32)
#define STEMBRIDGE_EXPORT extern "C" __declspec(dllexport)
#else
#define STEMBRIDGE_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace stembridge {

// The bundle's Contents/Resources folder, found from where this library was loaded.
std::string resources_folder();

// Nanoseconds that never go back.
int64_t now_ns();

// Identifies this process; a fork has another.
int64_t process_id();

// Give the calling thread ordinary priority and all cores that the process may use. Threads and processes inherit both
// from the thread that starts them, and a host's audio thread may have real-time priority and a single core.
void use_ordinary_scheduling();

// A process of ours, to whose end of a socket and memory nobody else has access. Destroying it ends the process.
class Child {
public:
    // arguments[0] is the program. Null, with the reason, if it cannot be started.
    static std::unique_ptr<Child> start(const std::vector<std::string>& arguments, size_t memory_size,
                                        std::string* error);
    virtual ~Child() = default;

    virtual char* memory() = 0;
    // Never blocks. False if it did not go: the child is gone, or does not read.
    virtual bool send(const void* data, size_t size) = 0;
    // Size of the packet received; 0 if none came in time, -1 if none will ever come. eager: stay awake for a while,
    // where the time to be woken matters and the processor's does not.
    virtual long receive(void* data, size_t size, int64_t timeout_ns, bool eager) = 0;
    virtual void kill() = 0;
    // How it ended, once it has: "was killed by signal 9".
    virtual std::string end() = 0;
};

}  // namespace stembridge
