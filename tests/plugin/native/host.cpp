// A small VST 3 host for the tests: runs a bundle's library over a file of samples, in real time or as fast as it goes.
//
//   host LIBRARY INPUT OUTPUT key=value ...
//
// INPUT and OUTPUT: float32, planar, `channels` times as many samples as there are. Keys: rate (Hz), channels, block
// (samples), realtime (0 or 1: the process mode, and whether blocks come at the pace of the sound), slower (how many
// times as slowly they come then), and any number of move=SAMPLE:TITLE:NORMALISED, a point in a parameter's queue.
// Prints "key value" lines: the latency in samples, before the first block; the first sample and the length of each
// block that went out dry; and per call the longest time, the 99th percentile and the median (ms) and how many took
// longer than the block lasts.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "vst3.h"

using namespace vst3;

namespace {

int64_t now_ns() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * int64_t{1'000'000'000} + time.tv_nsec;
}

void sleep_until(int64_t ns) {
    timespec time{ns / 1'000'000'000, ns % 1'000'000'000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr) != 0) {
    }
}

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "host: %s\n", what);
    std::exit(1);
}

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
    Result addPoint(int32_t, double, int32_t*) override { return kResultFalse; }
};

struct Changes : IParameterChanges {
    std::vector<Queue> queues;
    Result queryInterface(const Uid&, void**) override { return kNoInterface; }
    uint32_t addRef() override { return 1; }
    uint32_t release() override { return 1; }
    int32_t getParameterCount() override { return static_cast<int32_t>(queues.size()); }
    IParamValueQueue* getParameterData(int32_t index) override { return &queues[index]; }
    IParamValueQueue* addParameterData(const ParamId&, int32_t*) override { return nullptr; }

    void fill(const std::vector<Point>& points, int64_t from, int64_t to) {
        std::map<ParamId, Queue> by_id;
        for (const Point& point : points) {
            if (point.sample < from || point.sample >= to) continue;
            by_id[point.id].id = point.id;
            by_id[point.id].points.emplace_back(static_cast<int32_t>(point.sample - from), point.value);
        }
        queues.clear();
        for (auto& [id, queue] : by_id) queues.push_back(queue);
    }
};

