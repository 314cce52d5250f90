#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "platform.h"

extern char** environ;

namespace stembridge {

namespace {

constexpr int kSocket = 3, kMemory = 4;            // descriptors in the child
constexpr int64_t kEndTimeoutNs = 500'000'000;     // for a child to end by itself
constexpr int64_t kKillTimeoutNs = 5'000'000'000;  // for a killed process to end
constexpr int kSendBufferBytes = 1 << 20;          // for packets that the child has not read
constexpr int64_t kAwakeNs = 200'000;              // waking up on another core takes 50 to 100 us
constexpr int kFirstFree = 64;                     // new descriptors are above those that the child's are copied to

void pause_ns(long ns) {
    timespec time{0, ns};
    nanosleep(&time, nullptr);
}

int moved_up(int fd) {
    int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, kFirstFree);
    if (fd >= 0) close(fd);
    return copy;
}

class LinuxChild : public Child {
public:
    ~LinuxChild() override {
        if (owner_ == getpid()) {
            shutdown(socket_, SHUT_RDWR);  // the child sees it even if a fork of this process still holds the socket
            int64_t start = now_ns();
            while (pid_ > 0 && !reaped() && now_ns() < start + kEndTimeoutNs + kKillTimeoutNs) {
                if (now_ns() > start + kEndTimeoutNs) kill();
                pause_ns(200'000);
            }
        }
        if (socket_ >= 0) close(socket_);
        if (memory_) munmap(memory_, size_);
    }

    bool open(const std::vector<std::string>& arguments, size_t memory_size, std::string* error) {
        int sockets[2] = {-1, -1};
        int memory = moved_up(memfd_create("stembridge", MFD_CLOEXEC));
        bool ready = memory >= 0 && ftruncate(memory, static_cast<off_t>(memory_size)) == 0 &&
                     socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0;
        // Short blocks fill it soon if the child is delayed. The system may have a lower limit.
        if (ready) setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof kSendBufferBytes);
        socket_ = moved_up(sockets[0]);
        int theirs = moved_up(sockets[1]);
        void* mapped = MAP_FAILED;
        if (ready) mapped = mmap(nullptr, memory_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
        ready = ready && socket_ >= 0 && theirs >= 0 && mapped != MAP_FAILED;
        if (mapped != MAP_FAILED) memory_ = static_cast<char*>(mapped), size_ = memory_size;
        int code = ready ? spawn(arguments, theirs, memory) : errno;
        if (theirs >= 0) close(theirs);
        if (memory >= 0) close(memory);
        if (code != 0) *error = "cannot start " + arguments[0] + " (" + std::strerror(code) + ")";
        if (code == ENOENT || code == EACCES || code == ENOTDIR)
            *error += "; install the plugin again from the Python environment that is there now";
        return code == 0;
    }

    char* memory() override { return memory_; }

    bool send(const void* data, size_t size) override {
        long sent;
        do sent = ::send(socket_, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        return sent == static_cast<long>(size);
    }

    long receive(void* data, size_t size, int64_t timeout_ns, bool eager) override {
        int64_t start = now_ns(), deadline = start + timeout_ns, awake_until = eager ? start + kAwakeNs : start;
        for (;;) {
            long received = recv(socket_, data, size, MSG_DONTWAIT);
            if (received > 0) return received;
            if (received == 0 || (errno != EAGAIN && errno != EINTR)) return -1;
            int64_t now = now_ns(), remaining = deadline - now;
            if (remaining <= 0) return 0;
            if (now < awake_until) {
                sched_yield();
                continue;
            }
            pollfd poll{socket_, POLLIN, 0};
            timespec time{remaining / 1'000'000'000, remaining % 1'000'000'000};
            ppoll(&poll, 1, &time, nullptr);
        }
    }

    void kill() override {
        if (pid_ > 0 && owner_ == getpid() && !reaped()) ::kill(pid_, SIGKILL);
    }

    std::string end() override {
        for (int i = 0; i < 500 && pid_ > 0 && !reaped(); i++) pause_ns(1'000'000);
        if (pid_ > 0) return "closed its connection";
        if (status_ < 0) return "is gone";
        if (WIFSIGNALED(status_)) return "was killed by signal " + std::to_string(WTERMSIG(status_));
        return "ended with exit code " + std::to_string(WEXITSTATUS(status_));
    }

private:
    int spawn(const std::vector<std::string>& arguments, int socket, int memory) {
        std::vector<char*> argv;
        for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
        argv.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        // A processor's output must not get into the host's, and the host may have closed its own.
        if (fcntl(2, F_GETFD) < 0) posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_adddup2(&actions, 2, 1);
        posix_spawn_file_actions_adddup2(&actions, socket, kSocket);
        posix_spawn_file_actions_adddup2(&actions, memory, kMemory);
        posix_spawnattr_t attributes;
        posix_spawnattr_init(&attributes);
        // Do not inherit an audio thread's blocked signals. Block only Ctrl-C, which is for the host, until the child
        // ignores it.
        sigset_t interrupt, all;
        sigemptyset(&interrupt);
        sigaddset(&interrupt, SIGINT);
        sigfillset(&all);
        posix_spawnattr_setsigmask(&attributes, &interrupt);
        posix_spawnattr_setsigdefault(&attributes, &all);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        int code = posix_spawnp(&pid_, argv[0], &actions, &attributes, argv.data(), environ);
        if (code != 0) pid_ = -1;
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return code;
    }

    // Returns whether the child has ended. From then on its id may belong to another process.
    bool reaped() {
        int status = 0;
        pid_t pid = waitpid(pid_, &status, WNOHANG);
        if (pid == 0 || (pid < 0 && errno == EINTR)) return false;
        status_ = pid > 0 ? status : -1;  // the host may have reaped it first
        pid_ = -1;
        return true;
    }

    const pid_t owner_ = getpid();
    pid_t pid_ = -1;
    int socket_ = -1, status_ = -1;
    char* memory_ = nullptr;
    size_t size_ = 0;
};

}  // namespace

std::string resources_folder() {
    Dl_info info{};
    static const char here = 0;
    if (!dladdr(&here, &info) || !info.dli_fname) return "";
    std::string path = info.dli_fname;  // <bundle>/Contents/<architecture>/<name>.so
    for (int i = 0; i < 2; i++) path.erase(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
    return path + "/Resources";
}

int64_t now_ns() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * int64_t{1'000'000'000} + time.tv_nsec;
}

int64_t process_id() { return getpid(); }

void use_ordinary_scheduling() {
    sched_param priority{};
    pthread_setschedparam(pthread_self(), SCHED_OTHER, &priority);
    cpu_set_t cores;
    if (sched_getaffinity(getpid(), sizeof cores, &cores) == 0) sched_setaffinity(0, sizeof cores, &cores);
}

std::unique_ptr<Child> Child::start(const std::vector<std::string>& arguments, size_t memory_size, std::string* error) {
    auto child = std::make_unique<LinuxChild>();
    return child->open(arguments, memory_size, error) ? std::move(child) : nullptr;
}

}  // namespace stembridge

// How a host on Linux enters and leaves the library.
STEMBRIDGE_EXPORT bool ModuleEntry(void*) { return true; }
STEMBRIDGE_EXPORT bool ModuleExit() { return true; }
