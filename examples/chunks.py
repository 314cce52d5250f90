"""StemMix over a file in chunks, with a fader that moves.

Usage: python examples/chunks.py in.wav out.wav

The vocals go down to silence over the first ten seconds.
"""

import argparse

import numpy as np
from pedalboard.io import AudioFile
from stembridge import StemMix

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("source")
parser.add_argument("target")
names = parser.parse_args()
mix = StemMix()
with AudioFile(names.source) as song, AudioFile(names.target, "w", song.samplerate, song.num_channels) as out:
    rate, tenth = song.samplerate, song.samplerate // 10
    mix.reset()  # once, and then never again: all chunks are one stream
    while song.tell() < song.frames:
        mix.vocals_db = max(-80, -8 * song.tell() / rate)  # acts from the chunk's first sample on, and glides
        out.write(mix(song.read(tenth), rate, reset=False))
    # The first chunks came back short by the latency: zeros bring out the rest.
    out.write(mix(np.zeros((song.num_channels, song.frames - out.frames), np.float32), rate, reset=False))
