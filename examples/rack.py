"""Each stem through its own pedalboard.

Usage: python examples/rack.py in.wav out.wav

With any format that StemBridge reads and writes: stembridge remix song.mp3 --rack examples/rack.py:rack -o out.mp3
"""

import argparse

import numpy as np
from pedalboard import BrickwallLimiter, Chorus, Compressor, Gain, HighpassFilter, Pedalboard, Reverb
from pedalboard.io import AudioFile
from stembridge import StemRack


def rack():
    """Return the rack, for `--rack examples/rack.py:rack`."""
    return StemRack(
        model="live",  # "studio" separates files better
        vocals=Pedalboard([HighpassFilter(120), Reverb(room_size=0.6, wet_level=0.2)]),
        drums=[Compressor(threshold_db=-20, ratio=4), Gain(2), BrickwallLimiter(-3)],  # the limiter has latency
        other=Chorus(),
        gains_db={"bass": 1.5},
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target")
    names = parser.parse_args()
    effect = rack()
    with AudioFile(names.source) as song, AudioFile(names.target, "w", song.samplerate, song.num_channels) as out:
        effect.prepare(song.samplerate, song.num_channels)
        early = effect.latency_samples  # samples before the song's first one
        while out.frames < song.frames:
            block = song.read(4096) if song.tell() < song.frames else np.zeros((song.num_channels, 4096), np.float32)
            block = effect.process(block)
            out.write(block[:, early:][:, : song.frames - out.frames])
            early = max(0, early - block.shape[1])
