// The plugin that hosts see: one VST 3 component, processor and controller in one.
#pragma once

#include <atomic>
#include <string>

#include "buses.h"
#include "controller.h"
#include "dropouts.h"
#include "programs.h"
#include "stream.h"
#include "transport.h"
#include "vst3.h"

namespace stembridge {

class Plugin : public vst3::IComponent,
               public vst3::IAudioProcessor,
               public Controller,
               public Programs,
               public vst3::IProcessContextRequirements {
public:
    explicit Plugin(const Descriptor& descriptor);

    // FUnknown
    vst3::Result VST3_CALL queryInterface(const vst3::Uid& id, void** object) override;
    uint32_t VST3_CALL addRef() override { return ++references_; }
    uint32_t VST3_CALL release() override;

    // IPluginBase
    vst3::Result VST3_CALL initialize(vst3::FUnknown* context) override;
    vst3::Result VST3_CALL terminate() override;

    // IComponent
    vst3::Result VST3_CALL getControllerClassId(vst3::Uid*) override {
        return vst3::kNotImplemented;
    }  // it is this object
    vst3::Result VST3_CALL setIoMode(int32_t) override { return vst3::kNotImplemented; }
    int32_t VST3_CALL getBusCount(int32_t type, int32_t direction) override;
    vst3::Result VST3_CALL getBusInfo(int32_t type, int32_t direction, int32_t index, vst3::BusInfo* bus) override;
    vst3::Result VST3_CALL getRoutingInfo(vst3::RoutingInfo*, vst3::RoutingInfo*) override {
        return vst3::kNotImplemented;
    }
    vst3::Result VST3_CALL activateBus(int32_t type, int32_t direction, int32_t index, uint8_t state) override;
    vst3::Result VST3_CALL setActive(uint8_t state) override;
    vst3::Result VST3_CALL getState(vst3::IBStream* state) override;
    vst3::Result VST3_CALL setState(vst3::IBStream* state) override;

    // IAudioProcessor
    vst3::Result VST3_CALL setBusArrangements(vst3::SpeakerArrangement* inputs, int32_t numIns,
                                              vst3::SpeakerArrangement* outputs, int32_t numOuts) override;
    vst3::Result VST3_CALL getBusArrangement(int32_t direction, int32_t index,
                                             vst3::SpeakerArrangement* arrangement) override;
    vst3::Result VST3_CALL canProcessSampleSize(int32_t size) override;
    uint32_t VST3_CALL getLatencySamples() override;
    vst3::Result VST3_CALL setupProcessing(vst3::ProcessSetup* setup) override;
    vst3::Result VST3_CALL setProcessing(uint8_t state) override;
    vst3::Result VST3_CALL process(vst3::ProcessData* data) override;
    uint32_t VST3_CALL getTailSamples() override;

    // Controller
    void choose_model(size_t model) override { stream_.choose(model); }
    void tell_latency() override;

    // IProcessContextRequirements
    uint32_t VST3_CALL getProcessContextRequirements() override;

private:
    virtual ~Plugin() = default;

    void configure();
    bool make_sound(const vst3::ProcessData& data);

    const Descriptor& descriptor_;
    Stream stream_;
    Buses buses_;
    Transport transport_;
    Dropouts dropouts_;
    std::atomic<int64_t> told_latency_{-1};  // what the host got when it last asked; -1 if it never did
    std::atomic<uint32_t> references_{1};
    vst3::ProcessSetup setup_{vst3::kRealtime, vst3::kSample32, 0, 0};
    bool initialized_ = false, active_ = false, processing_ = false;
    bool set_up_ = false, configured_ = false;  // set up by the host, with valid values; stream_ configured for it
};

}  // namespace stembridge
