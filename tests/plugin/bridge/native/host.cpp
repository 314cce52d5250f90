// A small VST 3 host for the tests.
//
//   host LIBRARY play INPUT OUTPUT key=value ...
//
// runs a bundle's library over a file of samples, in real time or as fast as it goes. INPUT and OUTPUT: float32, planar,
// `channels` times as many samples as there are. Keys: rate (Hz), channels, block (samples), realtime (0 or 1: how it is
// set up, and the mode of all blocks), slower (how many times as slowly real time goes), ready (0 to begin at once, 1 to
// wait for the worker first), fifo (1 for real-time scheduling of the thread that processes), and any number of
// mode=SAMPLE:MODE, the mode of all blocks from there on (0 realtime, 1 prefetch, 2 offline), and
// move=SAMPLE:TITLE:NORMALISED, a point in a parameter's queue. Blocks of mode 0 come at the pace of the sound. Prints "key
// value" lines: the latency in samples, before the first block; the first sample and the length of each block that went
// out dry and of each that was said to be silent; and per call the longest time, the 99th percentile and the median (ms)
// and how many took longer than the block lasts.
//
//   host LIBRARY check
//
// does what hosts do besides, in order and out of it, and prints what came of it.
//
//   host LIBRARY load COUNT
//
// activates so many instances, prints "active" once they are, and runs each until its sound is wet.
#include <dlfcn.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
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

struct Library {
    IPluginFactory* factory = nullptr;
    PClassInfo info;
    int64_t (*newest)() = nullptr;
    int64_t (*count_dropouts)(int64_t) = nullptr;

    explicit Library(const char* path) {
        void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!library) fail(dlerror());
        auto entry = reinterpret_cast<bool (*)(void*)>(dlsym(library, "ModuleEntry"));
        auto get_factory = reinterpret_cast<IPluginFactory* (*)()>(dlsym(library, "GetPluginFactory"));
        if (!entry || !entry(library) || !get_factory) fail("not a VST 3 library");
        factory = get_factory();
        if (factory->countClasses() != 1 || factory->getClassInfo(0, &info) != kResultOk) fail("no class");
        newest = reinterpret_cast<int64_t (*)()>(dlsym(library, "stembridge_newest"));
        count_dropouts = reinterpret_cast<int64_t (*)(int64_t)>(dlsym(library, "stembridge_dropouts"));
    }
};

struct Plugin {
    IComponent* component = nullptr;
    IAudioProcessor* processor = nullptr;
    IEditController* controller = nullptr;
    const Library& library;
    int64_t instance;
    std::map<std::string, ParamId> ids;

    explicit Plugin(const Library& from) : library(from) {
        void* object = nullptr;
        from.factory->createInstance(reinterpret_cast<const char*>(from.info.cid.bytes),
                                     reinterpret_cast<const char*>(IComponent::kId.bytes), &object);
        component = static_cast<IComponent*>(object);
        instance = from.newest();
        if (!component || component->initialize(nullptr) != kResultOk) fail("no component");
        processor = find<IAudioProcessor>();
        controller = find<IEditController>();
        if (!processor || !controller) fail("not a processor and controller in one");
        for (int i = 0; i < controller->getParameterCount(); i++) {
            ParameterInfo parameter;
            controller->getParameterInfo(i, &parameter);
            std::string title;
            for (char16_t* c = parameter.title; *c; c++) title += static_cast<char>(*c);
            ids[title] = parameter.id;
        }
    }
    ~Plugin() {
        component->setActive(0);
        controller->release();
        processor->release();
        component->terminate();
        component->release();
    }

    template <typename Interface>
    Interface* find() {
        void* found = nullptr;
        component->queryInterface(Interface::kId, &found);
        return static_cast<Interface*>(found);
    }
    Result arrange(int channels) {
        SpeakerArrangement arrangement = channels == 1 ? kMono : kStereo;
        return processor->setBusArrangements(&arrangement, 1, &arrangement, 1);
    }
    Result set_up(double rate, int block, int32_t mode) {
        ProcessSetup setup{mode, kSample32, block, rate};
        return processor->setupProcessing(&setup);
    }
    int64_t dropouts() const { return library.count_dropouts(instance); }

