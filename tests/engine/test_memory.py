"""Memory does not grow with the length of a stream."""

import subprocess
import sys

import pytest

# A network of few, long frames processes an hour quickly.
HALVES = "c = Constant <value_float = 0.5> () masks = Add (silent, c)"
GRID = {"stems": ["one", "rest"], "sample_rate": 8000, "window": 8192, "hop": 4096, "synthesis_window": 8192}
CHUNKED = {"mode": "chunked", "chunk": {"left": 1, "frames": 4, "right": 1, "overlap": 1}}

HOUR = """
import sys
import numpy as np
from stembridge import StemProcessor

processor = StemProcessor(sys.argv[1], 8000, 1, {"one": -6.0})
audio = np.random.default_rng(0).uniform(-0.5, 0.5, 8000 * 60).astype(np.float32)

def minute(number):
    block = [5000, 16384, 480000][number % 3]
    for start in range(0, len(audio), block):
        processor.process(audio[start : start + block], [(7, "one", -number / 3), (7, "rest", 0.0)])

def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])  # KiB

for number in range(3):
    minute(number)
after_a_minute = peak()
for number in range(3, 60):
    minute(number)
print(peak() - after_a_minute)
"""


def grown(path):
    """Return by how many KiB peak memory grows from the third minute to an hour."""
    return int(subprocess.run([sys.executable, "-c", HOUR, path], capture_output=True, text=True, check=True).stdout)


AN_HOUR = 8000 * 3600 / 1024  # KiB, of one byte a sample


@pytest.mark.parametrize("fields", [{}, CHUNKED], ids=["streaming", "chunked"])
def test_an_hour_needs_no_more_memory_than_a_minute(make_model, fields):
    assert grown(make_model(HALVES, **GRID | fields)) < AN_HOUR / 4
