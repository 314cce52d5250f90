// The part of VST 3's binary interface that the shell speaks: tables of functions, identifiers and structures, written
// down from the format's public documentation. Names follow the format, so that its documentation applies.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(_WIN32)
#define VST3_CALL __stdcall
#else
#define VST3_CALL
#endif

namespace vst3 {

using Result = int32_t;
#if defined(_WIN32)
constexpr Result kNoInterface = static_cast<Result>(0x80004002), kResultOk = 0, kResultFalse = 1,
                 kInvalidArgument = static_cast<Result>(0x80070057), kNotImplemented = static_cast<Result>(0x80004001);
#else
constexpr Result kNoInterface = -1, kResultOk = 0, kResultFalse = 1, kInvalidArgument = 2, kNotImplemented = 3;
#endif

struct Uid {
    uint8_t bytes[16];
    bool operator==(const Uid& other) const { return std::memcmp(bytes, other.bytes, sizeof bytes) == 0; }
};

constexpr uint8_t byte_of(uint32_t word, int place) { return static_cast<uint8_t>(word >> (24 - 8 * place)); }

constexpr Uid uid(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
#if defined(_WIN32)  // the layout of a COM GUID
    return {{byte_of(a, 3), byte_of(a, 2), byte_of(a, 1), byte_of(a, 0), byte_of(b, 1), byte_of(b, 0), byte_of(b, 3),
             byte_of(b, 2), byte_of(c, 0), byte_of(c, 1), byte_of(c, 2), byte_of(c, 3), byte_of(d, 0), byte_of(d, 1),
             byte_of(d, 2), byte_of(d, 3)}};
#else
    return {{byte_of(a, 0), byte_of(a, 1), byte_of(a, 2), byte_of(a, 3), byte_of(b, 0), byte_of(b, 1), byte_of(b, 2),
             byte_of(b, 3), byte_of(c, 0), byte_of(c, 1), byte_of(c, 2), byte_of(c, 3), byte_of(d, 0), byte_of(d, 1),
             byte_of(d, 2), byte_of(d, 3)}};
#endif
}

using String128 = char16_t[128];
using ParamId = uint32_t;

// Interfaces have no virtual destructor: their tables hold exactly the functions listed, in this order.

struct FUnknown {
    static constexpr Uid kId = uid(0x00000000, 0x00000000, 0xC0000000, 0x00000046);
    virtual Result VST3_CALL queryInterface(const Uid& id, void** object) = 0;
    virtual uint32_t VST3_CALL addRef() = 0;
    virtual uint32_t VST3_CALL release() = 0;
};

struct IBStream : FUnknown {
    static constexpr Uid kId = uid(0xC3BF6EA2, 0x30994752, 0x9B6BF990, 0x1EE33E9B);
    virtual Result VST3_CALL read(void* buffer, int32_t size, int32_t* done) = 0;
    virtual Result VST3_CALL write(void* buffer, int32_t size, int32_t* done) = 0;
    virtual Result VST3_CALL seek(int64_t position, int32_t mode, int64_t* result) = 0;
    virtual Result VST3_CALL tell(int64_t* position) = 0;
};

struct IPluginBase : FUnknown {
    static constexpr Uid kId = uid(0x22888DDB, 0x156E45AE, 0x8358B348, 0x08190625);
    virtual Result VST3_CALL initialize(FUnknown* context) = 0;
    virtual Result VST3_CALL terminate() = 0;
};

struct IHostApplication : FUnknown {
    static constexpr Uid kId = uid(0x58E595CC, 0xDB2D4969, 0x8B6AAF8C, 0x36A664E5);
    virtual Result VST3_CALL getName(String128 name) = 0;
    virtual Result VST3_CALL createInstance(const Uid& cid, const Uid& id, void** object) = 0;
};

// The factory

struct PFactoryInfo {
    char vendor[64], url[256], email[128];
    int32_t flags;
};
constexpr int32_t kUnicode = 1 << 4;  // in PFactoryInfo::flags

struct PClassInfo {
    Uid cid;
    int32_t cardinality;
    char category[32], name[64];
};
constexpr int32_t kManyInstances = 0x7FFFFFFF;

struct PClassInfo2 {
    Uid cid;
    int32_t cardinality;
    char category[32], name[64];
    uint32_t classFlags;
    char subCategories[128], vendor[64], version[64], sdkVersion[64];
};

struct IPluginFactory : FUnknown {
    static constexpr Uid kId = uid(0x7A4D811C, 0x52114A1F, 0xAED9D2EE, 0x0B43BF9F);
    virtual Result VST3_CALL getFactoryInfo(PFactoryInfo* info) = 0;
    virtual int32_t VST3_CALL countClasses() = 0;
    virtual Result VST3_CALL getClassInfo(int32_t index, PClassInfo* info) = 0;
    virtual Result VST3_CALL createInstance(const char* cid, const char* id, void** object) = 0;
};

struct IPluginFactory2 : IPluginFactory {
    static constexpr Uid kId = uid(0x0007B650, 0xF24B4C0B, 0xA464EDB9, 0xF00B2ABB);
    virtual Result VST3_CALL getClassInfo2(int32_t index, PClassInfo2* info) = 0;
};

// The component

enum MediaType : int32_t { kAudio = 0, kEvent };
enum BusDirection : int32_t { kInput = 0, kOutput };
enum BusType : int32_t { kMain = 0, kAux };
constexpr uint32_t kDefaultActive = 1;  // in BusInfo::flags

struct BusInfo {
    int32_t mediaType, direction, channelCount;
    String128 name;
    int32_t busType;
    uint32_t flags;
};

struct RoutingInfo {
    int32_t mediaType, busIndex, channel;
};

struct IComponent : IPluginBase {
    static constexpr Uid kId = uid(0xE831FF31, 0xF2D54301, 0x928EBBEE, 0x25697802);
    virtual Result VST3_CALL getControllerClassId(Uid* classId) = 0;
    virtual Result VST3_CALL setIoMode(int32_t mode) = 0;
    virtual int32_t VST3_CALL getBusCount(int32_t type, int32_t direction) = 0;
    virtual Result VST3_CALL getBusInfo(int32_t type, int32_t direction, int32_t index, BusInfo* bus) = 0;
    virtual Result VST3_CALL getRoutingInfo(RoutingInfo* in, RoutingInfo* out) = 0;
    virtual Result VST3_CALL activateBus(int32_t type, int32_t direction, int32_t index, uint8_t state) = 0;
    virtual Result VST3_CALL setActive(uint8_t state) = 0;
    virtual Result VST3_CALL setState(IBStream* state) = 0;
    virtual Result VST3_CALL getState(IBStream* state) = 0;
};

// The processor

using SpeakerArrangement = uint64_t;
constexpr SpeakerArrangement kEmpty = 0, kMono = 1 << 19, kStereo = 3;
constexpr uint32_t kInfiniteTail = 0xFFFFFFFF;

enum ProcessMode : int32_t { kRealtime = 0, kPrefetch, kOffline };
enum SampleSize : int32_t { kSample32 = 0, kSample64 };

struct ProcessSetup {
    int32_t processMode, symbolicSampleSize, maxSamplesPerBlock;
    double sampleRate;
};

struct AudioBusBuffers {
    int32_t numChannels;
    uint64_t silenceFlags;
    union {
        float** channelBuffers32;
        double** channelBuffers64;
    };
};

struct IParamValueQueue : FUnknown {
    static constexpr Uid kId = uid(0x01263A18, 0xED074F6F, 0x98C9D356, 0x4686F9BA);
    virtual ParamId VST3_CALL getParameterId() = 0;
    virtual int32_t VST3_CALL getPointCount() = 0;
    virtual Result VST3_CALL getPoint(int32_t index, int32_t* sampleOffset, double* value) = 0;
    virtual Result VST3_CALL addPoint(int32_t sampleOffset, double value, int32_t* index) = 0;
};

struct IParameterChanges : FUnknown {
    static constexpr Uid kId = uid(0xA4779663, 0x0BB64A56, 0xB44384A8, 0x466FEB9D);
    virtual int32_t VST3_CALL getParameterCount() = 0;
    virtual IParamValueQueue* VST3_CALL getParameterData(int32_t index) = 0;
    virtual IParamValueQueue* VST3_CALL addParameterData(const ParamId& id, int32_t* index) = 0;
};

// The transport, up to the last member that the shell reads.
struct ProcessContext {
    uint32_t state;
    double sampleRate;
    int64_t projectTimeSamples, systemTime, continousTimeSamples;
    double projectTimeMusic, barPositionMusic, cycleStartMusic, cycleEndMusic;  // in quarter notes
    double tempo;                                                               // quarter notes per minute
};
enum ContextState : uint32_t {  // in ProcessContext::state
    kPlaying = 1 << 1,
    kCycleActive = 1 << 2,
    kProjectTimeMusicValid = 1 << 9,
    kTempoValid = 1 << 10,
    kCycleValid = 1 << 12,
};

struct ProcessData {
    int32_t processMode, symbolicSampleSize, numSamples, numInputs, numOutputs;
    AudioBusBuffers *inputs, *outputs;
    IParameterChanges *inputParameterChanges, *outputParameterChanges;
    void *inputEvents, *outputEvents;
    ProcessContext* processContext;
};

struct IAudioProcessor : FUnknown {
    static constexpr Uid kId = uid(0x42043F99, 0xB7DA453C, 0xA569E79D, 0x9AAEC33D);
    virtual Result VST3_CALL setBusArrangements(SpeakerArrangement* inputs, int32_t numIns, SpeakerArrangement* outputs,
                                                int32_t numOuts) = 0;
    virtual Result VST3_CALL getBusArrangement(int32_t direction, int32_t index, SpeakerArrangement* arrangement) = 0;
    virtual Result VST3_CALL canProcessSampleSize(int32_t symbolicSampleSize) = 0;
    virtual uint32_t VST3_CALL getLatencySamples() = 0;
    virtual Result VST3_CALL setupProcessing(ProcessSetup* setup) = 0;
    virtual Result VST3_CALL setProcessing(uint8_t state) = 0;
    virtual Result VST3_CALL process(ProcessData* data) = 0;
    virtual uint32_t VST3_CALL getTailSamples() = 0;
};

// Flags for the transport data that the host must pass with each block.
enum Requirements : uint32_t {
    kNeedProjectTimeMusic = 1 << 2,
    kNeedCycleMusic = 1 << 4,
    kNeedTempo = 1 << 6,
    kNeedTransportState = 1 << 10,
};
struct IProcessContextRequirements : FUnknown {
    static constexpr Uid kId = uid(0x2A654303, 0xEF764E3D, 0x95B5FE83, 0x730EF6D0);
    virtual uint32_t VST3_CALL getProcessContextRequirements() = 0;
};

// The controller

enum RestartFlags : int32_t { kParamValuesChanged = 1 << 2, kLatencyChanged = 1 << 3 };
enum ParameterFlags : int32_t {
    kCanAutomate = 1,
    kIsReadOnly = 1 << 1,
    kIsList = 1 << 3,
    kIsProgramChange = 1 << 15,
    kIsBypass = 1 << 16,
};

struct ParameterInfo {
    ParamId id;
    String128 title, shortTitle, units;
    int32_t stepCount;
    double defaultNormalizedValue;
    int32_t unitId, flags;
};

struct IComponentHandler : FUnknown {
    static constexpr Uid kId = uid(0x93A0BEA3, 0x0BD045DB, 0x8E890B0C, 0xC1E46AC6);
    virtual Result VST3_CALL beginEdit(ParamId id) = 0;
    virtual Result VST3_CALL performEdit(ParamId id, double value) = 0;
    virtual Result VST3_CALL endEdit(ParamId id) = 0;
    virtual Result VST3_CALL restartComponent(int32_t flags) = 0;
};

struct IEditController : IPluginBase {
    static constexpr Uid kId = uid(0xDCD7BBE3, 0x7742448D, 0xA874AACC, 0x979C759E);
    virtual Result VST3_CALL setComponentState(IBStream* state) = 0;
    virtual Result VST3_CALL setState(IBStream* state) = 0;
    virtual Result VST3_CALL getState(IBStream* state) = 0;
    virtual int32_t VST3_CALL getParameterCount() = 0;
    virtual Result VST3_CALL getParameterInfo(int32_t index, ParameterInfo* info) = 0;
    virtual Result VST3_CALL getParamStringByValue(ParamId id, double value, String128 text) = 0;
    virtual Result VST3_CALL getParamValueByString(ParamId id, char16_t* text, double* value) = 0;
    virtual double VST3_CALL normalizedParamToPlain(ParamId id, double value) = 0;
    virtual double VST3_CALL plainParamToNormalized(ParamId id, double plain) = 0;
    virtual double VST3_CALL getParamNormalized(ParamId id) = 0;
    virtual Result VST3_CALL setParamNormalized(ParamId id, double value) = 0;
    virtual Result VST3_CALL setComponentHandler(IComponentHandler* handler) = 0;
    virtual void* VST3_CALL createView(const char* name) = 0;
};

struct IMidiMapping : FUnknown {
    static constexpr Uid kId = uid(0xDF0FF9F7, 0x49B74669, 0xB63AB732, 0x7ADBF5E5);
    virtual Result VST3_CALL getMidiControllerAssignment(int32_t busIndex, int16_t channel, int16_t controller,
                                                         ParamId& id) = 0;
};

// Units: parts of a plugin, each with a list of programs. The first one is the whole plugin.
constexpr int32_t kRootUnit = 0, kNoParentUnit = -1, kNoProgramList = -1;

struct UnitInfo {
    int32_t id, parentUnitId;
    String128 name;
    int32_t programListId;
};

struct ProgramListInfo {
    int32_t id;
    String128 name;
    int32_t programCount;
};

struct IUnitInfo : FUnknown {
    static constexpr Uid kId = uid(0x3D4BD6B5, 0x913A4FD2, 0xA886E768, 0xA5EB92C1);
    virtual int32_t VST3_CALL getUnitCount() = 0;
    virtual Result VST3_CALL getUnitInfo(int32_t index, UnitInfo& info) = 0;
    virtual int32_t VST3_CALL getProgramListCount() = 0;
    virtual Result VST3_CALL getProgramListInfo(int32_t index, ProgramListInfo& info) = 0;
    virtual Result VST3_CALL getProgramName(int32_t list, int32_t program, String128 name) = 0;
    virtual Result VST3_CALL getProgramInfo(int32_t list, int32_t program, const char* attribute, String128 value) = 0;
    virtual Result VST3_CALL hasProgramPitchNames(int32_t list, int32_t program) = 0;
    virtual Result VST3_CALL getProgramPitchName(int32_t list, int32_t program, int16_t pitch, String128 name) = 0;
    virtual int32_t VST3_CALL getSelectedUnit() = 0;
    virtual Result VST3_CALL selectUnit(int32_t unit) = 0;
    virtual Result VST3_CALL getUnitByBus(int32_t type, int32_t direction, int32_t bus, int32_t channel,
                                          int32_t& unit) = 0;
    virtual Result VST3_CALL setUnitProgramData(int32_t listOrUnit, int32_t program, IBStream* data) = 0;
};

}  // namespace vst3