    Result process(float** in, float** out, int channels, int size, int32_t mode, Changes* changes = nullptr,
                   uint64_t* silence = nullptr) {
        AudioBusBuffers ins{channels, silence ? *silence : 0, in}, outs{channels, 0, out};
        ProcessData data{mode, kSample32, size, in != nullptr, 1, &ins, &outs, changes, nullptr, nullptr, nullptr, nullptr};
        Result result = processor->process(&data);
        if (silence) *silence = outs.silenceFlags;
        return result;
    }
    // Until the worker is there, which an offline block waits for; then as if nothing had been.
    void wait_until_ready(int channels) {
        float sample[2] = {}, *pointers[2] = {sample, sample + 1};
        process(pointers, pointers, channels, 1, kOffline);
        processor->setProcessing(0);
        processor->setProcessing(1);
    }
};

int play(const Library& library, int count, char** arguments) {
    if (count < 5) fail("usage: host LIBRARY play INPUT OUTPUT key=value ...");
    double rate = 44100, slower = 1;
    int channels = 2, block = 256, realtime = 1, ready = 1, fifo = 0;
    std::vector<std::string> moves;
    std::map<int64_t, int32_t> modes;
    for (int i = 5; i < count; i++) {
        std::string argument = arguments[i], value = argument.substr(argument.find('=') + 1);
        if (argument.rfind("rate=", 0) == 0) rate = std::atof(value.c_str());
        if (argument.rfind("channels=", 0) == 0) channels = std::atoi(value.c_str());
        if (argument.rfind("block=", 0) == 0) block = std::atoi(value.c_str());
        if (argument.rfind("realtime=", 0) == 0) realtime = std::atoi(value.c_str());
        if (argument.rfind("ready=", 0) == 0) ready = std::atoi(value.c_str());
        if (argument.rfind("fifo=", 0) == 0) fifo = std::atoi(value.c_str());
        if (argument.rfind("slower=", 0) == 0) slower = std::atof(value.c_str());
        if (argument.rfind("move=", 0) == 0) moves.push_back(value);
        if (argument.rfind("mode=", 0) == 0) modes[std::atoll(value.c_str())] = value.back() - '0';
    }
    Plugin plugin(library);
    std::vector<Point> points;
    for (const std::string& move : moves) {
        size_t first = move.find(':'), last = move.rfind(':');
        auto found = plugin.ids.find(move.substr(first + 1, last - first - 1));
        if (found == plugin.ids.end()) fail("no parameter of that title");
        points.push_back({std::atoll(move.c_str()), found->second, std::atof(move.c_str() + last + 1)});
    }
    sched_param priority{fifo ? 55 : 0};
    if (fifo && sched_setscheduler(0, SCHED_FIFO, &priority) != 0) fail("no real-time scheduling");
    if (plugin.arrange(channels) != kResultOk) fail("channels refused");
    if (plugin.set_up(rate, block, realtime ? kRealtime : kOffline) != kResultOk) fail("setup refused");
    plugin.component->activateBus(kAudio, kInput, 0, 1);
    plugin.component->activateBus(kAudio, kOutput, 0, 1);
    plugin.component->setActive(1);
    plugin.processor->setProcessing(1);
    if (ready) plugin.wait_until_ready(channels);
    std::printf("latency %u\n", plugin.processor->getLatencySamples());
    std::fflush(stdout);

    std::vector<float> input = read_file(arguments[3]), output(input.size());
    int64_t length = static_cast<int64_t>(input.size()) / channels, dropouts = plugin.dropouts();
    std::vector<int64_t> took;
    int64_t late = 0, start_ns = now_ns();
    int32_t mode = realtime ? kRealtime : kOffline;
    for (int64_t from = 0; from < length; from += block) {
        int32_t size = static_cast<int32_t>(std::min<int64_t>(block, length - from));
        float *in[2], *out[2];
        for (int c = 0; c < channels; c++) in[c] = &input[c * length + from], out[c] = &output[c * length + from];
        Changes changes;
        changes.fill(points, from, from + size);
        auto changed = modes.upper_bound(from);
        if (changed != modes.begin()) mode = std::prev(changed)->second;
        double seconds = slower * static_cast<double>(from + size) / rate;
        if (mode == kRealtime) sleep_until(start_ns + static_cast<int64_t>(1e9 * seconds));
        else start_ns = now_ns() - static_cast<int64_t>(1e9 * seconds);
        int64_t before = now_ns();
        uint64_t silence = 0;
        if (plugin.process(in, out, channels, size, mode, &changes, &silence) != kResultOk) fail("process refused");
        took.push_back(now_ns() - before);
        late += static_cast<double>(took.back()) > 1e9 * size / rate;
        if (plugin.dropouts() != dropouts) std::printf("dry %lld %d\n", static_cast<long long>(from), size);
        if (silence == (uint64_t{1} << channels) - 1) std::printf("silent %lld %d\n", static_cast<long long>(from), size);
        dropouts = plugin.dropouts();
    }
    plugin.processor->setProcessing(0);
    std::printf("dropouts %lld\n", static_cast<long long>(dropouts));
    std::sort(took.begin(), took.end());
    std::printf("longest_ms %.3f\np99_ms %.3f\np50_ms %.3f\nlate %lld\n", took.back() / 1e6,
                took[took.size() * 99 / 100] / 1e6, took[took.size() / 2] / 1e6, static_cast<long long>(late));
    std::FILE* file = std::fopen(arguments[4], "wb");
    if (!file || std::fwrite(output.data(), sizeof(float), output.size(), file) != output.size()) fail("cannot write");
    std::fclose(file);
    return 0;
}

