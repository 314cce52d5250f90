// Calls of hosts other than playing, in the usual order and in any other.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>

#include "host.h"

namespace host {

namespace {

// Returns the number of child processes of all threads.
int children() {
    int found = 0, pid;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
        std::FILE* file = std::fopen((thread.path() / "children").c_str(), "r");
        while (file && std::fscanf(file, "%d", &pid) == 1) found++;
        if (file) std::fclose(file);
    }
    return found;
}

void type(Plugin& plugin, const char* title, const std::u16string& typed, const char* shown) {
    String128 text = {};
    std::copy_n(typed.data(), typed.size(), text);
    double value = -1;
    bool understood = plugin.controller->getParamValueByString(plugin.ids.at(title), text, &value) == kResultOk;
    std::printf("typed %s|%s|%s\n", title, shown,
                understood ? plugin.text(plugin.ids.at(title), value).c_str() : "refused");
}

void show_buses(const char* name, Plugin& plugin) {
    for (int32_t direction : {kInput, kOutput}) {
        for (int k = 0; k < plugin.component->getBusCount(kAudio, direction); k++) {
            BusInfo bus;
            SpeakerArrangement arrangement = 0;
            plugin.component->getBusInfo(kAudio, direction, k, &bus);
            plugin.processor->getBusArrangement(direction, k, &arrangement);
            std::printf("%s %d %s %d %s %s\n", name, direction, ascii(bus.name).c_str(), bus.channelCount,
                        bus.busType == kMain ? "main" : "aux", bus.flags & kDefaultActive ? "active" : "inactive");
            if (arrangement != (bus.channelCount == 1 ? kMono : kStereo)) fail("a bus and its arrangement differ");
        }
    }
}

void show_class(const Library& library) {
    void* object = nullptr;
    library.factory->queryInterface(IPluginFactory2::kId, &object);
    PClassInfo2 info;
    static_cast<IPluginFactory2*>(object)->getClassInfo2(0, &info);
    std::printf("class %s|%s|%s|%s|%s|%s|", info.name, info.vendor, info.version, info.category, info.subCategories,
                info.sdkVersion);
    for (uint8_t byte : info.cid.bytes) std::printf("%02X", byte);
    std::printf("\n");
}

void show_programs(Plugin& plugin) {
    auto* units = plugin.find<IUnitInfo>();
    UnitInfo unit;
    std::printf("units %d %d\n", units->getUnitCount(),
                units->getUnitInfo(0, unit) == kResultOk ? unit.parentUnitId : -9);
    for (int32_t index = 0; index < units->getProgramListCount(); index++) {
        ProgramListInfo list;
        units->getProgramListInfo(index, list);
        if (list.id != unit.programListId) fail("a list that no unit has");
        for (int32_t program = -1; program <= list.programCount; program++) {
            String128 name = {};
            Result result = units->getProgramName(list.id, program, name);
            std::printf("program %d %s\n", program, result == kResultOk ? ascii(name).c_str() : "refused");
        }
    }
    units->release();
}

void show_controllers(Plugin& plugin) {
    auto* mapping = plugin.find<IMidiMapping>();
    for (int32_t bus = 0; bus < 2; bus++)
        for (int16_t controller = 0; controller < 131;
             controller++) {  // with aftertouch, pitch bend and program change
            ParamId id = 0;
            if (mapping->getMidiControllerAssignment(bus, 15, controller, id) == kResultOk)
                std::printf("controller %d %d %s\n", bus, controller, plugin.title(id).c_str());
        }
    mapping->release();
    BusInfo bus;
    for (int32_t k = 0; k < plugin.component->getBusCount(kEvent, kInput); k++)
        if (plugin.component->getBusInfo(kEvent, kInput, k, &bus) == kResultOk)
            std::printf("events %s %d\n", ascii(bus.name).c_str(), bus.channelCount);
}

// Prints how programs (the plugin's parameter "Preset") change its parameter "Level".
void choose_programs(const Library& library, Plugin& plugin) {
    if (!plugin.ids.count("Preset")) return;
    Handler handler;
    plugin.controller->setComponentHandler(&handler);
    auto level = [](Plugin& shown) {
        return shown.text(shown.ids.at("Level"), shown.controller->getParamNormalized(shown.ids.at("Level")));
    };
    auto choose = [&](double value) {
        plugin.controller->setParamNormalized(plugin.ids.at("Preset"), value);
        std::printf("chosen %s %s %d\n", plugin.text(plugin.ids.at("Preset"), value).c_str(), level(plugin).c_str(),
                    handler.values_changed);
    };
    choose(0.5);
    choose(1);
    plugin.controller->setParamNormalized(plugin.ids.at("Level"), 0.9);
    choose(1);  // again, as hosts do
    Memory state;
    plugin.component->getState(&state);
    Plugin other(library);
    other.component->setState(&state);
    ParamId preset = other.ids.at("Preset");
    std::printf("restored %s %s\n", other.text(preset, other.controller->getParamNormalized(preset)).c_str(),
                level(other).c_str());
    Changes repeated;
    repeated.fill({{0, preset, 1.0}}, 0, 1);
    float sample[2] = {}, *pointers[2] = {sample, sample + 1};
    Block block;
    block.in = block.out = pointers, block.size = 1, block.changes = &repeated;
    other.process(block);
    std::printf("repeated %s\n", level(other).c_str());
    plugin.controller->setComponentHandler(nullptr);
}

}  // namespace

