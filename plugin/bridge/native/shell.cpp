// The plugin that hosts see: one VST 3 component, processor and controller in one, for the bundle this library lies in.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "stream.h"
#include "vst3.h"

namespace stembridge {

namespace {

using namespace vst3;

// Blocks that went out dry, by instance; told to Python by the functions at the end.
std::mutex counters_mutex;
std::map<int64_t, std::atomic<int64_t>> counters;
int64_t counters_made = 0;
// A host that reloads an instance destroys it and makes the next one: on that thread it goes on counting.
thread_local int64_t newest = 0, orphan = 0;

std::atomic<int64_t>& take_counter() {
    std::lock_guard<std::mutex> lock(counters_mutex);
    newest = orphan ? orphan : ++counters_made;
    orphan = 0;
    return counters[newest];
}

void leave_counter(int64_t counter) {
    std::lock_guard<std::mutex> lock(counters_mutex);
    if (orphan) counters.erase(orphan);
    orphan = counter;
}

constexpr double kLowestRate = 8000, kHighestRate = 192000;  // Hz

// Flags of the channels that are all zeros.
uint64_t silent_channels(float* const* channels, int count, int length) {
    uint64_t flags = 0;
    for (int c = 0; c < count; c++)
        if (std::all_of(channels[c], channels[c] + length, [](float sample) { return sample == 0; }))
            flags |= uint64_t{1} << c;
    return flags;
}

const Descriptor* descriptor() {
    static Descriptor own;
    static const bool known = Descriptor::read(resources_folder() + "/descriptor.txt", &own);
    return known ? &own : nullptr;
}

void copy(const std::string& text, char16_t* target, size_t size = 128) {
    size_t length = std::min(text.size(), size - 1);
    for (size_t i = 0; i < length; i++) target[i] = static_cast<unsigned char>(text[i]);  // names are ASCII
    target[length] = 0;
}

// The ASCII equivalent of signs in typed numbers: minus sign, infinity, no-break spaces.
std::string ascii_of(char16_t c) {
    if (c == 0x2212) return "-";
    if (c == 0x221E) return "inf";
    if (c == 0xA0 || c == 0x202F) return " ";
    return std::string(1, c < 128 ? static_cast<char>(c) : '?');
}

template <size_t size>
void copy(const std::string& text, char (&target)[size]) {
    std::snprintf(target, size, "%s", text.c_str());
}

std::string read_all(IBStream* stream) {
    std::string text;
    char buffer[4096];
    int32_t done = 0;
    while (stream->read(buffer, sizeof buffer, &done) == kResultOk && done > 0) text.append(buffer, done);
    return text;
}

class Plugin : public IComponent,
               public IAudioProcessor,
               public IEditController,
               public IProcessContextRequirements {
public:
    explicit Plugin(const Descriptor& descriptor)
        : descriptor_(descriptor), stream_(descriptor), normalized_(descriptor.parameters.size()) {
        for (size_t i = 0; i < normalized_.size(); i++) {
            const Parameter& parameter = descriptor.parameters[i];
            normalized_[i] = parameter.normalized(parameter.initial);
        }
        moves_.reserve(kMaxMoves);
    }

    // FUnknown

    Result VST3_CALL queryInterface(const Uid& id, void** object) override {
        if (id == FUnknown::kId || id == IPluginBase::kId || id == IComponent::kId)
            *object = static_cast<IComponent*>(this);
        else if (id == IAudioProcessor::kId)
            *object = static_cast<IAudioProcessor*>(this);
        else if (id == IEditController::kId)
            *object = static_cast<IEditController*>(this);
        else if (id == IProcessContextRequirements::kId)
            *object = static_cast<IProcessContextRequirements*>(this);
        else
            return *object = nullptr, kNoInterface;
        addRef();
        return kResultOk;
    }
    uint32_t VST3_CALL addRef() override { return ++references_; }
    uint32_t VST3_CALL release() override {
        uint32_t left = --references_;
        if (left == 0) delete this;
        return left;
    }

    // IPluginBase

    Result VST3_CALL initialize(FUnknown*) override {
        if (initialized_) return kResultFalse;
        initialized_ = true;
        return kResultOk;
    }
    Result VST3_CALL terminate() override {
        initialized_ = false;
        setComponentHandler(nullptr);
        return kResultOk;
    }

    // IComponent

    Result VST3_CALL getControllerClassId(Uid*) override { return kNotImplemented; }  // it is this very object
    Result VST3_CALL setIoMode(int32_t) override { return kNotImplemented; }
    int32_t VST3_CALL getBusCount(int32_t type, int32_t) override { return type == kAudio ? 1 : 0; }
    Result VST3_CALL getBusInfo(int32_t type, int32_t direction, int32_t index, BusInfo* bus) override {
        if (type != kAudio || index != 0) return kInvalidArgument;
        *bus = {kAudio, direction, channels_, {}, kMain, kDefaultActive};
        copy(direction == kInput ? "Input" : "Output", bus->name);
        return kResultOk;
    }
    Result VST3_CALL getRoutingInfo(RoutingInfo*, RoutingInfo*) override { return kNotImplemented; }
    Result VST3_CALL activateBus(int32_t type, int32_t, int32_t index, uint8_t) override {
        return type == kAudio && index == 0 ? kResultOk : kInvalidArgument;
    }
    Result VST3_CALL setActive(uint8_t state) override {
        if (state && !active_) {
            configure();  // does nothing until the host has set the plugin up, as in a scan
            stream_.set_values(plain_values());
            stream_.reset();
        }
        active_ = state;
        return kResultOk;
    }
    Result VST3_CALL getState(IBStream* state) override {
        std::string text = "state\t1\n";
        if (!descriptor_.identity.empty()) text += "identity\t" + descriptor_.identity + "\n";
        std::vector<double> values = plain_values();
        for (size_t i = 0; i < values.size(); i++)
            text += "value\t" + descriptor_.parameters[i].name + "\t" + number_text(values[i], 12) + "\n";
        int32_t done = 0;
        return state->write(text.data(), static_cast<int32_t>(text.size()), &done);
    }
    Result VST3_CALL setState(IBStream* state) override {
        std::vector<std::string> lines = split(read_all(state), '\n');
        if (lines.empty() || lines[0].rfind("state\t", 0) != 0) return kResultFalse;
        // What other versions have written and this one does not know is passed over; what is not there is as it was
        // at first.
        std::vector<double> values;
        for (const Parameter& parameter : descriptor_.parameters) values.push_back(parameter.initial);
        for (const std::string& line : lines) {
            std::vector<std::string> fields = split(line, '\t');
            if (fields.size() == 2 && fields[0] == "identity") compare_identity(fields[1]);
            if (fields.size() != 3 || fields[0] != "value") continue;
            for (size_t i = 0; i < values.size(); i++)
                if (descriptor_.parameters[i].name == fields[1]) parse_number(fields[2], &values[i]);
        }
        for (size_t i = 0; i < values.size(); i++) normalized_[i] = descriptor_.parameters[i].normalized(values[i]);
        stream_.set_values(plain_values());
        notify(kParamValuesChanged);  // else hosts go on showing what was there before
        return kResultOk;
    }

    // IAudioProcessor

    Result VST3_CALL setBusArrangements(SpeakerArrangement* inputs, int32_t numIns, SpeakerArrangement* outputs,
                                        int32_t numOuts) override {
        if (active_ || numIns != 1 || numOuts != 1 || inputs[0] != outputs[0]) return kResultFalse;
        if (inputs[0] != kMono && inputs[0] != kStereo) return kResultFalse;
        int channels = inputs[0] == kMono ? 1 : 2;
        configured_ = configured_ && channels == channels_;
        channels_ = channels;
        return kResultOk;
    }
    Result VST3_CALL getBusArrangement(int32_t, int32_t index, SpeakerArrangement* arrangement) override {
        *arrangement = channels_ == 1 ? kMono : kStereo;
        return index == 0 ? kResultOk : kInvalidArgument;
    }
    Result VST3_CALL canProcessSampleSize(int32_t size) override { return size == kSample32 ? kResultOk : kResultFalse; }
    uint32_t VST3_CALL getLatencySamples() override {
        if (!configured_) configure();
        return static_cast<uint32_t>(set_up_ ? stream_.latency() : 0);
    }
    Result VST3_CALL setupProcessing(ProcessSetup* setup) override {
        if (setup->symbolicSampleSize != kSample32) return kResultFalse;
        bool same = set_up_ && setup->sampleRate == setup_.sampleRate && setup->processMode == setup_.processMode;
        set_up_ = setup->sampleRate >= kLowestRate && setup->sampleRate <= kHighestRate && setup->maxSamplesPerBlock > 0;
        setup_ = *setup;
        configured_ = configured_ && same;
        if (!set_up_) {
            std::fprintf(stderr, "stembridge: %s: %g Hz and blocks of %d samples do not work; use %g to %g Hz\n",
                         descriptor_.name.c_str(), setup->sampleRate, setup->maxSamplesPerBlock, kLowestRate,
                         kHighestRate);
            return kResultFalse;
        }
        // A host may ask for longer blocks in the middle of a stream, which make no difference here.
        if (active_ && !same) configure();
        return kResultOk;
    }
    Result VST3_CALL setProcessing(uint8_t state) override {
        if (state && !processing_) stream_.reset();
        processing_ = state;
        return kResultOk;
    }
    Result VST3_CALL process(ProcessData* data) override {
        if (data->symbolicSampleSize != kSample32 || data->numSamples < 0) return kResultFalse;
        int length = data->numOutputs > 0 ? data->numSamples : 0;
        take_moves(data->inputParameterChanges, length);
        if (length == 0) {
            stream_.process(nullptr, nullptr, 0, moves_, Mode::offline);
            return kResultOk;
        }
        AudioBusBuffers& out = data->outputs[0];
        const float* inputs[kMaxChannels] = {};  // null where there is silence, or no input
        for (int c = 0; c < channels_; c++) {
            if (c >= out.numChannels || !out.channelBuffers32 || !out.channelBuffers32[c]) return kInvalidArgument;
            AudioBusBuffers* in = data->numInputs > 0 ? &data->inputs[0] : nullptr;
            if (!in || c >= in->numChannels || !in->channelBuffers32) continue;
            if (!(in->silenceFlags >> c & 1)) inputs[c] = in->channelBuffers32[c];
        }
        if (!process(inputs, out.channelBuffers32, length, data->processMode)) ++dropouts_;
        for (int c = channels_; c < out.numChannels; c++) std::fill_n(out.channelBuffers32[c], length, 0.0f);
        out.silenceFlags = silent_channels(out.channelBuffers32, out.numChannels, length);
        return kResultOk;
    }
    uint32_t VST3_CALL getTailSamples() override { return static_cast<uint32_t>(stream_.latency()); }

    // IProcessContextRequirements

    uint32_t VST3_CALL getProcessContextRequirements() override { return 0; }

    // IEditController

    Result VST3_CALL setComponentState(IBStream* state) override { return setState(state); }
    int32_t VST3_CALL getParameterCount() override { return static_cast<int32_t>(normalized_.size()); }
    Result VST3_CALL getParameterInfo(int32_t index, ParameterInfo* info) override {
        if (index < 0 || index >= getParameterCount()) return kInvalidArgument;
        const Parameter& parameter = descriptor_.parameters[index];
        *info = {};
        info->id = parameter.id;
        copy(parameter.title, info->title);
        copy(parameter.title, info->shortTitle);
        copy(parameter.unit, info->units);
        info->stepCount = parameter.toggle ? 1 : 0;
        info->defaultNormalizedValue = parameter.normalized(parameter.initial);
        info->flags = kCanAutomate | (index == getParameterCount() - 1 ? kIsBypass : 0);
        return kResultOk;
    }
    Result VST3_CALL getParamStringByValue(ParamId id, double value, String128 text) override {
        int index = index_of(id);
        if (index < 0) return kInvalidArgument;
        copy(descriptor_.parameters[index].text(value), text);
        return kResultOk;
    }
    Result VST3_CALL getParamValueByString(ParamId id, char16_t* text, double* value) override {
        int index = index_of(id);
        std::string ascii;
        for (; text && *text && ascii.size() < 128; text++) ascii += ascii_of(*text);
        return index >= 0 && descriptor_.parameters[index].parse(ascii, value) ? kResultOk : kResultFalse;
    }
    double VST3_CALL normalizedParamToPlain(ParamId id, double value) override {
        int index = index_of(id);
        return index < 0 ? value : descriptor_.parameters[index].plain(value);
    }
    double VST3_CALL plainParamToNormalized(ParamId id, double plain) override {
        int index = index_of(id);
        return index < 0 ? plain : descriptor_.parameters[index].normalized(plain);
    }
    double VST3_CALL getParamNormalized(ParamId id) override {
        int index = index_of(id);
        return index < 0 ? 0 : normalized_[index].load();
    }
    Result VST3_CALL setParamNormalized(ParamId id, double value) override {
        int index = index_of(id);
        if (index < 0) return kInvalidArgument;
        normalized_[index] = value;
        return kResultOk;
    }
    Result VST3_CALL setComponentHandler(IComponentHandler* handler) override {
        if (handler) handler->addRef();
        if (handler_) handler_->release();
        handler_ = handler;
        return kResultOk;
    }
    void* VST3_CALL createView(const char*) override { return nullptr; }  // hosts draw faders of their own

private:
    virtual ~Plugin() {
        setComponentHandler(nullptr);
        leave_counter(counter_);
    }

    // False if any of it went out dry by mistake.
    bool process(const float* const* inputs, float* const* outputs, int length, int32_t mode) {
        if (set_up_ && configured_) {
            Mode as = mode == kOffline ? Mode::offline : mode == kPrefetch ? Mode::prefetch : Mode::realtime;
            return stream_.process(inputs, outputs, length, moves_, as);
        }
        for (int c = 0; c < channels_; c++) {
            if (inputs[c]) std::memmove(outputs[c], inputs[c], length * sizeof(float));
            else std::fill_n(outputs[c], length, 0.0f);
        }
        return false;
    }

    // Nothing is started before the host has set a supported rate.
    void configure() {
        if (!set_up_) return;
        int64_t before = stream_.latency();
        stream_.configure(setup_.sampleRate, channels_, setup_.maxSamplesPerBlock, setup_.processMode != kOffline);
        bool first = !configured_;
        configured_ = true;
        if (!first && stream_.latency() != before) notify(kLatencyChanged);
    }

    // Says once that a state comes from another model; its gains are taken all the same.
    void compare_identity(std::string saved) {
        std::replace_if(saved.begin(), saved.end(), [](unsigned char c) { return c < 32 || c > 126; }, '?');
        if (saved != descriptor_.identity && saved != other_identity_)
            std::fprintf(stderr, "stembridge: %s: this state was saved with %s, and this plugin has %s\n",
                         descriptor_.name.c_str(), saved.c_str(), descriptor_.identity.c_str());
        other_identity_ = saved;
    }

    void notify(int32_t flags) {
        if (handler_) handler_->restartComponent(flags);
    }

    int index_of(ParamId id) const {
        for (size_t i = 0; i < descriptor_.parameters.size(); i++)
            if (descriptor_.parameters[i].id == id) return static_cast<int>(i);
        return -1;
    }

    std::vector<double> plain_values() const {
        std::vector<double> values;
        for (size_t i = 0; i < normalized_.size(); i++)
            values.push_back(descriptor_.parameters[i].plain(normalized_[i]));
        return values;
    }

    // The host's queues into moves_, in the order they act.
    void take_moves(IParameterChanges* changes, int length) {
        moves_.clear();
        for (int i = 0; changes && i < changes->getParameterCount(); i++) {
            IParamValueQueue* queue = changes->getParameterData(i);
            int index = queue ? index_of(queue->getParameterId()) : -1;
            for (int k = 0; index >= 0 && k < queue->getPointCount(); k++) {
                int32_t offset = 0;
                double value = 0;
                if (queue->getPoint(k, &offset, &value) != kResultOk) continue;
                normalized_[index] = value;
                offset = std::clamp(offset, 0, std::max(length - 1, 0));
                moves_.push_back({offset, index, descriptor_.parameters[index].plain(value)});
            }
        }
        std::stable_sort(moves_.begin(), moves_.end(), [](const Move& a, const Move& b) { return a.offset < b.offset; });
    }

    const Descriptor& descriptor_;
    Stream stream_;
    std::vector<std::atomic<double>> normalized_;
    std::vector<Move> moves_;
    std::string other_identity_;
    std::atomic<uint32_t> references_{1};
    IComponentHandler* handler_ = nullptr;
    ProcessSetup setup_{kRealtime, kSample32, 0, 0};
    int channels_ = 2;
    bool initialized_ = false, active_ = false, processing_ = false;
    bool set_up_ = false, configured_ = false;  // set up by the host, with valid values; stream_ configured for it
    std::atomic<int64_t>& dropouts_ = take_counter();
    const int64_t counter_ = newest;
};

class Factory : public IPluginFactory2 {
public:
    Result VST3_CALL queryInterface(const Uid& id, void** object) override {
        bool known = id == FUnknown::kId || id == IPluginFactory::kId || id == IPluginFactory2::kId;
        *object = known ? this : nullptr;
        return known ? kResultOk : kNoInterface;
    }
    uint32_t VST3_CALL addRef() override { return 1; }  // there is one, for as long as the library is loaded
    uint32_t VST3_CALL release() override { return 1; }
    Result VST3_CALL getFactoryInfo(PFactoryInfo* info) override {
        *info = {};
        copy("StemBridge", info->vendor);
        copy("no web site yet", info->url);
        copy("no e-mail address yet", info->email);
        info->flags = kUnicode;
        return kResultOk;
    }
    int32_t VST3_CALL countClasses() override { return descriptor() ? 1 : 0; }
    Result VST3_CALL getClassInfo(int32_t index, PClassInfo* info) override {
        if (index != 0 || !descriptor()) return kInvalidArgument;
        *info = {descriptor()->uid, kManyInstances, "Audio Module Class", {}};
        copy(descriptor()->name, info->name);
        return kResultOk;
    }
    Result VST3_CALL getClassInfo2(int32_t index, PClassInfo2* info) override {
        if (index != 0 || !descriptor()) return kInvalidArgument;
        *info = {descriptor()->uid, kManyInstances, "Audio Module Class", {}, 0, "Fx", "StemBridge", {}, "VST 3.7.2"};
        copy(descriptor()->name, info->name);
        copy(descriptor()->version, info->version);
        return kResultOk;
    }
    Result VST3_CALL createInstance(const char* cid, const char* id, void** object) override {
        *object = nullptr;
        if (!descriptor() || std::memcmp(cid, descriptor()->uid.bytes, sizeof(Uid)) != 0) return kInvalidArgument;
        Uid wanted;
        std::memcpy(wanted.bytes, id, sizeof wanted.bytes);
        auto* plugin = new Plugin(*descriptor());
        Result result = plugin->queryInterface(wanted, object);
        plugin->release();
        return result;
    }
};

}  // namespace

}  // namespace stembridge

#if defined(_WIN32)
#define STEMBRIDGE_EXPORT extern "C" __declspec(dllexport)
#else
#define STEMBRIDGE_EXPORT extern "C" __attribute__((visibility("default")))
#endif

STEMBRIDGE_EXPORT vst3::IPluginFactory* GetPluginFactory() {
    static stembridge::Factory factory;
    return &factory;
}

// For the process that loaded the library, if it speaks Python: the instance made last on this thread, and how many
// blocks of an instance went out dry that should not have.
STEMBRIDGE_EXPORT int64_t stembridge_newest() { return stembridge::newest; }

STEMBRIDGE_EXPORT int64_t stembridge_dropouts(int64_t instance) {
    std::lock_guard<std::mutex> lock(stembridge::counters_mutex);
    auto found = stembridge::counters.find(instance);
    return found == stembridge::counters.end() ? 0 : found->second.load();
}
