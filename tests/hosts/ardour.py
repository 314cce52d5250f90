"""Export a song from Ardour with the plugin on its track, and compare it with `stembridge remix` of the same song.

    python tests/hosts/ardour.py [--rate 48000] [--runs 20] [--song FILE.wav] [--stem drums]

Needs Ardour 7 (Debian: apt install ardour) and no screen or sound card. Ardour gets a home folder of its own, so that
your settings and plugins do not change. The exit code is 1 if an export is not aligned to the sample, or differs
from the remix by more than -60 dB of the song. An export that hangs is tried again: now and then Ardour 7.3 waits for
itself when an export starts (Session::start_audio_export and its butler thread).

The track has strict I/O, as tracks that are added in Ardour's window have. With --stem its master gets the plugin's
output of one stem instead of the main one.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import soundfile

LIBRARIES = Path("/usr/lib/ardour7")
# Ardour 7.3 writes past the end of its buffers with AVX-512, and then crashes at the end of some exports; 8.5 does not.
# These flags of its FPU class have everything except AVX-512.
WITHOUT_AVX_512 = "95"
FOLDERS = {"ARDOUR_DATA_PATH": "/usr/share/ardour7", "ARDOUR_CONFIG_PATH": "/etc/ardour7"}
TICKS = 282240000  # of Ardour's clock in a second
LARGEST_DB = -60.0
TIMEOUT_S = 60
SECONDS = 12
GAIN_DB = -80.0  # of the vocals
STEMS = "vocals", "drums", "bass", "other"
# A session with a stereo track "mix" that holds the plugin, with its first parameter as given.
SCRIPT = """
local folder, rate, gain = arg[1], tonumber(arg[2]), -tonumber(arg[3])
AudioEngine:set_backend("None (Dummy)", "", "")
AudioEngine:set_device_name("Silence")
AudioEngine:set_buffer_size(1024)
AudioEngine:set_sample_rate(rate)
AudioEngine:start(false)
local session = create_session(folder, "session", rate)
local order, mode = ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal
local track = session:new_audio_track(2, 2, nil, 1, "mix", order, mode, true):front()
local plugin = ARDOUR.LuaAPI.new_plugin(session, "StemBridge", ARDOUR.PluginType.VST3, "")
if plugin:isnil() then print("Ardour does not find the plugin"); os.exit(1) end
track:add_processor_by_index(plugin, 0, nil, true)
ARDOUR.LuaAPI.set_processor_param(plugin, 0, gain)
print("outputs of the track", track:n_outputs():n_audio())
print("latency", track:signal_latency())
session:save_state("")
close_session()
"""


def main() -> None:
    """Read the command line, export, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=44100, help="of the session in Hz, if no song is given")
    parser.add_argument("--runs", type=int, default=1, help="exports")
    parser.add_argument("--song", type=Path, help="a stereo .wav (default: noise and tones)")
    parser.add_argument("--stem", choices=STEMS[1:], help="the output to export (default: the main one)")
    options = parser.parse_args()
    if not LIBRARIES.is_dir():
        sys.exit(f"{LIBRARIES} is missing; install Ardour 7 (Debian: apt install ardour)")
    with tempfile.TemporaryDirectory(prefix="stembridge-ardour-") as folder:
        home = Path(folder)
        song = home / "song.wav"
        if options.song:
            shutil.copyfile(options.song, song)
        else:
            write_song(song, options.rate)
        install(home)
        (home / "session.lua").write_text(SCRIPT)
        rate = soundfile.info(song).samplerate
        print(run(home, "ardour7-lua", home / "session.lua", home / "session", rate, -GAIN_DB))
        arrange(home / "session" / "session.ardour", song, options.stem)
        reference = home / "remix.wav"
        silent = [stem for stem in STEMS if options.stem not in (None, stem)] if options.stem else STEMS[:1]
        remix = ["remix", str(song), "-o", str(reference), "--model", "mix"]
        remix += [argument for stem in silent for argument in (f"--{stem}", str(GAIN_DB))]
        subprocess.run([sys.executable, "-m", "stembridge", *remix], check=True, capture_output=True)
        failed = sum(not equals_export(home, reference) for _ in range(options.runs))
    sys.exit(f"{failed} of {options.runs} exports differ" if failed else 0)


def write_song(path: Path, rate: int) -> None:
    """Write tones, and noise that comes and goes."""
    random, time = np.random.default_rng(0), np.arange(SECONDS * rate) / rate
    noise = random.normal(0, 0.1, (2, len(time))) * (np.sin(2 * np.pi * 2 * time) > 0.7)
    tones = sum(0.1 * np.sin(2 * np.pi * pitch * time + np.sin(2 * np.pi * 5 * time)) for pitch in (110, 220, 443, 887))
    soundfile.write(path, (noise + tones).T, rate, subtype="FLOAT")


def install(home: Path, python: str = sys.executable) -> None:
    """Install the plugin where this Ardour finds it."""
    command = [python, "-m", "stembridge", "vst3", "install", "--dir", str(home / ".vst3")]
    subprocess.run(command, check=True, capture_output=True)
    bundle = home / ".vst3" / "StemBridge.vst3"
    for file in bundle.rglob("*"):
        os.utime(file, (0, 0))  # Ardour scans a plugin again that is as new as what it knows of it, in whole seconds
    run(home, LIBRARIES / "ardour-vst3-scanner", "-f", bundle)


