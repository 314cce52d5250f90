"""Render a song in DawDreamer with the plugin, and compare it with `stembridge remix` of the same song.

    python tests/hosts/dawdreamer.py [--rate 48000]

Needs DawDreamer (pip install dawdreamer). The exit code is 1 if the render, without the plugin's latency, differs from
the remix by more than -60 dB of the song, or if the values of all parameters do not make the same sound again in
another instance.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.remove(str(Path(__file__).parent))  # else this file would be imported for the module of the same name
import dawdreamer
import numpy as np
import soundfile

LARGEST_DB = -60.0
SECONDS = 6
GAINS_DB = {"Vocals": -80.0, "Drums": 3.0}
BLOCK = 512


def main() -> None:
    """Read the command line, render, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=44100, help="in Hz (default: %(default)s)")
    rate = parser.parse_args().rate
    random, time = np.random.default_rng(0), np.arange(SECONDS * rate) / rate
    song = random.normal(0, 0.1, (2, len(time))) * (np.sin(2 * np.pi * 2 * time) > 0.7)
    song += sum(0.1 * np.sin(2 * np.pi * pitch * time) for pitch in (110, 220, 443, 887))
    song = song.astype(np.float32)
    with tempfile.TemporaryDirectory(prefix="stembridge-dawdreamer-") as folder:
        soundfile.write(f"{folder}/song.wav", song.T, rate, subtype="FLOAT")
        stembridge = [sys.executable, "-m", "stembridge"]
        remix = ["remix", f"{folder}/song.wav", "-o", f"{folder}/remix.wav", "--model", "mix"]
        remix += [argument for stem, gain in GAINS_DB.items() for argument in (f"--{stem.lower()}", str(gain))]
        for command in remix, ["vst3", "install", "--dir", folder]:
            subprocess.run([*stembridge, *command], check=True, capture_output=True)
        expected = soundfile.read(f"{folder}/remix.wav", dtype="float32")[0].T
        values = {name: (gain + 80) / 100 for name, gain in GAINS_DB.items()}
        found, all_values = render(f"{folder}/StemBridge.vst3", song, rate, values)
        again, _ = render(f"{folder}/StemBridge.vst3", song, rate, all_values)
    difference = decibels(found - expected) - decibels(song)
    print(f"difference {difference:.1f} dB, from the dry song {decibels(found - song) - decibels(song):.1f} dB")
    print(f"all values in another instance: {decibels(again - found) - decibels(song):.1f} dB")
    sys.exit(not (difference <= LARGEST_DB and decibels(again - found) - decibels(song) <= LARGEST_DB))


def render(plugin: str, song: np.ndarray, rate: int, values: dict[str, float]) -> tuple[np.ndarray, dict[str, float]]:
    """Return the song after the plugin, without its latency, and the values of all parameters."""
    engine = dawdreamer.RenderEngine(rate, BLOCK)
    padded = np.pad(song, ((0, 0), (0, rate)))
    player, mix = engine.make_playback_processor("song", padded), engine.make_plugin_processor("mix", plugin)
    names = [mix.get_parameter_name(k) for k in range(mix.get_plugin_parameter_size())]
    for name, value in values.items():
        mix.set_parameter(names.index(name), value)
    engine.load_graph([(player, []), (mix, ["song"])])
    engine.render(padded.shape[1] / rate)
    latency = mix.get_latency_samples()
    out = engine.get_audio()[:, latency : latency + song.shape[1]]
    return out, {name: mix.get_parameter(k) for k, name in enumerate(names)}


def decibels(audio: np.ndarray) -> float:
    """Return the level of the audio's mean power."""
    return 10 * float(np.log10(np.mean(audio.astype(float) ** 2) + 1e-24))


if __name__ == "__main__":
    main()
