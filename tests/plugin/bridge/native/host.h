// The parts of a VST 3 host, for the tests.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "vst3.h"

namespace host {

using namespace vst3;

int64_t now_ns();
void sleep_until(int64_t ns);
[[noreturn]] void fail(const char* what);

struct Point {
    int64_t sample;
    ParamId id;
    double value;
};

struct Queue : IParamValueQueue {
    ParamId id = 0;
    std::vector<std::pair<int32_t, double>> points;
    Result queryInterface(const Uid&, void**) override { return kNoInterface; }
    uint32_t addRef() override { return 1; }
    uint32_t release() override { return 1; }
    ParamId getParameterId() override { return id; }
    int32_t getPointCount() override { return static_cast<int32_t>(points.size()); }
    Result getPoint(int32_t index, int32_t* offset, double* value) override {
        *offset = points[index].first, *value = points[index].second;
        return kResultOk;
    }
    Result addPoint(int32_t offset, double value, int32_t*) override {
        points.emplace_back(offset, value);
        return kResultOk;
    }
};

struct Changes : IParameterChanges {
    std::vector<Queue> queues;
    Changes() { queues.reserve(64); }  // the plugin keeps pointers to them
    Result queryInterface(const Uid&, void**) override { return kNoInterface; }
    uint32_t addRef() override { return 1; }
    uint32_t release() override { return 1; }
    int32_t getParameterCount() override { return static_cast<int32_t>(queues.size()); }
    IParamValueQueue* getParameterData(int32_t index) override { return &queues[index]; }
    IParamValueQueue* addParameterData(const ParamId& id, int32_t*) override {
        queues.emplace_back();
        queues.back().id = id;
        return &queues.back();
    }

    void fill(const std::vector<Point>& points, int64_t from, int64_t to);
};

// A bundle's library.
struct Library {
    IPluginFactory* factory = nullptr;
    PClassInfo info;
    int64_t (*newest)() = nullptr;
    int64_t (*count_dropouts)(int64_t) = nullptr;

    explicit Library(const char* path);
};

// A host's description of itself.
struct Application : IHostApplication {
    std::u16string name;
    explicit Application(std::u16string named) : name(std::move(named)) {}
    Result queryInterface(const Uid& id, void** object) override {
        *object = id == IHostApplication::kId ? this : nullptr;
        return *object ? kResultOk : kNoInterface;
    }
    uint32_t addRef() override { return 1; }
    uint32_t release() override { return 1; }
    Result getName(String128 text) override;
    Result createInstance(const Uid&, const Uid&, void**) override { return kNotImplemented; }
};

// The input of a plugin with a block, and its output.
struct Block {
    int channels = 2, outputs = 1;
    float **in = nullptr, **out = nullptr;  // `out` has the channels of one output after the other
    int size = 0;
    int32_t mode = kRealtime;
    Changes *changes = nullptr, *shown = nullptr;
    ProcessContext* transport = nullptr;
    uint64_t silence = 0;  // flags, of the input and then of the first output
    bool wide = false;     // 64-bit samples
    int in_channels = 0;   // if it differs from the channels of an output
};

// Counts a plugin's reports to its host. It must not report while it processes, in the audio thread.
struct Handler : IComponentHandler {
    int values_changed = 0, latency_changed = 0;
    static inline bool processing = false;
    Result queryInterface(const Uid&, void**) override { return kNoInterface; }
    uint32_t addRef() override { return 1; }
    uint32_t release() override { return 1; }
    Result beginEdit(ParamId) override { return kResultOk; }
    Result performEdit(ParamId, double) override { return kResultOk; }
    Result endEdit(ParamId) override { return kResultOk; }
    Result restartComponent(int32_t flags) override {
        if (processing) fail("restart asked for by process");
        values_changed += (flags & kParamValuesChanged) != 0;
        latency_changed += (flags & kLatencyChanged) != 0;
        return kResultOk;
    }
};

// A state in memory.
struct Memory : IBStream {
    std::string text;
    size_t at = 0;
    Result queryInterface(const Uid&, void**) override { return kNoInterface; }
    uint32_t addRef() override { return 1; }
    uint32_t release() override { return 1; }
    Result read(void* buffer, int32_t size, int32_t* done) override {
        *done = static_cast<int32_t>(text.copy(static_cast<char*>(buffer), size, at));
        at += *done;
        return kResultOk;
    }
    Result write(void* buffer, int32_t size, int32_t*) override {
        text.append(static_cast<char*>(buffer), size);
        return kResultOk;
    }
    Result seek(int64_t, int32_t, int64_t*) override { return kNotImplemented; }
    Result tell(int64_t*) override { return kNotImplemented; }
};

struct Plugin {
    IComponent* component = nullptr;
    IAudioProcessor* processor = nullptr;
    IEditController* controller = nullptr;
    const Library& library;
    int64_t instance;
    std::map<std::string, ParamId> ids;

    explicit Plugin(const Library& from, FUnknown* context = nullptr);
    ~Plugin();

    template <typename Interface>
    Interface* find() {
        void* found = nullptr;
        component->queryInterface(Interface::kId, &found);
        return static_cast<Interface*>(found);
    }
    Result arrange(int in_channels, int out_channels, int outputs = 1);
    Result arrange(int channels) { return arrange(channels, channels); }
    // Ardour does this in its audio thread, in the middle of a stream: only the first `outputs` outputs are in use.
    void connect(int in_channels, int out_channels, int outputs);
    Result set_up(double rate, int block, int32_t mode, int32_t sample_size = kSample32);
    int64_t dropouts() const { return library.count_dropouts(instance); }
    std::string text(ParamId id, double value);
    std::string title(ParamId id) const;

    Result process(Block& block);
    Result process(float** in, float** out, int channels, int size, int32_t mode);
    // Waits for the worker with an offline block, and then starts the stream again.
    void wait_until_ready(int channels);
};

std::string ascii(const char16_t* text);

// The verbs of the command line: see host.cpp.
int play(const Library& library, int count, char** arguments);
int check(const Library& library);
int load(const Library& library, int count);

}  // namespace host
