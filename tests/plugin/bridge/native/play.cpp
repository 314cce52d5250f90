// Runs a plugin over a file of samples.
#include <poll.h>
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "host.h"

namespace host {

namespace {

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

struct Settings {
    double rate = 44100, slower = 1;
    int channels = 2, out_channels = 0, outputs = 1, block = 256, realtime = 1, ready = 1, fifo = 0, wide = 0;
    int reactivate = 0, until_wet = 0;
    std::string state, save;
    std::vector<std::string> moves, choices;
    std::map<int64_t, int32_t> modes;
    std::map<int64_t, int64_t> playheads;
    std::map<int64_t, int> connects;
    int64_t cycle_start = 0, cycle_end = 0;

    explicit Settings(int count, char** arguments) {
        std::map<std::string, int*> numbers = {{"channels", &channels},
                                               {"out_channels", &out_channels},
                                               {"outputs", &outputs},
                                               {"block", &block},
                                               {"realtime", &realtime},
                                               {"ready", &ready},
                                               {"fifo", &fifo},
                                               {"wide", &wide},
                                               {"reactivate", &reactivate},
                                               {"until_wet", &until_wet}};
        for (int i = 0; i < count; i++) {
            std::string argument = arguments[i], key = argument.substr(0, argument.find('='));
            const char* value = arguments[i] + std::min(argument.size(), key.size() + 1);
            const char* second = value + std::string(value).rfind(':') + 1;
            if (numbers.count(key)) *numbers[key] = std::atoi(value);
            else if (key == "rate") rate = std::atof(value);
            else if (key == "slower") slower = std::atof(value);
            else if (key == "move") moves.push_back(value);
            else if (key == "choose") choices.push_back(value);
            else if (key == "state") state = value;
            else if (key == "save") save = value;
            else if (key == "mode") modes[std::atoll(value)] = std::atoi(second);
            else if (key == "playhead") playheads[std::atoll(value)] = std::atoll(second);
            else if (key == "connect") connects[std::atoll(value)] = std::atoi(second);
            else if (key == "cycle") cycle_start = std::atoll(value), cycle_end = std::atoll(second);
            else fail("no such key");
        }
        if (!out_channels) out_channels = channels;
    }
};

// The host's playhead, which moves on by itself and wraps at the end of a loop.
class Playhead {
public:
    explicit Playhead(const Settings& settings) : settings_(settings) {}

    // Null without a playhead. from: the block's first sample; size: its length in samples.
    ProcessContext* at(int64_t from, int size) {
        if (settings_.playheads.empty()) return nullptr;
        auto set = settings_.playheads.find(from);
        bool cycles = settings_.cycle_end > 0;
        if (set != settings_.playheads.end()) position_ = set->second, playing_ = position_ != -1;
        else if (cycles && position_ >= settings_.cycle_end) position_ += settings_.cycle_start - settings_.cycle_end;
        double tempo = 120, quarters = tempo / 60 / settings_.rate;  // quarter notes in a sample
        context_ = {kTempoValid | kProjectTimeMusicValid,
                    settings_.rate,
                    position_,
                    0,
                    from,
                    position_ * quarters,
                    0,
                    settings_.cycle_start * quarters,
                    settings_.cycle_end * quarters,
                    tempo};
        if (playing_) context_.state |= kPlaying;
        if (cycles) context_.state |= kCycleActive | kCycleValid;
        if (playing_) position_ += size;
        return &context_;
    }

private:
    const Settings& settings_;
    int64_t position_ = -1;
    bool playing_ = false;
    ProcessContext context_;
};

std::vector<Point> points_of(const std::vector<std::string>& moves, const Plugin& plugin) {
    std::vector<Point> points;
    for (const std::string& move : moves) {
        size_t first = move.find(':'), last = move.rfind(':');
        auto found = plugin.ids.find(move.substr(first + 1, last - first - 1));
        if (found == plugin.ids.end()) fail("no parameter of that title");
        points.push_back({std::atoll(move.c_str()), found->second, std::atof(move.c_str() + last + 1)});
    }
    return points;
}

// Values that a user sets, in the thread of the host's window.
void choose(Plugin& plugin, const std::vector<Point>& choices, int64_t from, int64_t to) {
    for (const Point& choice : choices)
        if (choice.sample >= from && choice.sample < to) plugin.controller->setParamNormalized(choice.id, choice.value);
}

bool stdin_is_closed() {
    pollfd in{0, POLLIN, 0};
    return poll(&in, 1, 0) == 1;
}

void activate_again(Plugin& plugin) {
    plugin.processor->setProcessing(0);
    plugin.component->setActive(0);
    plugin.processor->getLatencySamples();
    plugin.component->setActive(1);
    plugin.processor->setProcessing(1);
}

void load_state(Plugin& plugin, const std::string& path) {
    Memory state;
    std::FILE* file = std::fopen(path.c_str(), "rb");
    if (!file) fail("cannot read the state");
    char buffer[4096];
    for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) state.text.append(buffer, n);
    std::fclose(file);
    if (plugin.component->setState(&state) != kResultOk) fail("state refused");
}

void save_state(Plugin& plugin, const std::string& path) {
    Memory state;
    plugin.component->getState(&state);
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (!file || std::fwrite(state.text.data(), 1, state.text.size(), file) != state.text.size()) fail("cannot write");
    std::fclose(file);
}

void start(Plugin& plugin, const Settings& settings) {
    sched_param priority{settings.fifo ? 55 : 0};
    if (settings.fifo && sched_setscheduler(0, SCHED_FIFO, &priority) != 0) fail("no real-time scheduling");
    int outputs = plugin.component->getBusCount(kAudio, kOutput);
    if (plugin.arrange(settings.channels, settings.out_channels, outputs) != kResultOk) fail("channels refused");
    int32_t mode = settings.realtime ? kRealtime : kOffline, size = settings.wide ? kSample64 : kSample32;
    if (plugin.set_up(settings.rate, settings.block, mode, size) != kResultOk) fail("setup refused");
    plugin.component->activateBus(kAudio, kInput, 0, 1);
    for (int k = 0; k < settings.outputs; k++)
        if (plugin.component->activateBus(kAudio, kOutput, k, 1) != kResultOk) fail("no such output");
    plugin.component->setActive(1);
    plugin.processor->setProcessing(1);
    if (settings.ready) plugin.wait_until_ready(settings.channels);
}

}  // namespace

