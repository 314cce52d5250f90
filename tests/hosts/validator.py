"""Run the tests of Steinberg's validator, all of them, on the plugin.

    python tests/hosts/validator.py [--validator PROGRAM]

Needs the program `validator` of Steinberg's VST 3 SDK (samples/vst-hosting/validator). The plugin is installed in a
temporary folder. The exit code is 1 if a test fails.
"""

import argparse
import subprocess
import sys
import tempfile


def main() -> None:
    """Read the command line, install the plugin, and run the validator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validator", default="validator", help="the program (default: %(default)s, on the PATH)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stembridge-validator-") as folder:
        install = [sys.executable, "-m", "stembridge", "vst3", "install", "--dir", folder]
        subprocess.run(install, check=True, capture_output=True)
        try:
            done = subprocess.run([options.validator, "-e", f"{folder}/StemBridge.vst3"], check=False)
        except FileNotFoundError:
            sys.exit(f"{options.validator} is missing; build it from Steinberg's VST 3 SDK")
    sys.exit(done.returncode != 0)


if __name__ == "__main__":
    main()
