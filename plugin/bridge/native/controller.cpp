#include "controller.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "text.h"

namespace stembridge {

using namespace vst3;

namespace {

std::vector<Parameter> all_parameters(const Descriptor& descriptor) {
    std::vector<Parameter> all = descriptor.parameters;
    if (descriptor.shows_status) {
        Parameter status = Parameter::make_list(".status", "Status", {"Running", "Starting", "Dry", "Failed"});
        status.flags = kIsReadOnly | kIsList;
        status.initial = static_cast<double>(Status::starting);
        all.push_back(status);
    }
    all.insert(all.end(), descriptor.meters.begin(), descriptor.meters.end());
    return all;
}

}  // namespace

Controller::Controller(const Descriptor& descriptor)
    : descriptor_(descriptor), parameters_(all_parameters(descriptor)), normalized_(parameters_.size()) {
    for (size_t i = 0; i < normalized_.size(); i++) normalized_[i] = parameters_[i].normalized(parameters_[i].initial);
    moves_.reserve(kMaxMoves);
}

Result VST3_CALL Controller::getParameterInfo(int32_t index, ParameterInfo* info) {
    if (index < 0 || index >= getParameterCount()) return kInvalidArgument;
    const Parameter& parameter = parameters_[index];
    *info = {};
    info->id = parameter.id;
    copy(parameter.title, info->title);
    copy(parameter.title, info->shortTitle);
    copy(parameter.unit, info->units);
    info->stepCount = parameter.steps();
    info->defaultNormalizedValue = parameter.normalized(parameter.initial);
    info->flags = parameter.flags;
    return kResultOk;
}

Result VST3_CALL Controller::getParamStringByValue(ParamId id, double value, String128 text) {
    int index = index_of(id);
    if (index < 0) return kInvalidArgument;
    copy(parameters_[index].text(value), text);
    return kResultOk;
}

Result VST3_CALL Controller::getParamValueByString(ParamId id, char16_t* text, double* value) {
    int index = index_of(id);
    return index >= 0 && parameters_[index].parse(ascii(text), value) ? kResultOk : kResultFalse;
}

double VST3_CALL Controller::normalizedParamToPlain(ParamId id, double value) {
    int index = index_of(id);
    return index < 0 ? value : parameters_[index].plain(value);
}

double VST3_CALL Controller::plainParamToNormalized(ParamId id, double plain) {
    int index = index_of(id);
    return index < 0 ? plain : parameters_[index].normalized(plain);
}

double VST3_CALL Controller::getParamNormalized(ParamId id) {
    int index = index_of(id);
    return index < 0 ? 0 : normalized_[index].load();
}

Result VST3_CALL Controller::setParamNormalized(ParamId id, double value) {
    int index = index_of(id);
    if (index < 0) return kInvalidArgument;
    if (can_be_set(index)) normalized_[index] = value;  // hosts also echo the values of those that they may only read
    return kResultOk;
}

Result VST3_CALL Controller::setComponentHandler(IComponentHandler* handler) {
    if (handler) handler->addRef();
    if (handler_) handler_->release();
    handler_ = handler;
    return kResultOk;
}

std::string Controller::write_state() const {
    std::string text = "state\t1\n";
    if (!descriptor_.identity.empty()) text += "identity\t" + descriptor_.identity + "\n";
    std::vector<double> values = plain_values();
    for (size_t i = 0; i < values.size(); i++)
        text += "value\t" + parameters_[i].name + "\t" + number_text(values[i], 12) + "\n";
    return text;
}

bool Controller::read_state(const std::string& text) {
    std::vector<std::string> lines = split(text, '\n');
    if (lines[0].rfind("state\t", 0) != 0) return false;
    std::vector<double> values;
    for (const Parameter& parameter : descriptor_.parameters) values.push_back(parameter.initial);
    for (const std::string& line : lines) {
        std::vector<std::string> fields = split(line, '\t');
        if (fields.size() == 2 && fields[0] == "identity") compare_identity(fields[1]);
        if (fields.size() != 3 || fields[0] != "value") continue;
        for (size_t i = 0; i < values.size(); i++)
            if (parameters_[i].name == fields[1]) parse_number(fields[2], &values[i]);
    }
    for (size_t i = 0; i < values.size(); i++) normalized_[i] = parameters_[i].normalized(values[i]);
    return true;
}

// Says once that a state comes from another model; its gains are taken all the same.
void Controller::compare_identity(std::string saved) {
    std::replace_if(saved.begin(), saved.end(), [](unsigned char c) { return c < 32 || c > 126; }, '?');
    if (saved != descriptor_.identity && saved != other_identity_)
        std::fprintf(stderr, "stembridge: %s: this state was saved with %s, and this plugin has %s\n",
                     descriptor_.name.c_str(), saved.c_str(), descriptor_.identity.c_str());
    other_identity_ = saved;
}

std::vector<double> Controller::plain_values() const {
    std::vector<double> values;
    for (size_t i = 0; i < descriptor_.parameters.size(); i++) values.push_back(parameters_[i].plain(normalized_[i]));
    return values;
}

void Controller::take_moves(IParameterChanges* changes, int length) {
    moves_.clear();
    for (int i = 0; changes && i < changes->getParameterCount(); i++) {
        IParamValueQueue* queue = changes->getParameterData(i);
        int index = queue ? index_of(queue->getParameterId()) : -1;
        for (int k = 0; can_be_set(index) && k < queue->getPointCount(); k++) {
            int32_t offset = 0;
            double value = 0;
            if (queue->getPoint(k, &offset, &value) != kResultOk) continue;
            normalized_[index] = value;
            offset = std::clamp(offset, 0, std::max(length - 1, 0));
            moves_.push_back({offset, index, parameters_[index].plain(value)});
        }
    }
    std::stable_sort(moves_.begin(), moves_.end(), [](const Move& a, const Move& b) { return a.offset < b.offset; });
}

void Controller::show(Status status, const std::vector<double>& meters, IParameterChanges* changes) {
    size_t index = descriptor_.parameters.size();
    if (descriptor_.shows_status) show(index++, static_cast<double>(status), changes);
    for (const Parameter& meter : descriptor_.meters) {
        // A plugin that does not run has nothing to measure.
        double value = status == Status::running ? meters[&meter - descriptor_.meters.data()] : meter.initial;
        show(index++, std::isfinite(value) ? value : meter.initial, changes);
    }
}

void Controller::show(size_t index, double plain, IParameterChanges* changes) {
    double value = parameters_[index].normalized(plain);
    if (normalized_[index].exchange(value) == value || !changes) return;
    int32_t at = 0;
    IParamValueQueue* queue = changes->addParameterData(parameters_[index].id, &at);
    if (queue) queue->addPoint(0, value, &at);
}

int Controller::index_of(ParamId id) const {
    for (size_t i = 0; i < parameters_.size(); i++)
        if (parameters_[i].id == id) return static_cast<int>(i);
    return -1;
}

}  // namespace stembridge
