"""Builds the VST3 shell. Other settings are in pyproject.toml; setuptools still calls extensions there experimental."""

import sys
from glob import glob

from setuptools import Extension, setup

NATIVE = "plugin/bridge/native"

# The shell is not a Python module and needs no Python header. It is a file in the package that is copied into bundles.
shell = Extension(
    "stembridge.plugin.bridge._shell",
    sources=sorted(glob(f"{NATIVE}/*.cpp")),
    depends=sorted([*glob(f"{NATIVE}/*.h"), f"{NATIVE}/exports.map"]),
    language="c++",
    extra_compile_args=["-std=c++17", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra"],
    extra_link_args=[
        # The shell contains the C++ library and hides its symbols, so it works in hosts built with another one.
        "-static-libstdc++",
        "-static-libgcc",
        f"-Wl,--version-script={NATIVE}/exports.map",
        "-Wl,--no-undefined,--gc-sections,--strip-all",
        "-pthread",
    ],
    # If there is no compiler, everything else is installed, and the log says that the shell is missing.
    optional=True,
)

# The root folder is the package. `script_name` keeps this file out of it.
setup(script_name="setup.py", ext_modules=[shell] if sys.platform == "linux" else [])