int play(const Library& library, int count, char** arguments) {
    if (count < 5) fail("usage: host LIBRARY play INPUT OUTPUT key=value ...");
    Settings settings(count - 5, arguments + 5);
    Plugin plugin(library);
    std::vector<Point> points = points_of(settings.moves, plugin), choices = points_of(settings.choices, plugin);
    Handler handler;
    plugin.controller->setComponentHandler(&handler);
    if (!settings.state.empty()) load_state(plugin, settings.state);
    std::vector<float> input = read_file(arguments[3]);
    int64_t length = static_cast<int64_t>(input.size()) / settings.channels;
    int out_channels = settings.outputs * settings.out_channels;
    std::vector<float> output(out_channels * length), unused(settings.block);
    start(plugin, settings);
    handler.latency_changed = 0;
    std::printf("latency %u\n", plugin.processor->getLatencySamples());
    std::fflush(stdout);

    int64_t dropouts = plugin.dropouts();
    int connected = settings.outputs;
    std::vector<int64_t> took;
    int64_t late = 0, wet = 0, played = 0, start_ns = now_ns();
    int32_t mode = settings.realtime ? kRealtime : kOffline;
    Playhead playhead(settings);
    for (int64_t from = 0; from < length; from += settings.block) {
        int32_t size = static_cast<int32_t>(std::min<int64_t>(settings.block, length - from));
        std::vector<float*> in, out;
        for (int c = 0; c < settings.channels; c++) in.push_back(&input[c * length + from]);
        if (auto changed = settings.connects.find(from); changed != settings.connects.end()) {
            connected = changed->second;
            plugin.connect(settings.channels, settings.out_channels, connected);
        }
        for (int c = 0; c < out_channels; c++)
            out.push_back(c < connected * settings.out_channels ? &output[c * length + from] : unused.data());
        for (int c = 0; c < settings.channels && !settings.connects.empty(); c++) {
            std::copy_n(in[c], size, out[c]);
            in[c] = out[c];
        }
        Changes changes, shown;
        changes.fill(points, from, from + size);
        auto changed = settings.modes.upper_bound(from);
        if (changed != settings.modes.begin()) mode = std::prev(changed)->second;
        double seconds = settings.slower * static_cast<double>(from + size) / settings.rate;
        choose(plugin, choices, from, from + size);
        if (handler.latency_changed > 0) {
            handler.latency_changed = 0;
            if (settings.reactivate) activate_again(plugin);
            std::printf("changed %lld %u\n", static_cast<long long>(from), plugin.processor->getLatencySamples());
        }
        if (mode == kRealtime) sleep_until(start_ns + static_cast<int64_t>(1e9 * seconds));
        else start_ns = now_ns() - static_cast<int64_t>(1e9 * seconds);
        Block block;
        block.in_channels = settings.channels, block.channels = settings.out_channels, block.outputs = settings.outputs;
        block.in = in.data(), block.out = out.data(), block.size = size, block.mode = mode, block.wide = settings.wide;
        block.changes = &changes, block.shown = &shown, block.transport = playhead.at(from, size);
        int64_t before = now_ns();
        if (plugin.process(block) != kResultOk) fail("process refused");
        took.push_back(now_ns() - before);
        late += static_cast<double>(took.back()) > 1e9 * size / settings.rate;
        auto at = static_cast<long long>(from);
        if (plugin.dropouts() != dropouts) std::printf("dry %lld %d\n", at, size);
        if (block.silence == (uint64_t{1} << settings.out_channels) - 1) std::printf("silent %lld %d\n", at, size);
        for (const Queue& queue : shown.queues)
            std::printf("shown %lld|%s|%s\n", at, plugin.title(queue.id).c_str(),
                        plugin.text(queue.id, queue.points.back().second).c_str());
        wet = plugin.dropouts() == dropouts ? wet + size : 0;
        dropouts = plugin.dropouts();
        played = from + size;
        // End the song early if stdin is closed and the last second was wet.
        if (settings.until_wet && static_cast<double>(wet) >= settings.rate && stdin_is_closed()) break;
    }
    plugin.processor->setProcessing(0);
    if (!settings.save.empty()) save_state(plugin, settings.save);
    plugin.controller->setComponentHandler(nullptr);
    std::printf("dropouts %lld\nplayed %lld\n", static_cast<long long>(dropouts), static_cast<long long>(played));
    std::sort(took.begin(), took.end());
    std::printf("longest_ms %.3f\np99_ms %.3f\np50_ms %.3f\nlate %lld\n", took.back() / 1e6,
                took[took.size() * 99 / 100] / 1e6, took[took.size() / 2] / 1e6, static_cast<long long>(late));
    std::FILE* file = std::fopen(arguments[4], "wb");
    if (!file || std::fwrite(output.data(), sizeof(float), output.size(), file) != output.size()) fail("cannot write");
    std::fclose(file);
    return 0;
}

}  // namespace host
