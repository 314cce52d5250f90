#include "descriptor.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace stembridge {

namespace {

constexpr double kLongestLatency = 1e9;  // samples; more is an error

// FNV-1a, without the top bit, which hosts keep for themselves.
vst3::ParamId id_of(const std::string& name) {
    uint32_t hash = 2166136261u;
    for (unsigned char c : name) hash = (hash ^ c) * 16777619u;
    return hash & 0x7FFFFFFF;
}

// A hundred thousand steps are finer than any ear or eye, and a whole number of decimals keeps -3 dB at -3.
int decimals_of(const Parameter& parameter) {
    double range = parameter.maximum - parameter.minimum;
    return parameter.toggle ? 0 : std::clamp(5 - static_cast<int>(std::floor(std::log10(range))), 0, 12);
}

bool parse_uid(const std::string& text, vst3::Uid* uid) {
    if (text.size() != 32 || text.find_first_not_of("0123456789abcdef") != std::string::npos) return false;
    for (int i = 0; i < 16; i++) uid->bytes[i] = static_cast<uint8_t>(std::stoi(text.substr(2 * i, 2), nullptr, 16));
    return true;
}

std::string contents(const std::string& path) {
    std::string text;
    char buffer[4096];
    std::FILE* file = std::fopen(path.c_str(), "rb");
    for (size_t size; file && (size = std::fread(buffer, 1, sizeof buffer, file)) > 0;) text.append(buffer, size);
    if (file) std::fclose(file);
    return text;
}

bool parse_parameter(const std::vector<std::string>& fields, Parameter* parameter) {
    if (fields[0] == "toggle" && fields.size() == 4) {
        parameter->name = fields[1], parameter->title = fields[2], parameter->toggle = true;
        return parse_number(fields[3], &parameter->initial);
    }
    if (fields[0] != "parameter" || fields.size() < 7 || fields.size() > 8) return false;
    if (fields.size() == 8) parameter->lowest = fields[7];
    parameter->name = fields[1], parameter->title = fields[2], parameter->unit = fields[3];
    return parse_number(fields[4], &parameter->minimum) && parse_number(fields[5], &parameter->maximum) &&
           parse_number(fields[6], &parameter->initial) && parameter->minimum < parameter->maximum;
}

bool parse_latency(const std::vector<std::string>& fields, std::map<double, Latency>* latencies) {
    double rate, samples, hop;
    if (fields.size() != 4 || !parse_number(fields[1], &rate) || !parse_number(fields[2], &samples) ||
        !parse_number(fields[3], &hop) || samples < 0 || hop < 0 || samples > kLongestLatency || hop > kLongestLatency)
        return false;
    (*latencies)[rate] = {static_cast<int64_t>(samples), static_cast<int64_t>(hop)};
    return true;
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
    if (!lowest.empty() && plain(normalized) == minimum) return lowest;
    return number_text(plain(normalized), decimals_of(*this));
}

bool Parameter::parse(const std::string& text, double* value) const {
    std::string typed = tidy(text);
    if (toggle && (typed == "on" || typed == "true" || typed == "off" || typed == "false")) {
        *value = typed == "on" || typed == "true";
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

bool Descriptor::read(const std::string& path, Descriptor* descriptor) {
    bool known = false;
    for (const std::string& line : split(contents(path), '\n')) {
        std::vector<std::string> fields = split(line, '\t');
        if (fields.size() < 2) continue;
        if (fields[0] == "descriptor") known = fields[1] == "1";
        if (fields[0] == "name") descriptor->name = fields[1];
        if (fields[0] == "version") descriptor->version = fields[1];
        if (fields[0] == "identity") descriptor->identity = fields[1];
        if (fields[0] == "argument") descriptor->arguments.push_back(fields[1]);
        if (fields[0] == "uid" && !parse_uid(fields[1], &descriptor->uid)) return false;
        if (fields[0] == "latency" && !parse_latency(fields, &descriptor->latencies)) return false;
        if (fields[0] == "parameter" || fields[0] == "toggle") {
            Parameter parameter;
            if (!parse_parameter(fields, &parameter)) return false;
            descriptor->parameters.push_back(parameter);
        }
    }
    Parameter bypass;
    bypass.name = "bypass", bypass.title = "Bypass", bypass.toggle = true;
    descriptor->parameters.push_back(bypass);
    for (Parameter& parameter : descriptor->parameters) parameter.id = id_of(parameter.name);
    return known && !descriptor->name.empty() && !descriptor->arguments.empty();
}

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

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> fields;
    for (size_t start = 0;;) {
        size_t end = text.find(separator, start);
        fields.push_back(text.substr(start, end - start));
        if (end == std::string::npos) return fields;
        start = end + 1;
    }
}

}  // namespace stembridge
