// A small VST 3 host for the tests.
//
//   host LIBRARY play INPUT OUTPUT key=value ...
//
// Runs the library of a bundle over a file of samples, in real time or as fast as possible. INPUT and OUTPUT are files
// of float32 samples, one channel after the other; OUTPUT has the channels of one output after those of another. Keys:
//
//   rate                           sample rate in Hz
//   channels, out_channels         channels of the input, and of each output (default: as many)
//   outputs                        number of outputs in use
//   block                          samples in a block
//   wide                           1: 64-bit samples
//   realtime                       1 or 0: how the plugin is set up, and the mode of all blocks
//   slower                         factor by which real time is slowed down
//   ready                          1: wait for the worker first; 0: begin at once
//   fifo                           1: real-time scheduling of the thread that processes
//   cycle=START:END                the playhead's loop, in samples
//   state=FILE, save=FILE          a state to begin with, and a file for the state at the end
//   reactivate                     1: activate the plugin again when it reports a change of its latency
//   until_wet                      1: end once stdin is closed and the last second was wet
//
// and any number of
//
//   mode=SAMPLE:MODE               the mode of all blocks from there on: 0 realtime, 1 prefetch, 2 offline
//   playhead=SAMPLE:POSITION       the playhead's position at the block that begins there; -1: it stops
//   connect=SAMPLE:OUTPUTS         the number of outputs in use from there on
//   move=SAMPLE:TITLE:NORMALISED   a point in the queue of a parameter
//   choose=SAMPLE:TITLE:NORMALISED a value that the user sets before the block with that sample
//
// Outputs that are not in use share one buffer, as in Ardour, and with `connect` the main output uses the buffer of the
// input. Blocks of mode 0 come at the pace of the sound. Prints lines "key value": the latency in samples before the
// first block; first sample and length of each dry block ("dry") and of each block reported as silent ("silent"); what
// the plugin shows ("shown SAMPLE|TITLE|TEXT"); each change of the latency that it reports ("changed SAMPLE LATENCY");
// the number of dry blocks ("dropouts") and of samples ("played"); and for the calls the longest time, the 99th
// percentile and the median ("longest_ms", "p99_ms", "p50_ms"), and how many took longer than the block lasts ("late").
//
//   host LIBRARY check
//
// Makes calls of hosts other than playing, in the usual order and in any other, and prints the results.
//
//   host LIBRARY load COUNT
//
// Activates COUNT instances, prints "active" when all are active, and runs each until its sound is wet.
#include "host.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>