int check(const Library& library) {
    PFactoryInfo maker;
    library.factory->getFactoryInfo(&maker);
    std::printf("vendor %s|%s|%s\n", maker.vendor, maker.url, maker.email);
    show_class(library);
    Application carla(u"Carla");
    show_buses("bus_in_carla", *std::make_unique<Plugin>(library, &carla));
    Application other(u"A host");
    Plugin plugin(library, &other);
    show_buses("bus", plugin);
    std::printf("initialized_twice %d\n", plugin.component->initialize(nullptr) == kResultOk);
    auto* requirements = plugin.find<IProcessContextRequirements>();
    std::printf("requirements %d\n",
                requirements ? static_cast<int>(requirements->getProcessContextRequirements()) : -1);
    if (requirements) requirements->release();

    show_programs(plugin);
    show_controllers(plugin);
    choose_programs(library, plugin);

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
    for (double rate :
         {0.0, -44100.0, 1234.0, 7999.0, 192001.0, 384000.0, 1e300, std::nan(""), 8000.0, 192000.0, 44100.0})
        std::printf("rate %.17g %d\n", rate, plugin.set_up(rate, 64, kRealtime) == kResultOk);
    std::printf("children_set_up %d\n", children());
    plugin.component->setActive(1);
    std::printf("arranged_while_active %d\n", plugin.arrange(1) == kResultOk);
    plugin.processor->setProcessing(1);
    fill();
    result = plugin.process(nullptr, out, 2, 64, kRealtime);
    std::printf("no_input %d %d\n", result, all(0));
    fill();
    Block flagged;
    flagged.in = flagged.out = out, flagged.size = 64, flagged.silence = 3;
    result = plugin.process(flagged);
    std::printf("flagged_input %d %d %d\n", result, all(0), static_cast<int>(flagged.silence));
    plugin.component->setActive(0);
    std::printf("arranged_again %d\n", plugin.arrange(1) == kResultOk);
    std::printf("latency %u\ntail %u\n", plugin.processor->getLatencySamples(), plugin.processor->getTailSamples());
    int outputs = plugin.component->getBusCount(kAudio, kOutput);
    std::printf("arranged_mono_to_stereo %d\n", plugin.arrange(1, 2, outputs) == kResultOk);
    show_buses("bus_mono_to_stereo", plugin);
    std::printf("arranged_stereo_to_mono %d\n", plugin.arrange(2, 1, outputs) == kResultOk);
    std::printf("arranged_main_only %d\n", plugin.arrange(2) == kResultOk);
    std::printf("arranged_too_many %d\n", plugin.arrange(2, 2, outputs + 1) == kResultOk);
    std::printf("sizes %d %d %d\n", plugin.processor->canProcessSampleSize(kSample32) == kResultOk,
                plugin.processor->canProcessSampleSize(kSample64) == kResultOk,
                plugin.processor->canProcessSampleSize(2) == kResultOk);

    const std::u16string numbers[] = {u"-6",     u"-6.5",    u"-6,5",  u"+3",      u" 3",   u"3 ",      u"-6 dB",
                                      u"-6,5dB", u"\u22126", u"-inf",  u"-inf dB", u"-INF", u"-\u221e", u"1e1",
                                      u"99",     u"",        u" ",     u"-",       u"+",    u"+-3",     u"3x",
                                      u"six",    u"1,5.5",   u"1.2.3", u"inf",     u"nan",  u"dB",      u"3 Hz"};
    const char* shown[] = {
        "-6",      "-6.5", "-6,5",           "+3",    " 3",  "3 ",  "-6 dB", "-6,5dB", "minus6", "-inf",
        "-inf dB", "-INF", "minus infinity", "1e1",   "99",  "",    " ",     "-",      "+",      "+-3",
        "3x",      "six",  "1,5.5",          "1.2.3", "inf", "nan", "dB",    "3 Hz"};
    for (size_t i = 0; i < std::size(numbers); i++) type(plugin, "Level", numbers[i], shown[i]);
    for (const char* word : {"on", "On", "ON", "true", "off", "Off", "false", " on ", "1", "0", "maybe", ""})
        type(plugin, "Switch", std::u16string(word, word + std::string(word).size()), word);
    std::printf("lowest %s\nhighest %s\n", plugin.text(plugin.ids.at("Level"), 0).c_str(),
                plugin.text(plugin.ids.at("Level"), 1).c_str());
    return 0;
}

}  // namespace host
