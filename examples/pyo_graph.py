"""StemMix in pyo, with a reverb on the vocals and a ride of the drums.

Usage: python examples/pyo_graph.py in.wav out.wav

Without out.wav, it plays on this machine's output until you press Enter.
"""

import argparse

from stembridge.plugin.pyo import StemMix  # isort: skip  # before pyo, because it hides pyo's greeting
import pyo

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("source")
parser.add_argument("target", nargs="?")
names = parser.parse_args()
about = pyo.sndinfo(names.source)
if about is None:
    parser.error(f"pyo cannot read {names.source}; give a WAV, FLAC or AIFF file with a plain name")
_, seconds, rate, channels, *_ = about
server = pyo.Server(sr=int(rate), nchnls=channels, duplex=0, audio="offline" if names.target else "portaudio")
server.setVerbosity(1)
server.boot()
if names.target:
    server.recordOptions(dur=seconds, filename=names.target, fileformat=0, sampletype=3)

song = pyo.SfPlayer(names.source)
ride = pyo.Linseg([(0, -12), (2, -12), (4, 0)]).play()  # gain of the drums in dB: up from second 2 to second 4
mix = StemMix(song, model="live", drums=ride).out()
hall = pyo.Freeverb(mix.stems["vocals"], size=0.9, bal=1, mul=0.3).out()

server.start()  # offline, this renders the whole song
if not names.target:
    input(f"Playing, {1000 * mix.latency_samples / rate:.1f} ms late; Enter stops. ")
    server.stop()
