// The presets, as the list of programs that hosts show.
#pragma once

#include "descriptor.h"
#include "vst3.h"

namespace stembridge {

// The plugin's units: there is one, with one list of programs if the descriptor has presets. The first program means
// that no preset is chosen. The choice is a parameter, see Controller.
class Programs : public vst3::IUnitInfo {
public:
    explicit Programs(const std::vector<Preset>& presets) : presets_(presets) {}

    int32_t VST3_CALL getUnitCount() override { return 1; }
    vst3::Result VST3_CALL getUnitInfo(int32_t index, vst3::UnitInfo& info) override;
    int32_t VST3_CALL getProgramListCount() override { return presets_.empty() ? 0 : 1; }
    vst3::Result VST3_CALL getProgramListInfo(int32_t index, vst3::ProgramListInfo& info) override;
    vst3::Result VST3_CALL getProgramName(int32_t list, int32_t program, vst3::String128 name) override;
    vst3::Result VST3_CALL getProgramInfo(int32_t, int32_t, const char*, vst3::String128) override {
        return vst3::kResultFalse;
    }
    vst3::Result VST3_CALL hasProgramPitchNames(int32_t, int32_t) override { return vst3::kResultFalse; }
    vst3::Result VST3_CALL getProgramPitchName(int32_t, int32_t, int16_t, vst3::String128) override {
        return vst3::kResultFalse;
    }
    int32_t VST3_CALL getSelectedUnit() override { return vst3::kRootUnit; }
    vst3::Result VST3_CALL selectUnit(int32_t unit) override {
        return unit == vst3::kRootUnit ? vst3::kResultOk : vst3::kResultFalse;
    }
    vst3::Result VST3_CALL getUnitByBus(int32_t, int32_t, int32_t, int32_t, int32_t& unit) override;
    vst3::Result VST3_CALL setUnitProgramData(int32_t, int32_t, vst3::IBStream*) override {
        return vst3::kNotImplemented;
    }

protected:
    ~Programs() = default;

private:
    int32_t count() const { return static_cast<int32_t>(presets_.size()) + 1; }

    const std::vector<Preset>& presets_;
};

}  // namespace stembridge
