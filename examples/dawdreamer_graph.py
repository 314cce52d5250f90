"""The VST3 in a DawDreamer graph, with automated faders.

Usage: python examples/dawdreamer_graph.py in.wav out.wav

It mixes in some of the dry song. DawDreamer does not compensate latency, so the dry song is delayed as much as the
plugin's output.
"""

import argparse
import subprocess
import sys
import tempfile

import dawdreamer
import numpy as np
from pedalboard.io import AudioFile

BLOCK = 128  # samples; DawDreamer moves parameters once a block
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("source")
parser.add_argument("target")
files = parser.parse_args()
with AudioFile(files.source) as song:
    if not song.frames:
        parser.error(f"{files.source} has no sound; choose another file")
    audio, rate = song.read(song.frames), int(song.samplerate)
audio = np.resize(audio, (2, audio.shape[1]))  # DawDreamer's plugins are stereo
length = audio.shape[1]


def position(gain_db):
    """Return the position of a fader that goes from -80 to +20 dB, 0 to 1."""
    return (np.asarray(gain_db) + 80) / 100


with tempfile.TemporaryDirectory() as folder:
    # For your own scripts, run `stembridge vst3 install` once, and use the path that it prints.
    install = [sys.executable, "-m", "stembridge", "vst3", "install", "--dir", folder, "--name", "Mix"]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    engine = dawdreamer.RenderEngine(rate, BLOCK)
    mix = engine.make_plugin_processor("mix", f"{folder}/Mix.vst3")
    names = [mix.get_parameter_name(number) for number in range(mix.get_plugin_parameter_size())]
    seconds = np.arange(length) / rate
    mix.set_automation(names.index("Vocals"), position(np.interp(seconds, [0, 2], [0, -40])).astype(np.float32))
    mix.set_parameter(names.index("Drums"), float(position(3)))

    wet, dry = (engine.make_playback_processor(name, audio) for name in ("wet", "dry"))
    both = engine.make_add_processor("both", [0.75, 0.25])
    engine.load_graph([(wet, []), (mix, ["wet"]), (dry, []), (both, ["mix", "dry"])])
    late = mix.get_latency_samples()  # only now, because outside of a graph a plugin has the latency of real time
    wet.set_data(np.pad(audio, [(0, 0), (0, late)]))
    dry.set_data(np.pad(audio, [(0, 0), (late, 0)]))
    engine.render((length + late + BLOCK) / rate)
    out = engine.get_audio()[:, late : late + length]

with AudioFile(files.target, "w", rate, 2) as file:
    file.write(out)
