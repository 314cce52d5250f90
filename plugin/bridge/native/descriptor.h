// What a bundle says of itself: Contents/Resources/descriptor.txt, written by plugin/bridge/bundle.py.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "parameter.h"

namespace stembridge {

struct Latency {
    int64_t samples = 0, hop = 0, tail = -1;  // hop: 0 if it has none; tail: as Worker::tail
};

constexpr const char* kNoPreset = "No preset";

struct Preset {
    std::string name;
    std::vector<std::pair<size_t, double>> values;  // index of a parameter, and its value
};

// What makes the sound.
struct Model {
    std::string name;                     // empty if there is no other to choose
    std::string identity;                 // what is kept in saved states
    std::vector<std::string> arguments;   // of the worker
    std::map<double, Latency> latencies;  // by sample rate, if known before the worker runs
};

struct Descriptor {
    std::string name, version, categories, vendor, url, email;
    vst3::Uid uid{};
    std::vector<Model> models = std::vector<Model>(1);  // the first is used unless a host chooses another
    std::vector<Parameter> parameters;                  // the last is `bypass`, which is the shell's own
    std::vector<Parameter> meters;                      // read-only, set by the worker
    std::vector<Preset> presets;
    std::map<int, vst3::ParamId> controllers;  // of MIDI, by number: the parameter each moves
    std::vector<std::string> outputs;          // names of those besides the main one
    bool shows_status = false;

    // Of the bundle this library lies in. False if there is none.
    static bool read(const std::string& path, Descriptor* descriptor);
};

std::vector<std::string> split(const std::string& text, char separator);

}  // namespace stembridge