std::vector<float> read_file(const char* path) {
    std::vector<float> samples;
    float buffer[4096];
    std::FILE* file = std::fopen(path, "rb");
    if (!file) fail("cannot read the input");
    for (size_t n; (n = std::fread(buffer, sizeof(float), 4096, file)) > 0;)
        samples.insert(samples.end(), buffer, buffer + n);
    std::fclose(file);
    return samples;
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 4) fail("usage: host LIBRARY INPUT OUTPUT key=value ...");
    double rate = 44100, slower = 1;
    int channels = 2, block = 256, realtime = 1;
    std::vector<std::string> wanted;
    for (int i = 4; i < count; i++) {
        std::string argument = arguments[i], value = argument.substr(argument.find('=') + 1);
        if (argument.rfind("rate=", 0) == 0) rate = std::atof(value.c_str());
        if (argument.rfind("channels=", 0) == 0) channels = std::atoi(value.c_str());
        if (argument.rfind("block=", 0) == 0) block = std::atoi(value.c_str());
        if (argument.rfind("realtime=", 0) == 0) realtime = std::atoi(value.c_str());
        if (argument.rfind("slower=", 0) == 0) slower = std::atof(value.c_str());
        if (argument.rfind("move=", 0) == 0) wanted.push_back(value);
    }

    void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) fail(dlerror());
    auto entry = reinterpret_cast<bool (*)(void*)>(dlsym(library, "ModuleEntry"));
    auto get_factory = reinterpret_cast<IPluginFactory* (*)()>(dlsym(library, "GetPluginFactory"));
    if (!entry || !entry(library) || !get_factory) fail("not a VST 3 library");
    IPluginFactory* factory = get_factory();
    PClassInfo info;
    if (factory->countClasses() != 1 || factory->getClassInfo(0, &info) != kResultOk) fail("no class");
    auto create = [&](const Uid& id) {
        void* object = nullptr;
        factory->createInstance(reinterpret_cast<const char*>(info.cid.bytes), reinterpret_cast<const char*>(id.bytes),
                                &object);
        return object;
    };
    auto* component = static_cast<IComponent*>(create(IComponent::kId));
    if (!component || component->initialize(nullptr) != kResultOk) fail("no component");
    void *as_processor = nullptr, *as_controller = nullptr;
    component->queryInterface(IAudioProcessor::kId, &as_processor);
    component->queryInterface(IEditController::kId, &as_controller);
    auto* processor = static_cast<IAudioProcessor*>(as_processor);
    auto* controller = static_cast<IEditController*>(as_controller);
    if (!processor || !controller) fail("not a processor and controller in one");

    std::map<std::string, ParamId> ids;
    for (int i = 0; i < controller->getParameterCount(); i++) {
        ParameterInfo parameter;
        controller->getParameterInfo(i, &parameter);
        std::string title;
        for (char16_t* c = parameter.title; *c; c++) title += static_cast<char>(*c);
        ids[title] = parameter.id;
    }
    std::vector<Point> points;
    for (const std::string& move : wanted) {
        size_t first = move.find(':'), last = move.rfind(':');
        auto found = ids.find(move.substr(first + 1, last - first - 1));
        if (found == ids.end()) fail("no parameter of that title");
        points.push_back({std::atoll(move.c_str()), found->second, std::atof(move.c_str() + last + 1)});
    }

    SpeakerArrangement arrangement = channels == 1 ? kMono : kStereo;
    if (processor->setBusArrangements(&arrangement, 1, &arrangement, 1) != kResultOk) fail("channels refused");
    ProcessSetup setup{realtime ? kRealtime : kOffline, kSample32, block, rate};
    if (processor->setupProcessing(&setup) != kResultOk) fail("setup refused");
    component->activateBus(kAudio, kInput, 0, 1);
    component->activateBus(kAudio, kOutput, 0, 1);
    component->setActive(1);
    std::printf("latency %u\n", processor->getLatencySamples());
    std::fflush(stdout);
    processor->setProcessing(1);

    std::vector<float> input = read_file(arguments[2]), output(input.size());
    int64_t length = static_cast<int64_t>(input.size()) / channels;
    auto count_dropouts = reinterpret_cast<int64_t (*)(int64_t)>(dlsym(library, "stembridge_dropouts"));
    auto newest = reinterpret_cast<int64_t (*)()>(dlsym(library, "stembridge_newest"));
    int64_t instance = newest(), dropouts = count_dropouts(instance);
    std::vector<int64_t> took;
    std::vector<std::pair<int64_t, int32_t>> dry;
    int64_t late = 0, start_ns = now_ns();
    for (int64_t from = 0; from < length; from += block) {
        int32_t size = static_cast<int32_t>(std::min<int64_t>(block, length - from));
        float *in[2], *out[2];
        for (int c = 0; c < channels; c++) in[c] = &input[c * length + from], out[c] = &output[c * length + from];
        AudioBusBuffers ins{channels, 0, in}, outs{channels, 0, out};
        Changes changes;
        changes.fill(points, from, from + size);
        ProcessData data{setup.processMode, kSample32, size, 1, 1, &ins, &outs, &changes, nullptr, nullptr, nullptr,
                         nullptr};
        double seconds = slower * static_cast<double>(from + size) / rate;
        if (realtime) sleep_until(start_ns + static_cast<int64_t>(1e9 * seconds));
        int64_t before = now_ns();
        if (processor->process(&data) != kResultOk) fail("process refused");
        took.push_back(now_ns() - before);
        late += static_cast<double>(took.back()) > 1e9 * size / rate;
        if (count_dropouts(instance) != dropouts) dry.emplace_back(from, size);
        dropouts = count_dropouts(instance);
    }
    processor->setProcessing(0);
    component->setActive(0);
    for (auto [from, size] : dry) std::printf("dry %lld %d\n", static_cast<long long>(from), size);
    std::printf("dropouts %lld\n", static_cast<long long>(dropouts));
    std::sort(took.begin(), took.end());
    std::printf("longest_ms %.3f\np99_ms %.3f\np50_ms %.3f\nlate %lld\n", took.back() / 1e6,
                took[took.size() * 99 / 100] / 1e6, took[took.size() / 2] / 1e6,
                static_cast<long long>(late));
    controller->release();
    processor->release();
    component->terminate();
    component->release();
    std::FILE* file = std::fopen(arguments[3], "wb");
    if (!file || std::fwrite(output.data(), sizeof(float), output.size(), file) != output.size()) fail("cannot write");
    std::fclose(file);
    return 0;
}