namespace host {

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

void fail(const char* what) {
    std::fprintf(stderr, "host: %s\n", what);
    std::exit(1);
}

std::string ascii(const char16_t* text) {
    std::string found;
    for (; *text; text++) found += static_cast<char>(*text);
    return found;
}

void Changes::fill(const std::vector<Point>& points, int64_t from, int64_t to) {
    std::map<ParamId, Queue> by_id;
    for (const Point& point : points) {
        if (point.sample < from || point.sample >= to) continue;
        by_id[point.id].id = point.id;
        by_id[point.id].points.emplace_back(static_cast<int32_t>(point.sample - from), point.value);
    }
    queues.clear();
    for (auto& [id, queue] : by_id) queues.push_back(queue);
}

Library::Library(const char* path) {
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

Result Application::getName(String128 text) {
    std::copy(name.begin(), name.end(), text);
    text[name.size()] = 0;
    return kResultOk;
}

Plugin::Plugin(const Library& from, FUnknown* context) : library(from) {
    void* object = nullptr;
    from.factory->createInstance(reinterpret_cast<const char*>(from.info.cid.bytes),
                                 reinterpret_cast<const char*>(IComponent::kId.bytes), &object);
    component = static_cast<IComponent*>(object);
    instance = from.newest();
    if (!component || component->initialize(context) != kResultOk) fail("no component");
    processor = find<IAudioProcessor>();
    controller = find<IEditController>();
    if (!processor || !controller) fail("not a processor and controller in one");
    for (int i = 0; i < controller->getParameterCount(); i++) {
        ParameterInfo parameter;
        controller->getParameterInfo(i, &parameter);
        ids[ascii(parameter.title)] = parameter.id;
    }
}

Plugin::~Plugin() {
    component->setActive(0);
    controller->release();
    processor->release();
    component->terminate();
    component->release();
}

Result Plugin::arrange(int in_channels, int out_channels, int outputs) {
    SpeakerArrangement in = in_channels == 1 ? kMono : kStereo;
    std::vector<SpeakerArrangement> outs(outputs, out_channels == 1 ? kMono : kStereo);
    return processor->setBusArrangements(&in, 1, outs.data(), outputs);
}

void Plugin::connect(int in_channels, int out_channels, int outputs) {
    processor->setProcessing(0);
    component->setActive(0);
    SpeakerArrangement in = in_channels == 1 ? kMono : kStereo;
    std::vector<SpeakerArrangement> outs;
    for (int k = 0; k < component->getBusCount(kAudio, kOutput); k++) {
        component->activateBus(kAudio, kOutput, k, k < outputs);
        outs.push_back(k >= outputs ? kEmpty : out_channels == 1 ? kMono : kStereo);
    }
    processor->setBusArrangements(&in, 1, outs.data(), static_cast<int32_t>(outs.size()));
    component->setActive(1);
    processor->setProcessing(1);
}

Result Plugin::set_up(double rate, int block, int32_t mode, int32_t sample_size) {
    ProcessSetup setup{mode, sample_size, block, rate};
    return processor->setupProcessing(&setup);
}

std::string Plugin::text(ParamId id, double value) {
    String128 text = {};
    controller->getParamStringByValue(id, value, text);
    return ascii(text);
}

std::string Plugin::title(ParamId id) const {
    for (const auto& [title, known] : ids)
        if (known == id) return title;
    return "unknown";
}

Result Plugin::process(Block& block) {
    int in_channels = block.in_channels ? block.in_channels : block.channels;
    AudioBusBuffers in{in_channels, block.silence, {block.in}};
    std::vector<AudioBusBuffers> outs;
    for (int k = 0; k < block.outputs; k++) outs.push_back({block.channels, 0, {block.out + k * block.channels}});
    std::vector<double> wide;
    std::vector<double*> pointers;
    int all = block.outputs * block.channels;
    if (block.wide) {
        wide.resize((in_channels + all) * block.size);
        for (int c = 0; c < in_channels + all; c++) pointers.push_back(wide.data() + c * block.size);
        for (int c = 0; c < in_channels; c++) std::copy_n(block.in[c], block.size, pointers[c]);
        in.channelBuffers64 = pointers.data();
        for (int k = 0; k < block.outputs; k++) outs[k].channelBuffers64 = &pointers[in_channels + k * block.channels];
    }
    ProcessData data{block.mode,    block.wide ? kSample64 : kSample32,
                     block.size,    block.in != nullptr,
                     block.outputs, &in,
                     outs.data(),   block.changes,
                     block.shown,   nullptr,
                     nullptr,       block.transport};
    Handler::processing = true;
    Result result = processor->process(&data);
    Handler::processing = false;
    if (block.wide)
        for (int c = 0; c < all; c++) std::copy_n(pointers[in_channels + c], block.size, block.out[c]);
    block.silence = outs[0].silenceFlags;
    return result;
}

Result Plugin::process(float** in, float** out, int channels, int size, int32_t mode) {
    Block block;
    block.in = in, block.out = out, block.channels = channels, block.size = size, block.mode = mode;
    return process(block);
}

void Plugin::wait_until_ready(int channels) {
    float sample[2] = {}, *pointers[2] = {sample, sample + 1};
    process(pointers, pointers, channels, 1, kOffline);
    processor->setProcessing(0);
    processor->setProcessing(1);
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

}  // namespace host

int main(int count, char** arguments) {
    std::string verb = count > 2 ? arguments[2] : "";
    if (verb != "play" && verb != "check" && verb != "load") host::fail("usage: host LIBRARY play|check|load ...");
    host::Library library(arguments[1]);
    return verb == "play"    ? host::play(library, count, arguments)
           : verb == "check" ? host::check(library)
                             : host::load(library, count > 3 ? std::atoi(arguments[3]) : 1);
}
