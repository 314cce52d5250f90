// Detects jumps of the host's playhead.
#pragma once

#include "vst3.h"

namespace stembridge {

class Transport {
public:
    // Returns whether this block does not begin where the last one ended: playing starts, or the playhead jumps.
    // The end of a loop is not a jump: a host that compensates for latency sends the loop's start early, and the plugin
    // then still has to play the loop's end. context: may be null.
    bool jumps(const vst3::ProcessContext* context, int32_t length);

private:
    bool playing_ = false;
    int64_t position_ = 0;  // start of the last block that began at a new position
    int64_t length_ = 0;    // samples since then
    double speed_ = 1;      // of the playhead, in samples of the project for each sample of sound
};

}  // namespace stembridge
