"""StemMix in pyo: vocals in a reverb of their own, drums ridden by a line: python examples/pyo_graph.py in.wav out.wav

Without out.wav it plays on this machine's output until Enter.
"""

import sys

from stembridge.plugin.pyo import StemMix  # isort: skip  # before pyo, whose greeting it keeps back
import pyo

source, *target = sys.argv[1:]
about = pyo.sndinfo(source)
if about is None:
    sys.exit(f"pyo cannot read {source}; give a WAV, FLAC or AIFF file with a plain name")
_, seconds, rate, channels, *_ = about
server = pyo.Server(sr=int(rate), nchnls=channels, duplex=0, audio="offline" if target else "portaudio")
server.setVerbosity(1)
server.boot()
if target:
    server.recordOptions(dur=seconds, filename=target[0], fileformat=0, sampletype=3)

song = pyo.SfPlayer(source)
ride = pyo.Linseg([(0, -12), (2, -12), (4, 0)]).play()  # drums come in from the third second on, in dB
mix = StemMix(song, model="live", drums=ride).out()
hall = pyo.Freeverb(mix.stems["vocals"], size=0.9, bal=1, mul=0.3).out()

server.start()  # offline: renders it all
if not target:
    input(f"Playing, {1000 * mix.latency_samples / rate:.1f} ms late; Enter stops. ")
    server.stop()
