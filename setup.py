"""Builds the VST3 shell. All else is in pyproject.toml, where setuptools still calls extensions experimental."""

import sys
from glob import glob

from setuptools import Extension, setup

NATIVE = "plugin/bridge/native"

# It is no Python module and needs no Python header: only a file in the package, to be copied into bundles.
shell = Extension(
    "stembridge.plugin.bridge._shell",
    sources=sorted(glob(f"{NATIVE}/*.cpp")),
    depends=sorted([*glob(f"{NATIVE}/*.h"), f"{NATIVE}/exports.map"]),
    language="c++",
    extra_compile_args=["-std=c++17", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra"],
    extra_link_args=[
        # With the C++ library inside, and nothing of it to be seen, the shell fits hosts built with any other.
        "-static-libstdc++",
        "-static-libgcc",
        f"-Wl,--version-script={NATIVE}/exports.map",
        "-Wl,--no-undefined,--gc-sections,--strip-all",
        "-pthread",
    ],
    optional=True,  # where there is no compiler all else installs, and one line of the log says what did not
)

# The root is the package, and by its name this file is left out of it.
setup(script_name="setup.py", ext_modules=[shell] if sys.platform == "linux" else [])
