#include "text.h"

#include <algorithm>

namespace stembridge {

void copy(const std::string& text, vst3::String128 target) {
    size_t length = std::min(text.size(), sizeof(vst3::String128) / sizeof(char16_t) - 1);
    for (size_t i = 0; i < length; i++) target[i] = static_cast<unsigned char>(text[i]);
    target[length] = 0;
}

std::string ascii(const char16_t* text, size_t longest) {
    std::string found;
    for (; text && *text && found.size() < longest; text++) {
        if (*text == 0x2212) found += '-';                        // minus sign
        else if (*text == 0x221E) found += "inf";                 // infinity
        else if (*text == 0xA0 || *text == 0x202F) found += ' ';  // no-break spaces
        else found += *text < 128 ? static_cast<char>(*text) : '?';
    }
    return found;
}

}  // namespace stembridge
