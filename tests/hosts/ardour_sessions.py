"""Open, play and convert sessions with the plugin in Ardour, and print the results.

    python tests/hosts/ardour_sessions.py [--before PYTHON]

- Eight tracks with the plugin: how long the session takes to open, and until all instances run.
- A session of 44.1 kHz with the engine at 48 kHz, and the same session turned into one of 48 kHz: the latency.
- A track with the plugin (all faders at 0 dB) and one without, which plays the song with its left channel inverted: the
  left sum is silent, and the right one twice the song, only if both are aligned to the sample.
- With --before, the Python of an environment that has another version of StemBridge: a session that it saves is opened,
  and all parameters keep their values.

Needs what ardour.py needs. The exit code is 1 if the tracks are not aligned, or a value is lost.
"""

import argparse
import re
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import ardour
import numpy as np
import soundfile

TIMEOUT_S = 200
ENGINE = """
function start(rate)
  AudioEngine:set_backend("None (Dummy)", "", "")
  AudioEngine:set_device_name("Silence")
  AudioEngine:set_buffer_size(1024)
  AudioEngine:set_sample_rate(rate)
  AudioEngine:start(false)
end
-- The number of each parameter of a track's plugin.
function parameters(insert)
  local found, plugin = {}, insert:to_insert():plugin(0)
  for k = 0, plugin:parameter_count() - 1 do
    local _, told = plugin:get_parameter_descriptor(k, ARDOUR.ParameterDescriptor())
    found[told[2].label] = k
  end
  return found
end
function value(insert, label)
  local k = parameters(insert)[label]
  return k and ARDOUR.LuaAPI.get_processor_param(insert, k, true)
end
"""
MAKE = """
local folder, rate, count = arg[1], tonumber(arg[2]), tonumber(arg[3])
start(rate)
local session = create_session(folder, "session", rate)
local order, mode = ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal
for k = 1, count do
  local name = count == 1 and "mix" or "mix" .. k
  local track = session:new_audio_track(2, 2, nil, 1, name, order, mode, true):front()
  local plugin = ARDOUR.LuaAPI.new_plugin(session, "StemBridge", ARDOUR.PluginType.VST3, "")
  track:add_processor_by_index(plugin, 0, nil, true)
  local at = parameters(plugin)
  for _, pair in ipairs({{"Vocals", -12.5}, {"Drums", 3}, {"Bass mute", 1}}) do
    if arg[4] == "moved" then ARDOUR.LuaAPI.set_processor_param(plugin, at[pair[1]], pair[2]) end
  end
end
if arg[4] == "beside" then session:new_audio_track(2, 2, nil, 1, "plain", order, mode, true) end
session:save_state("")
close_session()
"""
OPEN = """
local folder, rate = arg[1], tonumber(arg[2])
start(rate)
local clock = ARDOUR.LuaAPI.monotonic_time
local from = clock()
local session = load_session(folder, "session")
print("opened " .. (clock() - from) / 1e6)
local tracks, left = session:get_tracks(), {}  -- Lua would delete a list without a name during the loop
for track in tracks:iter() do left[#left + 1] = track end
while #left > 0 and clock() - from < 120e6 do
  for k = #left, 1, -1 do
    if (value(left[k]:nth_plugin(0), "Status") or 0) == 0 then table.remove(left, k) end
  end
  ARDOUR.LuaAPI.usleep(20000)
end
print("running " .. (clock() - from) / 1e6)
for track in tracks:iter() do
  local plugin = track:nth_plugin(0)
  print("latency " .. track:signal_latency())
  for label in pairs(parameters(plugin)) do print("value " .. label .. "=" .. value(plugin, label)) end
end
session:save_state("")
close_session()
"""


def main() -> None:
    """Read the command line, and run all checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", help="the Python of an environment with another version")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stembridge-ardour-") as folder:
        home = Path(folder)
        ardour.install(home)
        make(home, "eight", 8)
        print("eight instances:", *told(open_session(home, "eight", 44100), "opened", "running"))
        make(home, "rates", 1)
        print("44.1 kHz at 48 kHz:", *told(open_session(home, "rates", 48000), "latency"))
        convert(home / "rates", 48000)
        print("turned into 48 kHz:", *told(open_session(home, "rates", 48000), "latency"))
        song = home / "song.wav"
        ardour.write_song(song, 44100)
        make(home, "aligned", 1, "beside")
        put_beside(home / "aligned" / "session.ardour", song)
        left, right = ardour.export(home, "aligned").T
        expected = 2 * soundfile.read(song)[0][: len(right), 1]
        level = ardour.decibels(np.stack([left, right - expected])) - ardour.decibels(expected)
        print(f"beside a track without the plugin: {level:.1f} dB of the song is out of step")
        lost = []
        if options.before:
            ardour.install(home, options.before)
            make(home, "before", 1, "moved")
            before = values(open_session(home, "before", 44100))
            ardour.install(home)
            after = values(open_session(home, "before", 44100))
            lost = [name for name, value in before.items() if after.get(name) != value]
            print(f"{len(before)} values of another version, lost: {lost or 'no value'}")
            print("moved:", {name: value for name, value in after.items() if value})
    sys.exit(lost != [] or level > ardour.LARGEST_DB)


def make(home: Path, name: str, count: int, *words: str) -> None:
    """Make a session with `count` tracks, each with the plugin."""
    lua(home, MAKE, home / name, 44100, count, *words)


def put_beside(session: Path, song: Path) -> None:
    """Put the song on the track with the plugin, and on the one without, which inverts its left channel."""
    tree = ET.parse(session)
    root = tree.getroot()
    ardour.make_strict(root)
    ardour.connect(root, "mix", "plain")
    ardour.add_song(root, song, ("mix", "plain"))
    phase = ardour.find(root, "Routes/Route[@name='plain']/Controllable[@name='phase']")
    phase.set("phase-invert", "01")
    phase.set("value", "1")
    tree.write(session)


def open_session(home: Path, name: str, rate: int) -> str:
    return lua(home, OPEN, home / name, rate)


def convert(session: Path, rate: int) -> None:
    """Give the session another sample rate."""
    file = session / "session.ardour"
    file.write_text(re.sub('sample-rate="[0-9]+"', f'sample-rate="{rate}"', file.read_text(), count=1))


def lua(home: Path, script: str, *arguments: object) -> str:
    file = home / "script.lua"
    file.write_text(ENGINE + script)
    return ardour.run(home, "ardour7-lua", file, *arguments, timeout_s=TIMEOUT_S)


def told(output: str, *keys: str) -> list[str]:
    """Return the lines that begin with one of the keys."""
    return [line for line in output.splitlines() if line.split(" ")[0] in keys]


def values(output: str) -> dict[str, float]:
    """Return the values of all parameters except those that the plugin measures."""
    pairs = (line.removeprefix("value ").split("=") for line in told(output, "value"))
    return {name: float(value) for name, value in pairs if name != "Status" and "level" not in name}


if __name__ == "__main__":
    main()
