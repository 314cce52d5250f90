// A parameter, its values and their texts.
#pragma once

#include <string>
#include <vector>

#include "vst3.h"

namespace stembridge {

struct Parameter {
    std::string name, title, unit;
    std::string lowest;                // text for the lowest value, if not a number
    std::vector<std::string> choices;  // texts of the values 0, 1, 2 ..., if it is a list
    double minimum = 0, maximum = 1, initial = 0;
    bool toggle = false;
    int32_t flags = vst3::kCanAutomate;
    vst3::ParamId id = 0;  // a hash of the name, so that it does not depend on other parameters

    static Parameter make_toggle(const std::string& name, const std::string& title, bool initial);
    static Parameter make_list(const std::string& name, const std::string& title, std::vector<std::string> choices);

    double plain(double normalized) const;  // rounded to a useful precision
    double normalized(double plain) const;
    std::string text(double normalized) const;
    // The unit is optional; the decimal separator is a comma or a point; "-inf" is the lowest value if the unit is dB.
    bool parse(const std::string& text, double* normalized) const;
    int32_t steps() const;
};

// FNV-1a without the top bit, which hosts reserve.
vst3::ParamId id_of(const std::string& name);

// Numbers as text, independent of the host's locale. A text with more than a number is refused.
std::string number_text(double number, int decimals);
bool parse_number(const std::string& text, double* number);

}  // namespace stembridge
