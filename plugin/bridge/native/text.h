// Converts between the shell's texts, which are ASCII, and those of VST 3.
#pragma once

#include <cstdio>
#include <string>

#include "vst3.h"

namespace stembridge {

void copy(const std::string& text, vst3::String128 target);
// Returns at most `longest` characters. Non-ASCII signs of typed numbers, such as a minus sign, become ASCII.
std::string ascii(const char16_t* text, size_t longest = 127);

template <size_t size>
void copy(const std::string& text, char (&target)[size]) {
    std::snprintf(target, size, "%s", text.c_str());
}

}  // namespace stembridge
