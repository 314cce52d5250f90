"""Build the small VST3 host of this folder: python build.py PROGRAM. Needs g++."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SHELL = HERE.parents[3] / "plugin" / "bridge" / "native"

if __name__ == "__main__":
    source = ["-std=c++17", "-O1", "-I", str(SHELL), *map(str, sorted(HERE.glob("*.cpp")))]
    subprocess.run(["g++", *source, "-ldl", "-o", sys.argv[1]], check=True)
