"""Run pluginval at its highest strictness on the plugin, at many sample rates and block sizes.

    python tests/hosts/pluginval.py [--pluginval PROGRAM]

Needs Tracktion's pluginval. The plugin is installed in a temporary folder. It has no window of its own, so the tests of
windows are left out. The exit code is 1 if a test fails.
"""

import argparse
import subprocess
import sys
import tempfile

RATES = "8000,11025,22050,44100,48000,88200,96000,176400,192000"
BLOCKS = "1,2,32,64,500,512,4096,16384,32768"
TIMEOUT_MS = "600000"


def main() -> None:
    """Read the command line, install the plugin, and run pluginval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pluginval", default="pluginval", help="the program (default: %(default)s, on the PATH)")
    options = parser.parse_args()
    settings = ["--strictness-level", "10", "--sample-rates", RATES, "--block-sizes", BLOCKS]
    settings += ["--timeout-ms", TIMEOUT_MS, "--skip-gui-tests", "--validate-in-process"]
    with tempfile.TemporaryDirectory(prefix="stembridge-pluginval-") as folder:
        install = [sys.executable, "-m", "stembridge", "vst3", "install", "--dir", folder]
        subprocess.run(install, check=True, capture_output=True)
        try:
            done = subprocess.run(
                [options.pluginval, *settings, "--validate", f"{folder}/StemBridge.vst3"], check=False
            )
        except FileNotFoundError:
            sys.exit(f"{options.pluginval} is missing; install pluginval (github.com/Tracktion/pluginval)")
    sys.exit(done.returncode != 0)


if __name__ == "__main__":
    main()
