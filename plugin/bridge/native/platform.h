// Everything that depends on the operating system: the path of this library, and a child process with a socket and
// shared memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

// Marks functions that a host or Python calls.
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

// The id of this process. A fork has another one.
int64_t process_id();

// Give the calling thread ordinary priority and all cores that the process may use. Threads and processes inherit both
// from the thread that starts them, and a host's audio thread may have real-time priority and a single core.
void use_ordinary_scheduling();

// A child process, with a socket and memory that no other process can use. Destroying this object ends the process.
class Child {
public:
    // arguments[0] is the program. Returns null, with the reason, if it cannot be started.
    static std::unique_ptr<Child> start(const std::vector<std::string>& arguments, size_t memory_size,
                                        std::string* error);
    virtual ~Child() = default;

    virtual char* memory() = 0;
    // Never blocks. Returns false if the packet was not sent: the child is gone, or does not read.
    virtual bool send(const void* data, size_t size) = 0;
    // Returns the size of the received packet, 0 if none came in time, or -1 if none can come any more. eager: stay awake
    // for a while, if the time to wake up matters more than processor time.
    virtual long receive(void* data, size_t size, int64_t timeout_ns, bool eager) = 0;
    virtual void kill() = 0;
    // How it ended, if it has: "was killed by signal 9".
    virtual std::string end() = 0;
};

}  // namespace stembridge
