#include "plugin.h"

#include <cstdio>
#include <cstring>

#include "text.h"

namespace stembridge {

using namespace vst3;

namespace {

constexpr double kLowestRate = 8000, kHighestRate = 192000;  // Hz
constexpr int32_t kMidiChannels = 16;
constexpr const char* kCarla = "Carla";  // its rack takes no plugin that has further outputs, even inactive ones

std::string read_all(IBStream* stream) {
    std::string text;
    char buffer[4096];
    int32_t done = 0;
    while (stream->read(buffer, sizeof buffer, &done) == kResultOk && done > 0) text.append(buffer, done);
    return text;
}

std::string name_of(FUnknown* host) {
    void* found = nullptr;
    if (!host || host->queryInterface(IHostApplication::kId, &found) != kResultOk || !found) return "";
    auto* application = static_cast<IHostApplication*>(found);
    String128 name = {};
    application->getName(name);
    application->release();
    return ascii(name);
}

}  // namespace

Plugin::Plugin(const Descriptor& descriptor)
    : Controller(descriptor),
      Programs(descriptor.presets),
      descriptor_(descriptor),
      stream_(descriptor),
      buses_(descriptor.outputs) {}

Result VST3_CALL Plugin::queryInterface(const Uid& id, void** object) {
    if (id == FUnknown::kId || id == IPluginBase::kId || id == IComponent::kId)
        *object = static_cast<IComponent*>(this);
    else if (id == IAudioProcessor::kId) *object = static_cast<IAudioProcessor*>(this);
    else if (id == IEditController::kId) *object = static_cast<IEditController*>(this);
    else if (id == IMidiMapping::kId) *object = static_cast<IMidiMapping*>(this);
    else if (id == IUnitInfo::kId) *object = static_cast<IUnitInfo*>(this);
    else if (id == IProcessContextRequirements::kId) *object = static_cast<IProcessContextRequirements*>(this);
    else return *object = nullptr, kNoInterface;
    addRef();
    return kResultOk;
}

uint32_t VST3_CALL Plugin::release() {
    uint32_t left = --references_;
    if (left == 0) delete this;
    return left;
}

Result VST3_CALL Plugin::initialize(FUnknown* context) {
    if (initialized_) return kResultFalse;
    initialized_ = true;
    if (name_of(context).rfind(kCarla, 0) == 0) buses_.hide_others();
    return kResultOk;
}

Result VST3_CALL Plugin::terminate() {
    initialized_ = false;
    setComponentHandler(nullptr);
    return kResultOk;
}

int32_t VST3_CALL Plugin::getBusCount(int32_t type, int32_t direction) {
    if (type == kEvent) return direction == kInput && !descriptor_.controllers.empty();
    return type == kAudio ? buses_.count(direction) : 0;
}

Result VST3_CALL Plugin::getBusInfo(int32_t type, int32_t direction, int32_t index, BusInfo* bus) {
    if (type == kAudio) return buses_.info(direction, index, bus);
    if (index != 0 || getBusCount(type, direction) == 0) return kInvalidArgument;
    *bus = {kEvent, kInput, kMidiChannels, {}, kMain, kDefaultActive};
    copy("MIDI", bus->name);
    return kResultOk;
}

Result VST3_CALL Plugin::activateBus(int32_t type, int32_t direction, int32_t index, uint8_t state) {
    if (type != kAudio) return index == 0 && getBusCount(type, direction) > 0 ? kResultOk : kInvalidArgument;
    if (index > 0) stream_.reset();  // an output that was not in use has no past
    return buses_.activate(direction, index, state);
}

Result VST3_CALL Plugin::setActive(uint8_t state) {
    if (state && !active_) {
        configure();  // does nothing until the host has set the plugin up, as in a scan
        stream_.set_values(plain_values());
        stream_.reset();
    }
    active_ = state;
    return kResultOk;
}

Result VST3_CALL Plugin::getState(IBStream* state) {
    std::string text = write_state();
    int32_t done = 0;
    return state->write(text.data(), static_cast<int32_t>(text.size()), &done);
}

Result VST3_CALL Plugin::setState(IBStream* state) {
    if (!read_state(read_all(state))) return kResultFalse;
    stream_.set_values(plain_values());
    notify(kParamValuesChanged);  // else hosts go on showing what was there before
    tell_latency();
    return kResultOk;
}

Result VST3_CALL Plugin::setBusArrangements(SpeakerArrangement* inputs, int32_t numIns, SpeakerArrangement* outputs,
                                            int32_t numOuts) {
    if (active_) return kResultFalse;
    int before = buses_.channels();
    Result result = buses_.arrange(inputs, numIns, outputs, numOuts);
    configured_ = configured_ && buses_.channels() == before;
    return result;
}

Result VST3_CALL Plugin::getBusArrangement(int32_t direction, int32_t index, SpeakerArrangement* arrangement) {
    *arrangement = buses_.arrangement(direction);
    return index >= 0 && index < buses_.count(direction) ? kResultOk : kInvalidArgument;
}

Result VST3_CALL Plugin::canProcessSampleSize(int32_t size) {
    return size == kSample32 || size == kSample64 ? kResultOk : kResultFalse;
}

uint32_t VST3_CALL Plugin::getLatencySamples() {
    if (!configured_) configure();
    if (!set_up_) return 0;
    told_latency_ = stream_.latency();
    return static_cast<uint32_t>(told_latency_);
}

void Plugin::tell_latency() {
    int64_t told = told_latency_, latency = stream_.latency();
    if (!set_up_ || !configured_ || told == -1 || told == latency) return;
    told_latency_ = latency;
    notify(kLatencyChanged);
}

uint32_t VST3_CALL Plugin::getTailSamples() {
    return stream_.tail() < 0 ? kInfiniteTail : static_cast<uint32_t>(stream_.tail());
}

Result VST3_CALL Plugin::setupProcessing(ProcessSetup* setup) {
    if (canProcessSampleSize(setup->symbolicSampleSize) != kResultOk) return kResultFalse;
    bool same = set_up_ && setup->sampleRate == setup_.sampleRate && setup->processMode == setup_.processMode;
    set_up_ = setup->sampleRate >= kLowestRate && setup->sampleRate <= kHighestRate && setup->maxSamplesPerBlock > 0;
    setup_ = *setup;
    configured_ = configured_ && same;
    if (!set_up_ && setup->maxSamplesPerBlock != 0) {  // pedalboard does that for a block without samples
        std::fprintf(stderr, "stembridge: %s: %g Hz and blocks of %d samples do not work; use %g to %g Hz\n",
                     descriptor_.name.c_str(), setup->sampleRate, setup->maxSamplesPerBlock, kLowestRate, kHighestRate);
    }
    if (!set_up_) return kResultFalse;
    // A host may ask for longer blocks in the middle of a stream, which make no difference here.
    if (active_ && !same) configure();
    return kResultOk;
}

Result VST3_CALL Plugin::setProcessing(uint8_t state) {
    if (state && !processing_) stream_.reset();
    processing_ = state;
    return kResultOk;
}

Result VST3_CALL Plugin::process(ProcessData* data) {
    if (canProcessSampleSize(data->symbolicSampleSize) != kResultOk || data->numSamples < 0) return kResultFalse;
    int length = data->numOutputs > 0 ? data->numSamples : 0;
    take_moves(data->inputParameterChanges, length);
    if (length == 0) {
        stream_.process(nullptr, nullptr, 0, moves(), Mode::offline);
        return kResultOk;
    }
    // Sound from before a jump must not come out after it.
    if (transport_.jumps(data->processContext, length)) stream_.reset_at(data->processContext->projectTimeSamples);
    if (!buses_.take(*data)) return kInvalidArgument;
    if (!make_sound(*data)) dropouts_.add();
    buses_.give(*data);
    show(stream_.status(), stream_.meters(), data->outputParameterChanges);
    return kResultOk;
}

// False if any of it went out dry by mistake.
bool Plugin::make_sound(const ProcessData& data) {
    int32_t mode = data.processMode;
    Mode as = mode == kOffline ? Mode::offline : mode == kPrefetch ? Mode::prefetch : Mode::realtime;
    if (set_up_ && configured_) return stream_.process(buses_.inputs(), buses_.outputs(), data.numSamples, moves(), as);
    stream_.pass_through(buses_.inputs(), buses_.outputs(), buses_.channels(), data.numSamples);
    return false;
}

uint32_t VST3_CALL Plugin::getProcessContextRequirements() {
    return kNeedTransportState | kNeedProjectTimeMusic | kNeedCycleMusic | kNeedTempo;
}

// Nothing is started before the host has set a supported rate.
void Plugin::configure() {
    if (!set_up_) return;
    stream_.configure(
        {setup_.sampleRate, buses_.channels(), setup_.maxSamplesPerBlock, setup_.processMode != kOffline});
    bool first = !configured_;
    configured_ = true;
    if (!first) tell_latency();
}

}  // namespace stembridge
