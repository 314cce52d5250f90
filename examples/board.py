"""StemMix among pedalboard's own plugins, a second of the song at a time.

Usage: python examples/board.py in.wav out.wav
"""

import argparse

import numpy as np
from pedalboard import Compressor, Pedalboard, Reverb
from pedalboard.io import AudioFile
from stembridge import StemMix

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("source")
parser.add_argument("target")
names = parser.parse_args()
mix = StemMix(vocals_db=-80, drums_db=3)
board = Pedalboard([Compressor(), mix, Reverb(room_size=0.2)])

with AudioFile(names.source) as song, AudioFile(names.target, "w", song.samplerate, song.num_channels) as out:
    rate = song.samplerate
    board.reset()  # once, and then never again: all chunks are one stream
    while song.tell() < song.frames:
        out.write(board(song.read(rate), rate, reset=False))
    # The first chunks came back short by the latency: zeros bring out the rest.
    while missing := song.frames - out.frames:
        out.write(board(np.zeros((song.num_channels, missing), np.float32), rate, reset=False))
