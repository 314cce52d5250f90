"""StemMix among pedalboard's own plugins, a second of the song at a time: python examples/board.py in.wav out.wav"""

import sys

import numpy as np
from pedalboard import Compressor, Pedalboard, Reverb
from pedalboard.io import AudioFile
from stembridge import StemMix

source, target = sys.argv[1:]
mix = StemMix("live", vocals_db=-80, drums_db=3)
board = Pedalboard([Compressor(), mix, Reverb(room_size=0.2)])

with AudioFile(source) as song, AudioFile(target, "w", song.samplerate, song.num_channels) as out:
    rate = song.samplerate
    board.reset()  # once, and then never again: all chunks are one stream
    while song.tell() < song.frames:
        out.write(board(song.read(rate), rate, reset=False))
    # The first chunks came back short by the latency: zeros bring out the rest.
    while missing := song.frames - out.frames:
        out.write(board(np.zeros((song.num_channels, missing), np.float32), rate, reset=False))
