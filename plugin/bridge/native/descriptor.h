// What a bundle says of itself: Contents/Resources/descriptor.txt, written by plugin/bridge/bundle.py.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "vst3.h"

namespace stembridge {

struct Parameter {
    std::string name, title, unit;
    std::string lowest;  // text for the lowest value, if not a number
    double minimum = 0, maximum = 1, initial = 0;
    bool toggle = false;
    vst3::ParamId id = 0;  // a hash of the name, so that it stays what it is when others come and go

    double plain(double normalized) const;  // rounded to what is worth telling apart
    double normalized(double plain) const;
    std::string text(double normalized) const;
    // The unit is optional; the decimal separator is a comma or a point; "-inf" is the lowest value if the unit is dB.
    bool parse(const std::string& text, double* normalized) const;
};

struct Latency {
    int64_t samples = 0, hop = 0;  // hop: 0 if it has none
};

struct Descriptor {
    std::string name, version, identity;
    vst3::Uid uid{};
    std::vector<std::string> arguments;  // of the worker
    std::map<double, Latency> latencies;  // by sample rate, if known before the worker runs
    std::vector<Parameter> parameters;   // the last is `bypass`, which is the shell's own

    // Of the bundle this library lies in. False if there is none.
    static bool read(const std::string& path, Descriptor* descriptor);
};

// Numbers as text, whatever the host's locale. A text that holds more than a number is refused.
std::string number_text(double number, int decimals);
bool parse_number(const std::string& text, double* number);
std::vector<std::string> split(const std::string& text, char separator);

}  // namespace stembridge
