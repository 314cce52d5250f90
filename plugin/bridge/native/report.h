// Reports on stderr why the sound is dry.
#pragma once

#include <cstdint>
#include <string>

namespace stembridge {

// It prints a line each time the sound becomes dry, but not for each block, or for each attempt to load the plugin.
class Report {
public:
    explicit Report(const std::string& name) : name_(name) {}

    // Set the seconds since the stream began, for the next lines.
    void set_time(double seconds) { seconds_ = seconds; }
    // lost: the worker is lost, which is reported even if the sound was already dry for another reason.
    void dry(const std::string& why, bool lost = false);
    void wet() { reported_ = false; }
    // Set the name of the model if it waits to take over from another one; then only its losses are reported. "" if it
    // plays itself.
    void stand_by(const std::string& model) { waiting_ = model, reported_ = false; }

private:
    const std::string& name_;  // of the plugin
    double seconds_ = 0;
    bool reported_ = false;
    std::string why_;
    std::string waiting_;  // name of the model, if it waits
    int64_t reported_ns_ = 0;
};

}  // namespace stembridge
