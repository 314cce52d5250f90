// The bundle's descriptor, Contents/Resources/descriptor.txt, which plugin/bridge/bundle.py writes.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "parameter.h"

namespace stembridge {

struct Latency {
    int64_t samples = 0, hop = 0, tail = -1;  // hop: 0 if it is not known; tail: see Worker::tail
};

constexpr const char* kNoPreset = "No preset";

struct Preset {
    std::string name;
    std::vector<std::pair<size_t, double>> values;  // index of a parameter, and its value
};

// A model, which makes the sound.
struct Model {
    std::string name;                     // empty if there is no choice of models
    std::string identity;                 // stored in saved states
    std::vector<std::string> arguments;   // of the worker
    std::map<double, Latency> latencies;  // by sample rate, if known before the worker runs
};

struct Descriptor {
    std::string name, version, categories, vendor, url, email;
    vst3::Uid uid{};
    std::vector<Model> models = std::vector<Model>(1);  // the first is used unless a host chooses another
    std::vector<Parameter> parameters;                  // the last is `bypass`, which the shell adds
    std::vector<Parameter> meters;                      // read-only, set by the worker
    std::vector<Preset> presets;
    std::map<int, vst3::ParamId> controllers;  // number of a MIDI control change to the parameter
    std::vector<std::string> outputs;          // names of the outputs besides the main one
    bool shows_status = false;

    // Load the descriptor of the bundle that contains this library. Returns false if there is none.
    static bool read(const std::string& path, Descriptor* descriptor);
};

std::vector<std::string> split(const std::string& text, char separator);

}  // namespace stembridge