def arrange(session: Path, song: Path, stem: str | None) -> None:
    """Put the whole song on the track, and connect an output of the plugin to the master."""
    tree = ET.parse(session)
    root = tree.getroot()
    add_song(root, song)
    if stem:
        find(root, "Routes/Route[@name='mix']//PannerShell").set("bypassed", "1")
        connect(root, "mix", first=2 * (1 + STEMS.index(stem)))
    else:
        make_strict(root)
        connect(root, "mix")
    tree.write(session)


def find(element: ET.Element, path: str) -> ET.Element:
    """Return the first descendant at a path."""
    found = element.find(path)
    assert found is not None, path
    return found


def make_strict(root: ET.Element) -> None:
    """Leave the track the two outputs that it has with strict I/O, which ardour7-lua cannot set."""
    route = find(root, "Routes/Route[@name='mix']")
    route.set("strict-io", "1")
    outputs, plugin = find(route, "IO[@direction='Output']"), find(route, "Processor[@type='vst3']")
    find(plugin, "ConfiguredOutput/Channels").set("count", "2")
    for ports_or_pins in outputs, find(plugin, "OutputMap-0"):
        ports_or_pins[:] = ports_or_pins[:2]


def connect(root: ET.Element, *tracks: str, first: int = 0) -> None:
    """Connect the tracks to the master: two outputs of each, from the `first` one on, and no others."""
    masters = root.findall("Routes/Route[@name='Master']/IO[@direction='Input']/Port")
    for master in masters:
        master[:] = []
    for track in tracks:
        ports = root.findall(f"Routes/Route[@name='{track}']/IO[@direction='Output']/Port")
        for port in ports:
            port[:] = []
        for master, port in zip(masters, ports[first:], strict=False):
            ET.SubElement(master, "Connection", {"other": port.attrib["name"]})
            ET.SubElement(port, "Connection", {"other": master.attrib["name"]})


def add_song(root: ET.Element, song: Path, tracks: tuple[str, ...] = ("mix",)) -> None:
    """Put the whole song on each of the tracks."""
    info = soundfile.info(song)
    ticks = round(info.frames * TICKS / info.samplerate)
    sources = {f"{kind}source-{k}": str(9000 + k) for k in range(info.channels) for kind in ("", "master-")}
    for k in range(info.channels):
        source = {"name": str(song), "type": "audio", "flags": "", "id": str(9000 + k), "channel": str(k)}
        ET.SubElement(find(root, "Sources"), "Source", source | {"origin": "", "gain": "1"})
    region = {"name": "song", "type": "audio", "channels": str(info.channels), "opaque": "1", "external": "1"}
    region |= {"start": "a0", "length": f"a{ticks}@a0", "sync-position": "a0", "ancestral-start": "a0"}
    region |= {"ancestral-length": "a0@a0", "stretch": "1", "shift": "1", "scale-amplitude": "1", **sources}
    region |= dict.fromkeys(("fade-in-active", "fade-out-active", "envelope-active", "muted", "automatic"), "0")
    ET.SubElement(find(root, "Regions"), "Region", region | {"id": "9010", "whole-file": "1"})
    for k, track in enumerate(tracks):
        playlist = find(root, f"Playlists/Playlist[@name='{track}']")
        ET.SubElement(playlist, "Region", region | {"id": str(9011 + k), "whole-file": "0"})
    end = {"id": "9020", "name": "session", "start": "a0", "end": f"a{ticks}", "flags": "IsSessionRange"}
    ET.SubElement(find(root, "Locations"), "Location", end | {"locked": "0", "timestamp": "0"})


def equals_export(home: Path, reference: Path) -> bool:
    """Export the session, and print how far it is from the reference."""
    found = export(home, "session")
    expected, _ = soundfile.read(reference, always_2d=True)
    n = min(len(expected), len(found))
    spectrum = np.fft.rfft(found[:n, 0], 2 * n) * np.conj(np.fft.rfft(expected[:n, 0], 2 * n))
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    difference = decibels(found[:n] - expected[:n]) - decibels(expected[:n])
    song, _ = soundfile.read(home / "song.wav", always_2d=True)
    dry = decibels(found[:n] - song[:n]) - decibels(song[:n])
    print(
        f"lag {lag if lag < n else lag - 2 * n} samples, difference {difference:.1f} dB, from the dry song {dry:.1f} dB"
    )
    return lag == 0 and difference <= LARGEST_DB and dry > LARGEST_DB


def export(home: Path, name: str) -> np.ndarray:
    """Export a session with Ardour, and return the audio, (n, channels)."""
    out = home / "export.wav"
    out.unlink(missing_ok=True)
    while True:
        try:
            run(home, "ardour7-export", "-b", "float", "-o", out, home / name, "session")
            return soundfile.read(out, always_2d=True)[0]
        except subprocess.TimeoutExpired:
            print(f"Ardour did not end within {TIMEOUT_S} s; trying again")


def decibels(audio: np.ndarray) -> float:
    """Return the level of the audio's mean power."""
    return 10 * float(np.log10(np.mean(audio**2) + 1e-24))


def run(home: Path, *command: object, timeout_s: float = TIMEOUT_S) -> str:
    """Run a command of Ardour's, with its libraries and in its own home folder. Returns its output."""
    environment = os.environ | FOLDERS | {"HOME": str(home), "LD_LIBRARY_PATH": str(LIBRARIES)}
    environment |= {"ARDOUR_DLL_PATH": str(LIBRARIES), "VAMP_PATH": str(LIBRARIES / "vamp")}
    environment |= {"ARDOUR_FPU_FLAGS": WITHOUT_AVX_512}
    environment.pop("XDG_CONFIG_HOME", None)
    line = [str(part) for part in command]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=timeout_s)
    if done.returncode:
        sys.exit(f"{command[0]} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
