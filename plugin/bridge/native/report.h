// Says on stderr why the sound is dry.
#pragma once

#include <cstdint>
#include <string>

namespace stembridge {

// One line each time the sound goes dry, not for each block or each attempt of a host that loads the plugin.
class Report {
public:
    explicit Report(const std::string& name) : name_(name) {}

    // Seconds since the stream began, for the lines that follow.
    void set_time(double seconds) { seconds_ = seconds; }
    // lost: the worker is lost, which is reported even if the sound was already dry for another reason.
    void dry(const std::string& why, bool lost = false);
    void wet() { reported_ = false; }
    // Another model plays, and `model` is to take over: then only its losses are reported. "" if it plays itself.
    void stand_by(const std::string& model) { waiting_ = model, reported_ = false; }

private:
    const std::string& name_;  // of the plugin
    double seconds_ = 0;
    bool reported_ = false;
    std::string why_;
    std::string waiting_;  // name of a model that stands by
    int64_t reported_ns_ = 0;
};

}  // namespace stembridge
