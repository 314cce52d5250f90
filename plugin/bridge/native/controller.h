// The parameters, as hosts show and set them.
#pragma once

#include <atomic>
#include <vector>

#include "descriptor.h"
#include "protocol.h"
#include "stream.h"
#include "vst3.h"

namespace stembridge {

// The plugin's parameters, in this order: those of the worker, the bypass, the preset (which moves others), the read-only
// ones, and the model if there are several.
class Controller : public vst3::IEditController, public vst3::IMidiMapping {
public:
    explicit Controller(const Descriptor& descriptor);

    vst3::Result VST3_CALL setComponentState(vst3::IBStream* state) override { return setState(state); }
    int32_t VST3_CALL getParameterCount() override { return static_cast<int32_t>(parameters_.size()); }
    vst3::Result VST3_CALL getParameterInfo(int32_t index, vst3::ParameterInfo* info) override;
    vst3::Result VST3_CALL getParamStringByValue(vst3::ParamId id, double value, vst3::String128 text) override;
    vst3::Result VST3_CALL getParamValueByString(vst3::ParamId id, char16_t* text, double* value) override;
    double VST3_CALL normalizedParamToPlain(vst3::ParamId id, double value) override;
    double VST3_CALL plainParamToNormalized(vst3::ParamId id, double plain) override;
    double VST3_CALL getParamNormalized(vst3::ParamId id) override;
    vst3::Result VST3_CALL setParamNormalized(vst3::ParamId id, double value) override;
    vst3::Result VST3_CALL setComponentHandler(vst3::IComponentHandler* handler) override;
    void* VST3_CALL createView(const char*) override { return nullptr; }  // hosts draw their own faders

    vst3::Result VST3_CALL getMidiControllerAssignment(int32_t bus, int16_t channel, int16_t controller,
                                                       vst3::ParamId& id) override;

protected:
    ~Controller() { setComponentHandler(nullptr); }

    // Let the stream change to another model of the descriptor. Any thread.
    virtual void choose_model(size_t model) = 0;
    // Tell the host if the latency has changed since it last asked. Must not be called while audio is processed.
    virtual void tell_latency() = 0;
    // Tell the host that something has changed that is not a parameter.
    void notify(vst3::RestartFlags flag) {
        if (handler_) handler_->restartComponent(flag);
    }
    // The values of all parameters that can be set, to text and back. Unknown parameters, from other versions, are
    // skipped. Missing ones get their defaults. Returns false if the text is not a state.
    std::string write_state() const;
    bool read_state(const std::string& text);
    std::vector<double> plain_values() const;  // of parameters that can be set
    // Put the host's queues into moves(), in the order in which they act.
    void take_moves(vst3::IParameterChanges* changes, int length);
    const std::vector<Move>& moves() const { return moves_; }
    // Show status and meters to the host, and parameters that a preset has moved. changes: may be null.
    void show(Status status, const std::vector<double>& meters, vst3::IParameterChanges* changes);

private:
    int index_of(vst3::ParamId id) const;
    bool is_preset(int index) const {
        return index == static_cast<int>(descriptor_.parameters.size()) && has_presets();
    }
    bool has_presets() const { return !descriptor_.presets.empty(); }
    bool is_model(int index) const {
        return descriptor_.models.size() > 1 && index + 1 == static_cast<int>(parameters_.size());
    }
    void set_model(double normalized);
    void choose(size_t program);
    void take_preset(int32_t offset, size_t program);
    bool can_be_set(int index) const { return index >= 0 && index < static_cast<int>(descriptor_.parameters.size()); }
    template <typename Take>
    void take_moves(vst3::IParameterChanges* changes, int length, Take take);
    void show(size_t index, double plain, vst3::IParameterChanges* changes);
    void read_model(const std::string& saved, const std::string& identity);
    void say_once(const std::string& what);

    const Descriptor& descriptor_;
    std::vector<Parameter> parameters_;
    std::vector<std::atomic<double>> normalized_;
    std::vector<Move> moves_;
    std::atomic<size_t> heard_program_{0};          // the preset in the last process(): 0 for none, 1 for the first
    bool show_preset_ = false;                      // whether to show the parameters that it moved
    std::string missing_model_, missing_identity_;  // the model of a loaded state, if it is missing here
    std::atomic<bool> model_is_missing_{false};
    std::string said_;
    vst3::IComponentHandler* handler_ = nullptr;
};

}  // namespace stembridge
