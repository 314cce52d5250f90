#include "controller.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "text.h"

namespace stembridge {

using namespace vst3;

namespace {

void add(IParameterChanges* changes, ParamId id, double value) {
    int32_t at = 0;
    IParamValueQueue* queue = changes ? changes->addParameterData(id, &at) : nullptr;
    if (queue) queue->addPoint(0, value, &at);
}

std::vector<Parameter> all_parameters(const Descriptor& descriptor) {
    std::vector<Parameter> all = descriptor.parameters;
    if (!descriptor.presets.empty()) {
        std::vector<std::string> names{kNoPreset};
        for (const Preset& preset : descriptor.presets) names.push_back(preset.name);
        all.push_back(Parameter::make_list(".preset", "Preset", names));
        all.back().flags |= kIsProgramChange;
    }
    if (descriptor.shows_status) {
        std::vector<std::string> texts = {"Running", "Starting", "Dry", "Failed"};
        if (descriptor.models.size() > 1) texts.insert(texts.end(), {"Changing model", "Other model"});
        Parameter status = Parameter::make_list(".status", "Status", texts);
        status.flags = kIsReadOnly | kIsList;
        status.initial = static_cast<double>(Status::starting);
        all.push_back(status);
    }
    all.insert(all.end(), descriptor.meters.begin(), descriptor.meters.end());
    if (descriptor.models.size() > 1) {
        std::vector<std::string> names;
        for (const Model& model : descriptor.models) names.push_back(model.name);
        all.push_back(Parameter::make_list(".model", "Model", names));
        all.back().flags = kIsList;  // not for automation, because a change takes seconds
    }
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
    if (can_be_set(index)) normalized_[index] = value;  // hosts also send back values of read-only parameters
    if (is_preset(index)) {
        size_t program = static_cast<size_t>(parameters_[index].plain(value));
        if (program == static_cast<size_t>(parameters_[index].plain(normalized_[index]))) return kResultOk;
        choose(program);
        notify(kParamValuesChanged);
    }
    if (is_model(index)) {
        set_model(value);
        tell_latency();  // only here: Ardour sets read-only parameters in its audio thread, which must not be told
    }
    return kResultOk;
}

void Controller::set_model(double normalized) {
    size_t model = static_cast<size_t>(parameters_.back().plain(normalized));
    double before = normalized_.back().exchange(normalized);
    if (model == static_cast<size_t>(parameters_.back().plain(before))) return;  // hosts repeat values
    model_is_missing_ = false;
    choose_model(model);
}

Result VST3_CALL Controller::getMidiControllerAssignment(int32_t bus, int16_t, int16_t controller, ParamId& id) {
    auto found = descriptor_.controllers.find(controller);
    if (bus != 0 || found == descriptor_.controllers.end()) return kResultFalse;
    id = found->second;
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
    bool several = descriptor_.models.size() > 1;
    size_t chosen = several ? static_cast<size_t>(parameters_.back().plain(normalized_.back())) : 0;
    const Model& model = descriptor_.models[chosen];
    const std::string& identity = model_is_missing_ ? missing_identity_ : model.identity;
    if (!identity.empty()) text += "identity\t" + identity + "\n";
    if (several) text += "model\t" + (model_is_missing_ ? missing_model_ : model.name) + "\n";
    std::vector<double> values = plain_values();
    for (size_t i = 0; i < values.size(); i++)
        text += "value\t" + parameters_[i].name + "\t" + number_text(values[i], 12) + "\n";
    size_t preset = values.size();
    double program = has_presets() ? parameters_[preset].plain(normalized_[preset]) : 0;
    if (program > 0) text += "preset\t" + parameters_[preset].choices[static_cast<size_t>(program)] + "\n";
    return text;
}

bool Controller::read_state(const std::string& text) {
    std::vector<std::string> lines = split(text, '\n');
    if (lines[0].rfind("state\t", 0) != 0) return false;
    std::vector<double> values;
    size_t program = 0;
    std::string identity, model = descriptor_.models[0].name;  // states of earlier versions have no model
    for (const Parameter& parameter : descriptor_.parameters) values.push_back(parameter.initial);
    for (const std::string& line : lines) {
        std::vector<std::string> fields = split(line, '\t');
        if (fields.size() == 2 && fields[0] == "identity") identity = fields[1];
        if (fields.size() == 2 && fields[0] == "model" && !model.empty()) model = fields[1];
        for (size_t i = 0; fields.size() == 2 && fields[0] == "preset" && i < descriptor_.presets.size(); i++)
            if (descriptor_.presets[i].name == fields[1]) program = i + 1;
        if (fields.size() != 3 || fields[0] != "value") continue;
        for (size_t i = 0; i < values.size(); i++)
            if (parameters_[i].name == fields[1]) parse_number(fields[2], &values[i]);
    }
    read_model(model, identity);
    if (has_presets()) choose(program);
    heard_program_ = program;
    for (size_t i = 0; i < values.size(); i++)
        normalized_[i] = parameters_[i].normalized(values[i]);  // over the preset's
    return true;
}

// Choose the model of a saved state, or the first one if it is missing. The gains are used in any case.
void Controller::read_model(const std::string& saved, const std::string& identity) {
    size_t model = 0, count = descriptor_.models.size();
    while (model < count && descriptor_.models[model].name != saved) model++;
    bool missing = model == count;
    if (missing) {
        missing_model_ = saved, missing_identity_ = identity, model = 0;  // kept, to be saved again
        say_once("this state was saved with the model " + saved + ", which this plugin does not have; " +
                 descriptor_.models[0].name + " takes its place");
    } else if (!identity.empty() && identity != descriptor_.models[model].identity) {
        say_once("this state was saved with " + identity + ", and this plugin has " +
                 descriptor_.models[model].identity);
    }
    if (count > 1) {
        normalized_.back() = parameters_.back().normalized(static_cast<double>(model));
        choose_model(model);
    }
    model_is_missing_ = missing && count > 1;
}

// Hosts load a state several times.
void Controller::say_once(const std::string& what) {
    std::string line = what;
    std::replace_if(
        line.begin(), line.end(), [](unsigned char c) { return c < 32 || c > 126; }, '?');
    if (line != said_) std::fprintf(stderr, "stembridge: %s: %s\n", descriptor_.name.c_str(), line.c_str());
    said_ = line;
}

std::vector<double> Controller::plain_values() const {
    std::vector<double> values;
    for (size_t i = 0; i < descriptor_.parameters.size(); i++) values.push_back(parameters_[i].plain(normalized_[i]));
    return values;
}

// Set the preset, and the parameters that it moves.
void Controller::choose(size_t program) {
    size_t preset = descriptor_.parameters.size();
    normalized_[preset] = parameters_[preset].normalized(static_cast<double>(program));
    if (program == 0) return;
    for (auto [index, value] : descriptor_.presets[program - 1].values)
        normalized_[index] = parameters_[index].normalized(value);
}

// Hosts repeat the value of the preset, for example when they open a project, so only a change moves parameters.
void Controller::take_preset(int32_t offset, size_t program) {
    if (program == heard_program_.exchange(program)) return;
    choose(program);
    show_preset_ = true;
    if (program == 0) return;
    for (auto [index, value] : descriptor_.presets[program - 1].values)
        moves_.push_back({offset, static_cast<int32_t>(index), value});
}

void Controller::take_moves(IParameterChanges* changes, int length) {
    moves_.clear();
    show_preset_ = false;
    // A preset first, so that a fader that moves at the same time overrides it.
    take_moves(changes, length, [&](int index, int32_t offset, double value) {
        if (is_preset(index)) take_preset(offset, static_cast<size_t>(parameters_[index].plain(value)));
    });
    take_moves(changes, length, [&](int index, int32_t offset, double value) {
        if (is_model(index)) set_model(value);
        if (!can_be_set(index)) return;
        normalized_[index] = value;
        moves_.push_back({offset, index, parameters_[index].plain(value)});
    });
    std::stable_sort(moves_.begin(), moves_.end(), [](const Move& a, const Move& b) { return a.offset < b.offset; });
}

template <typename Take>
void Controller::take_moves(IParameterChanges* changes, int length, Take take) {
    for (int i = 0; changes && i < changes->getParameterCount(); i++) {
        IParamValueQueue* queue = changes->getParameterData(i);
        int index = queue ? index_of(queue->getParameterId()) : -1;
        for (int k = 0; index >= 0 && k < queue->getPointCount(); k++) {
            int32_t offset = 0;
            double value = 0;
            if (queue->getPoint(k, &offset, &value) != kResultOk) continue;
            take(index, std::clamp(offset, 0, std::max(length - 1, 0)), value);
        }
    }
}

void Controller::show(Status status, const std::vector<double>& meters, IParameterChanges* changes) {
    size_t index = descriptor_.parameters.size();
    size_t program = heard_program_;
    if (show_preset_ && program > 0)
        for (auto [moved, value] : descriptor_.presets[program - 1].values)
            add(changes, parameters_[moved].id, normalized_[moved]);
    if (has_presets()) index++;
    if (status == Status::running && model_is_missing_) status = Status::other_model;
    bool plays = status == Status::running || status == Status::changing || status == Status::other_model;
    if (descriptor_.shows_status) show(index++, static_cast<double>(status), changes);
    for (const Parameter& meter : descriptor_.meters) {
        // Meters of a plugin that does not run show silence.
        double value = plays ? meters[&meter - descriptor_.meters.data()] : meter.initial;
        show(index++, std::isfinite(value) ? value : meter.initial, changes);
    }
}

void Controller::show(size_t index, double plain, IParameterChanges* changes) {
    double value = parameters_[index].normalized(plain);
    if (normalized_[index].exchange(value) != value) add(changes, parameters_[index].id, value);
}

int Controller::index_of(ParamId id) const {
    for (size_t i = 0; i < parameters_.size(); i++)
        if (parameters_[i].id == id) return static_cast<int>(i);
    return -1;
}

}  // namespace stembridge