// How many child processes there are, of all threads.
int children() {
    int found = 0, pid;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
        std::FILE* file = std::fopen((thread.path() / "children").c_str(), "r");
        while (file && std::fscanf(file, "%d", &pid) == 1) found++;
        if (file) std::fclose(file);
    }
    return found;
}

std::string text_of(Plugin& plugin, ParamId id, double value) {
    String128 text = {};
    plugin.controller->getParamStringByValue(id, value, text);
    std::string ascii;
    for (char16_t* c = text; *c; c++) ascii += static_cast<char>(*c);
    return ascii;
}

void type(Plugin& plugin, const char* title, const std::u16string& typed, const char* shown) {
    String128 text = {};
    std::copy_n(typed.data(), typed.size(), text);
    double value = -1;
    bool understood = plugin.controller->getParamValueByString(plugin.ids.at(title), text, &value) == kResultOk;
    std::printf("typed %s|%s|%s\n", title, shown,
                understood ? text_of(plugin, plugin.ids.at(title), value).c_str() : "refused");
}

int check(const Library& library) {
    PFactoryInfo maker;
    library.factory->getFactoryInfo(&maker);
    std::printf("vendor %s|%s|%s\n", maker.vendor, maker.url, maker.email);
    Plugin plugin(library);
    std::printf("initialized_twice %d\n", plugin.component->initialize(nullptr) == kResultOk);
    auto* requirements = plugin.find<IProcessContextRequirements>();
    std::printf("requirements %d\n", requirements ? static_cast<int>(requirements->getProcessContextRequirements()) : -1);
    if (requirements) requirements->release();

    float samples[2][64], *out[2] = {samples[0], samples[1]};
    auto fill = [&] {
        for (auto& channel : samples) std::fill_n(channel, 64, 0.5f);
    };
    auto all = [&](float expected) {
        for (auto& channel : samples)
            for (float sample : channel)
                if (sample != expected) return 0;
        return 1;
    };
    plugin.component->setActive(1);
    fill();
    Result result = plugin.process(out, out, 2, 64, kRealtime);
    std::printf("without_setup %d %d %u %d\n", result, all(0.5f), plugin.processor->getLatencySamples(), children());
    plugin.component->setActive(0);
    for (double rate : {0.0, -44100.0, 1234.0, 7999.0, 192001.0, 384000.0, 1e300, std::nan(""), 8000.0, 192000.0, 44100.0})
        std::printf("rate %.17g %d\n", rate, plugin.set_up(rate, 64, kRealtime) == kResultOk);
    std::printf("children_set_up %d\n", children());
    plugin.component->setActive(1);
    std::printf("arranged_while_active %d\n", plugin.arrange(1) == kResultOk);
    plugin.processor->setProcessing(1);
    fill();
    result = plugin.process(nullptr, out, 2, 64, kRealtime);
    std::printf("no_input %d %d\n", result, all(0));
    uint64_t silence = 3;
    fill();
    result = plugin.process(out, out, 2, 64, kRealtime, nullptr, &silence);
    std::printf("flagged_input %d %d %d\n", result, all(0), static_cast<int>(silence));
    plugin.component->setActive(0);
    std::printf("arranged_again %d\n", plugin.arrange(1) == kResultOk);

    const std::u16string numbers[] = {u"-6", u"-6.5", u"-6,5", u"+3", u" 3", u"3 ", u"-6 dB", u"-6,5dB", u"\u22126",
                                      u"-inf", u"-inf dB", u"-INF", u"-\u221e", u"1e1", u"99", u"", u" ", u"-", u"+",
                                      u"+-3", u"3x", u"six", u"1,5.5", u"1.2.3", u"inf", u"nan", u"dB", u"3 Hz"};
    const char* shown[] = {"-6", "-6.5", "-6,5", "+3", " 3", "3 ", "-6 dB", "-6,5dB", "minus6", "-inf", "-inf dB", "-INF",
                           "minus infinity", "1e1", "99", "", " ", "-", "+", "+-3", "3x", "six", "1,5.5", "1.2.3", "inf",
                           "nan", "dB", "3 Hz"};
    for (size_t i = 0; i < std::size(numbers); i++) type(plugin, "Level", numbers[i], shown[i]);
    for (const char* word : {"on", "On", "ON", "true", "off", "Off", "false", " on ", "1", "0", "maybe", ""})
        type(plugin, "Switch", std::u16string(word, word + std::string(word).size()), word);
    std::printf("lowest %s\nhighest %s\n", text_of(plugin, plugin.ids.at("Level"), 0).c_str(),
                text_of(plugin, plugin.ids.at("Level"), 1).c_str());
    return 0;
}

