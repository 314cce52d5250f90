#include "programs.h"

#include "text.h"

namespace stembridge {

using namespace vst3;

namespace {

constexpr int32_t kList = 1;  // the id of the list of programs

}  // namespace

Result VST3_CALL Programs::getUnitInfo(int32_t index, UnitInfo& info) {
    if (index != 0) return kInvalidArgument;
    info = {kRootUnit, kNoParentUnit, {}, presets_.empty() ? kNoProgramList : kList};
    copy("Root", info.name);
    return kResultOk;
}

Result VST3_CALL Programs::getProgramListInfo(int32_t index, ProgramListInfo& info) {
    if (index != 0 || presets_.empty()) return kInvalidArgument;
    info = {kList, {}, count()};
    copy("Presets", info.name);
    return kResultOk;
}

Result VST3_CALL Programs::getProgramName(int32_t list, int32_t program, String128 name) {
    if (list != kList || presets_.empty() || program < 0 || program >= count()) return kInvalidArgument;
    copy(program == 0 ? kNoPreset : presets_[program - 1].name, name);
    return kResultOk;
}

Result VST3_CALL Programs::getUnitByBus(int32_t, int32_t, int32_t, int32_t, int32_t& unit) {
    unit = kRootUnit;
    return kResultOk;
}

}  // namespace stembridge
