"""The shell and its process use the same protocol: protocol.h and worker.py."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from stembridge.plugin.bridge import descriptor, worker

SHELL = Path(worker.__file__).parent / "native"
NAMES = {
    "kMaxChannels": worker.MAX_CHANNELS,
    "kBeatsOffset": worker.BEATS_OFFSET,
    "kSkipOffset": worker.SKIP_OFFSET,
    "kAudioOffset": worker.AUDIO_OFFSET,
    "kLongestRing": worker.LONGEST_RING,
    "kMaxText": worker.MAX_TEXT,
    "kMaxMeters": worker.MAX_METERS,
    "sizeof(Packet)": worker.PACKET.size,
    "sizeof(Move)": worker.MOVE.size,
    "sizeof(Packet) + kMaxMoves * sizeof(Move)": worker.MAX_PACKET,
    "kConfigure": worker.CONFIGURE,
    "kReset": worker.RESET,
    "kProcess": worker.PROCESS,
    "kReady": worker.READY,
    "kDone": worker.DONE,
    "kFailed": worker.FAILED,
    "kRealtime": worker.REALTIME,
    "kAllOutputs": worker.ALL_OUTPUTS,
}
PROGRAM = """
#include <cstdio>
#include <cstring>
#include "protocol.h"
using namespace stembridge;

template <typename Structure>
void print_bytes(const char* name, const Structure& structure) {
    unsigned char bytes[sizeof(Structure)];
    std::memcpy(bytes, &structure, sizeof bytes);
    std::printf(", \\"%%s\\": \\"", name);
    for (unsigned char byte : bytes) std::printf("%%02x", byte);
    std::printf("\\"");
}

int main() {
    std::printf("{\\"version\\": 1");
    %s
    print_bytes("packet", Packet{1, 2, -3, 1ll << 40, 0.1});
    print_bytes("move", Move{1, 2, 0.1});
    std::printf("}");
}
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Compile protocol.h, and return its constants, name -> value, and the bytes of its structures as text."""
    if shutil.which("g++") is None:
        pytest.skip("the host is built with g++")
    folder = tmp_path_factory.mktemp("protocol")
    lines = "\n".join(f'std::printf(", \\"{name}\\": %lld", static_cast<long long>({name}));' for name in NAMES)
    (folder / "print.cpp").write_text(PROGRAM % lines)
    command = ["g++", "-std=c++17", "-I", SHELL, folder / "print.cpp", "-o", folder / "print"]
    subprocess.run(command, check=True)
    return json.loads(subprocess.run([folder / "print"], check=True, capture_output=True).stdout)


def test_constants_are_the_same(shell):
    assert {name: shell[name] for name in NAMES} == NAMES
    assert shell["kMaxMeters"] == descriptor.MAX_EXTRAS


def test_structures_are_the_same(shell):
    assert worker.PACKET.unpack(bytes.fromhex(shell["packet"])) == (1, 2, -3, 1 << 40, 0.1)
    assert worker.MOVE.unpack(bytes.fromhex(shell["move"])) == (1, 2, 0.1)
