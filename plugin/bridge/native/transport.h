// Notices where the host's playhead jumps.
#pragma once

#include "vst3.h"

namespace stembridge {

class Transport {
public:
    // Whether this block begins somewhere else than where the last one ended: playing starts, or the playhead jumps.
    // The end of a loop is not a jump: a host that compensates for latency sends the loop's start early, so that what
    // the plugin still has to play then is the loop's end. context: may be null.
    bool jumps(const vst3::ProcessContext* context, int32_t length);

private:
    bool playing_ = false;
    int64_t position_ = 0;  // of the last block that began at a new position
    int64_t length_ = 0;    // samples since then
    double speed_ = 1;      // of the playhead, in samples of the project for each sample of sound
};

}  // namespace stembridge
