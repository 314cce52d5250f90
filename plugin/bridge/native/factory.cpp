// The library's factory, with one class: the plugin that the bundle's descriptor describes.
#include <cstring>

#include "platform.h"
#include "plugin.h"
#include "text.h"

namespace stembridge {

namespace {

using namespace vst3;

constexpr const char* kAudioClass = "Audio Module Class";
constexpr const char* kSdk = "VST 3.7.2";

const Descriptor* descriptor() {
    static Descriptor own;
    static const bool known = Descriptor::read(resources_folder() + "/descriptor.txt", &own);
    return known ? &own : nullptr;
}

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
        if (!descriptor()) return kResultFalse;
        copy(descriptor()->vendor, info->vendor);
        copy(descriptor()->url, info->url);
        copy(descriptor()->email, info->email);
        info->flags = kUnicode;
        return kResultOk;
    }
    int32_t VST3_CALL countClasses() override { return descriptor() ? 1 : 0; }
    Result VST3_CALL getClassInfo(int32_t index, PClassInfo* info) override {
        if (index != 0 || !descriptor()) return kInvalidArgument;
        *info = {descriptor()->uid, kManyInstances, {}, {}};
        copy(kAudioClass, info->category);
        copy(descriptor()->name, info->name);
        return kResultOk;
    }
    Result VST3_CALL getClassInfo2(int32_t index, PClassInfo2* info) override {
        if (index != 0 || !descriptor()) return kInvalidArgument;
        *info = {descriptor()->uid, kManyInstances, {}, {}, 0, {}, {}, {}, {}};
        copy(kAudioClass, info->category);
        copy(descriptor()->name, info->name);
        copy(descriptor()->categories, info->subCategories);
        copy(descriptor()->vendor, info->vendor);
        copy(descriptor()->version, info->version);
        copy(kSdk, info->sdkVersion);
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

STEMBRIDGE_EXPORT vst3::IPluginFactory* GetPluginFactory() {
    static stembridge::Factory factory;
    return &factory;
}
