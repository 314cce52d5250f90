"""Save a project with the plugin in Carla, load it again, and compare all values.

    python3 tests/hosts/carla.py [--backend /usr/share/carla] [--library /usr/lib/carla/libcarla_standalone2.so]

Needs Carla 2.5 and the Python that its backend runs in; no screen or sound card. `stembridge` must be on the PATH. The
exit code is 1 if a value that can be set is another one after loading.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

LARGEST = 1e-4  # between a value and what comes back
VALUES = {"Vocals": -12.0, "Drums": 3.0, "Bass mute": 1.0}


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", type=Path, default=Path("/usr/share/carla"), help="where carla_backend.py is")
    parser.add_argument("--library", default="/usr/lib/carla/libcarla_standalone2.so", help="Carla's host library")
    options = parser.parse_args()
    if not (options.backend / "carla_backend.py").is_file():
        sys.exit(f"{options.backend}/carla_backend.py is missing; install Carla, or give --backend")
    sys.path.remove(str(Path(__file__).parent))
    sys.path.append(str(options.backend))
    import carla_backend

    with tempfile.TemporaryDirectory(prefix="stembridge-carla-") as folder:
        subprocess.run(["stembridge", "vst3", "install", "--dir", folder], check=True, capture_output=True)
        host = carla_backend.CarlaHostDLL(options.library, False)
        if not host.engine_init("Dummy", "stembridge"):
            sys.exit(f"Carla's engine does not start: {host.get_last_error()}")
        native, vst3 = carla_backend.BINARY_NATIVE, carla_backend.PLUGIN_VST3
        if not host.add_plugin(native, vst3, f"{folder}/StemBridge.vst3", None, "StemBridge", 0, None, 0):
            sys.exit(f"Carla does not load the plugin: {host.get_last_error()}")
        numbers = {name: number for number, name in enumerate(names(host))}
        for name, value in VALUES.items():
            host.set_parameter_value(0, numbers[name], value)
        before = values(host)
        project = f"{folder}/project.carxp"
        saved = host.save_project(project)
        host.remove_all_plugins()
        if not (saved and host.load_project(project)):
            sys.exit(f"Carla does not save or load its project: {host.get_last_error()}")
        after = values(host)
        host.engine_close()
    others = [name for name in before if abs(before[name] - after.get(name, float("nan"))) > LARGEST]
    print(f"{len(before)} values, different after loading: {', '.join(others) or 'no value'}")
    sys.exit(bool(others))


def names(host) -> list[str]:
    """Return the parameters' names, in order."""
    return [host.get_parameter_info(0, number)["name"] for number in range(host.get_parameter_count(0))]


def values(host) -> dict[str, float]:
    """Return the values of all parameters but what the plugin measures."""
    shown = [(number, name) for number, name in enumerate(names(host)) if name != "Status" and "level" not in name]
    return {name: host.get_current_parameter_value(0, number) for number, name in shown}


if __name__ == "__main__":
    main()
