#include "parameter.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace stembridge {

namespace {

// A hundred thousand steps are finer than any ear or eye, and a whole number of decimals keeps -3 dB at -3.
int decimals_of(const Parameter& parameter) {
    double range = parameter.maximum - parameter.minimum;
    return parameter.steps() > 0 ? 0 : std::clamp(5 - static_cast<int>(std::floor(std::log10(range))), 0, 12);
}

// Without spaces around, in lower case.
std::string tidy(const std::string& text) {
    size_t start = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
    std::string tidied = start == std::string::npos ? "" : text.substr(start, end - start + 1);
    for (char& c : tidied)
        if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
    return tidied;
}

}  // namespace

Parameter Parameter::make_toggle(const std::string& name, const std::string& title, bool initial) {
    Parameter made;
    made.name = name, made.title = title, made.initial = initial, made.toggle = true, made.id = id_of(name);
    return made;
}

Parameter Parameter::make_list(const std::string& name, const std::string& title, std::vector<std::string> choices) {
    Parameter made;
    made.name = name, made.title = title, made.choices = std::move(choices), made.id = id_of(name);
    made.maximum = std::max<double>(1, static_cast<double>(made.choices.size()) - 1);
    made.flags |= vst3::kIsList;
    return made;
}

double Parameter::plain(double normalized) const {
    if (toggle) return normalized >= 0.5 ? 1 : 0;
    double grain = std::pow(10.0, decimals_of(*this));
    double value = minimum + std::clamp(normalized, 0.0, 1.0) * (maximum - minimum);
    return std::clamp(std::round(value * grain) / grain, minimum, maximum);
}

double Parameter::normalized(double plain) const {
    return std::clamp((plain - minimum) / (maximum - minimum), 0.0, 1.0);
}

std::string Parameter::text(double normalized) const {
    if (toggle) return normalized >= 0.5 ? "On" : "Off";
    if (!choices.empty()) return choices[std::min(static_cast<size_t>(plain(normalized)), choices.size() - 1)];
    if (!lowest.empty() && plain(normalized) == minimum) return lowest;
    return number_text(plain(normalized), decimals_of(*this));
}

bool Parameter::parse(const std::string& text, double* value) const {
    std::string typed = tidy(text);
    if (toggle && (typed == "on" || typed == "true" || typed == "off" || typed == "false")) {
        *value = typed == "on" || typed == "true";
        return true;
    }
    for (size_t i = 0; i < choices.size(); i++) {
        if (typed != tidy(choices[i])) continue;
        *value = normalized(static_cast<double>(i));
        return true;
    }
    std::string suffix = tidy(unit);
    if (!suffix.empty() && typed.size() > suffix.size() && typed.substr(typed.size() - suffix.size()) == suffix)
        typed = tidy(typed.substr(0, typed.size() - suffix.size()));
    if (typed == tidy(lowest) || (suffix == "db" && (typed == "-inf" || typed == "-infinity"))) {
        *value = 0;
        return !typed.empty();
    }
    // A comma without a point is a decimal comma; with both, the number is ambiguous.
    size_t comma = typed.find(',');
    if (comma != std::string::npos && typed.find('.') == std::string::npos) typed[comma] = '.';
    if (typed.size() > 1 && typed[0] == '+' && typed[1] != '-') typed.erase(0, 1);
    double plain;
    if (!parse_number(typed, &plain)) return false;
    *value = normalized(plain);
    return true;
}

vst3::ParamId id_of(const std::string& name) {
    uint32_t hash = 2166136261u;
    for (unsigned char c : name) hash = (hash ^ c) * 16777619u;
    return hash & 0x7FFFFFFF;
}

int32_t Parameter::steps() const { return toggle ? 1 : choices.empty() ? 0 : static_cast<int32_t>(maximum); }

std::string number_text(double number, int decimals) {
    char buffer[400];
    double shown = number == 0 ? 0.0 : number;  // no "-0"
    auto end = std::to_chars(buffer, buffer + sizeof buffer, shown, std::chars_format::fixed, decimals);
    std::string text(buffer, end.ptr);
    if (text.find('.') != std::string::npos) {
        text.erase(text.find_last_not_of('0') + 1);
        if (text.back() == '.') text.pop_back();
    }
    return text;
}

bool parse_number(const std::string& text, double* number) {
    double parsed = 0;
    auto result = std::from_chars(text.data(), text.data() + text.size(), parsed);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size() || !std::isfinite(parsed)) return false;
    *number = parsed;
    return true;
}

}  // namespace stembridge
