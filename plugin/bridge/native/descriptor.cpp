#include "descriptor.h"

#include <algorithm>
#include <cstdio>

namespace stembridge {

namespace {

constexpr double kLongestLatency = 1e9;  // samples; more is an error

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
    if (fields.size() < 7 || fields.size() > 8) return false;
    if (fields.size() == 8) parameter->lowest = fields[7];
    parameter->name = fields[1], parameter->title = fields[2], parameter->unit = fields[3];
    parameter->id = id_of(parameter->name);
    return parse_number(fields[4], &parameter->minimum) && parse_number(fields[5], &parameter->maximum) &&
           parse_number(fields[6], &parameter->initial) && parameter->minimum < parameter->maximum;
}

bool parse_toggle(const std::vector<std::string>& fields, Parameter* parameter) {
    if (fields.size() != 4) return false;
    *parameter = Parameter::make_toggle(fields[1], fields[2], fields[3] == "1");
    return fields[3] == "1" || fields[3] == "0";
}

bool parse_latency(const std::vector<std::string>& fields, std::map<double, Latency>* latencies) {
    double rate, samples, hop, tail;
    if (fields.size() != 5 || !parse_number(fields[1], &rate) || !parse_number(fields[2], &samples) ||
        !parse_number(fields[3], &hop) || !parse_number(fields[4], &tail))
        return false;
    if (samples < 0 || hop < 0 || tail < -1 || std::max({samples, hop, tail}) > kLongestLatency) return false;
    (*latencies)[rate] = {static_cast<int64_t>(samples), static_cast<int64_t>(hop), static_cast<int64_t>(tail)};
    return true;
}

// The parameters come before.
bool parse_preset(const std::vector<std::string>& fields, const std::vector<Parameter>& parameters, Preset* preset) {
    preset->name = fields[1];
    for (size_t i = 2; i + 1 < fields.size(); i += 2) {
        auto named = [&](const Parameter& parameter) { return parameter.name == fields[i]; };
        auto found = std::find_if(parameters.begin(), parameters.end(), named);
        double value;
        if (found == parameters.end() || !parse_number(fields[i + 1], &value)) return false;
        preset->values.emplace_back(found - parameters.begin(), value);
    }
    return fields.size() % 2 == 0;
}

bool parse_controller(const std::vector<std::string>& fields, std::map<int, vst3::ParamId>* controllers) {
    double number;
    if (fields.size() != 3 || !parse_number(fields[1], &number)) return false;
    (*controllers)[static_cast<int>(number)] = id_of(fields[2]);
    return true;
}

}  // namespace

bool Descriptor::read(const std::string& path, Descriptor* descriptor) {
    bool known = false;
    for (const std::string& line : split(contents(path), '\n')) {
        std::vector<std::string> fields = split(line, '\t');
        if (fields.size() < 2) continue;
        if (fields[0] == "descriptor") known = fields[1] == "1";
        if (fields[0] == "name") descriptor->name = fields[1];
        if (fields[0] == "version") descriptor->version = fields[1];
        Model& model = descriptor->models.back();
        if (fields[0] == "identity") model.identity = fields[1];
        if (fields[0] == "argument") model.arguments.push_back(fields[1]);
        if (fields[0] == "latency" && !parse_latency(fields, &model.latencies)) return false;
        if (fields[0] == "model") {  // the lines above are of the model before
            if (model.arguments.empty()) model.name = fields[1];
            else descriptor->models.push_back({fields[1], {}, {}, {}});
        }
        if (fields[0] == "categories") descriptor->categories = fields[1];
        if (fields[0] == "vendor" && fields.size() == 4)
            descriptor->vendor = fields[1], descriptor->url = fields[2], descriptor->email = fields[3];
        if (fields[0] == "status") descriptor->shows_status = fields[1] == "1";
        if (fields[0] == "output") descriptor->outputs.push_back(fields[1]);
        if (fields[0] == "uid" && !parse_uid(fields[1], &descriptor->uid)) return false;
        if (fields[0] == "controller" && !parse_controller(fields, &descriptor->controllers)) return false;
        if (fields[0] == "preset") {
            Preset preset;
            if (!parse_preset(fields, descriptor->parameters, &preset)) return false;
            descriptor->presets.push_back(preset);
        }
        Parameter parameter;
        if (fields[0] == "toggle") {
            if (!parse_toggle(fields, &parameter)) return false;
            descriptor->parameters.push_back(parameter);
        }
        if (fields[0] == "parameter" || fields[0] == "meter") {
            if (!parse_parameter(fields, &parameter)) return false;
            bool meter = fields[0] == "meter";
            if (meter) parameter.flags = vst3::kIsReadOnly;
            (meter ? descriptor->meters : descriptor->parameters).push_back(parameter);
        }
    }
    Parameter bypass = Parameter::make_toggle("bypass", "Bypass", false);
    bypass.flags |= vst3::kIsBypass;
    descriptor->parameters.push_back(bypass);
    return known && !descriptor->name.empty() && !descriptor->models.back().arguments.empty();
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