int load(const Library& library, int count) {
    std::vector<std::unique_ptr<Plugin>> plugins;
    for (int i = 0; i < count; i++) {
        plugins.push_back(std::make_unique<Plugin>(library));
        Plugin& plugin = *plugins.back();
        if (plugin.set_up(44100, 256, kRealtime) != kResultOk) fail("setup refused");
        plugin.component->setActive(1);
        plugin.processor->setProcessing(1);
    }
    std::printf("active\n");
    std::fflush(stdout);
    for (auto& plugin : plugins) {
        std::vector<float> samples(44100, 0.5f);
        float* pointers[2] = {samples.data(), samples.data()};
        int64_t before = plugin->dropouts();
        plugin->process(pointers, pointers, 2, 44100, kOffline);
        std::printf("wet %d\n", plugin->dropouts() == before && samples.back() == 0.25f);
    }
    return 0;
}

}  // namespace

int main(int count, char** arguments) {
    std::string verb = count > 2 ? arguments[2] : "";
    if (verb != "play" && verb != "check" && verb != "load") fail("usage: host LIBRARY play|check|load ...");
    Library library(arguments[1]);
    return verb == "play" ? play(library, count, arguments)
           : verb == "check" ? check(library)
                             : load(library, count > 3 ? std::atoi(arguments[3]) : 1);
}
