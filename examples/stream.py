"""StemMix live, from one device to another.

Usage: python examples/stream.py "Input device" "Output device"

Without names, it lists the devices. A line with a stem and a gain in dB, like `vocals -12`, moves a fader. Ctrl-D ends.
"""

import argparse
import sys

from pedalboard.io import AudioStream
from stembridge import StemMix

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("devices", nargs="*", metavar="DEVICE", help="an input, and an output")
devices = parser.parse_args().devices
if not devices:
    print("inputs:", *AudioStream.input_device_names, "outputs:", *AudioStream.output_device_names, sep="\n  ")
    sys.exit()
if len(devices) != 2:
    parser.error("give two devices, an input and an output")
source, target = devices

mix = StemMix("live")
stream = AudioStream(source, target, sample_rate=44100, buffer_size=512, num_input_channels=2, num_output_channels=2)
stream.plugins.append(mix)
with stream:
    print("playing", flush=True)
    for line in sys.stdin:
        try:
            stem, gain_db = line.split()
            setattr(mix, f"{stem}_db", float(gain_db))
            print(stem, gain_db, "dB", flush=True)
        except (ValueError, AttributeError):
            print(f"{line.strip()!r} does not work; give a stem and a gain in dB, like: vocals -12", flush=True)
print(mix.dropouts, "dropouts")
