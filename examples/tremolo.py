"""An effect in NumPy as a pedalboard plugin.

Usage: python examples/tremolo.py in.wav out.wav
"""

import argparse

import numpy as np


class Tremolo:
    """Make the sound louder and softer, several times a second."""

    parameters = {"depth": (0.0, 1.0, 0.5), "rate_hz": (0.1, 20.0, 5.0)}  # (minimum, maximum, default)
    latency_samples = 0

    def __init__(self, sample_rate):
        self.sample_rate = sample_rate

    def reset(self):
        """Start a new stream."""
        self.turns = 0.0

    def process(self, block):
        """Take and return float32 (channels, n). Parameters are attributes, which do not change during a block."""
        step = self.rate_hz / self.sample_rate
        wave = 0.5 - 0.5 * np.cos(2 * np.pi * (self.turns + step * np.arange(block.shape[-1])))
        self.turns = (self.turns + step * block.shape[-1]) % 1.0
        return block * (1 - self.depth * wave)


if __name__ == "__main__":
    # Imported here, because the process that makes the sound imports this file too, and does not need these.
    from pedalboard import Pedalboard, Reverb
    from pedalboard.io import AudioFile
    from stembridge import load_processor

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target")
    names = parser.parse_args()
    board = Pedalboard([load_processor("tremolo:Tremolo", rate_hz=4, depth=0.8), Reverb(room_size=0.2)])
    with AudioFile(names.source) as song:
        if not song.frames:
            parser.error(f"{names.source} has no sound; choose another file")
        audio, rate = song.read(song.frames), song.samplerate
    with AudioFile(names.target, "w", rate, len(audio)) as out:
        out.write(board(audio, rate))
