"""Save a project with the plugin in Carla, load it again, and compare the values that were set.

    python3 tests/hosts/carla.py [--backend /usr/share/carla] [--library /usr/lib/carla/libcarla_standalone2.so]

Needs Carla 2.5 and the Python that its backend runs in; no screen or sound card. `stembridge` must be on the PATH. The
exit code is 1 if a value that was set is another one after loading.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LARGEST = 1e-4  # between a value and the one that is read back
VALUES = {"Vocals": 0.68, "Drums": 0.83, "Bass mute": 1.0}  # from 0, the lowest, to 1, the highest
IDLE_S = 2  # until the plugin has received them, or reported them


def main() -> None:
    """Read the command line, save, load and compare."""
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
        rack, internal = carla_backend.ENGINE_PROCESS_MODE_CONTINUOUS_RACK, carla_backend.ENGINE_TRANSPORT_MODE_INTERNAL
        host.set_engine_option(carla_backend.ENGINE_OPTION_PROCESS_MODE, rack, "")
        host.set_engine_option(carla_backend.ENGINE_OPTION_TRANSPORT_MODE, internal, "")
        if not host.engine_init("Dummy", "stembridge"):
            sys.exit(f"Carla's engine does not start: {host.get_last_error()}")
        native, vst3 = carla_backend.BINARY_NATIVE, carla_backend.PLUGIN_VST3
        if not host.add_plugin(native, vst3, f"{folder}/StemBridge.vst3", None, "StemBridge", 0, None, 0):
            sys.exit(f"Carla does not load the plugin: {host.get_last_error()}")
        host.set_active(0, True)
        numbers = {host.get_parameter_info(0, k)["name"]: k for k in range(host.get_parameter_count(0))}
        expected = {name: in_range(host, numbers[name], share) for name, share in VALUES.items()}
        for name, value in expected.items():
            host.set_parameter_value(0, numbers[name], value)
        idle(host)
        project = f"{folder}/project.carxp"
        saved = host.save_project(project)
        host.remove_all_plugins()
        if not (saved and host.load_project(project)):
            sys.exit(f"Carla does not save or load its project: {host.get_last_error()}")
        idle(host)
        found = {name: host.get_current_parameter_value(0, numbers[name]) for name in VALUES}
        host.engine_close()
    others = [name for name in VALUES if not abs(expected[name] - found[name]) <= LARGEST]
    print(f"{len(VALUES)} values, different after loading: {', '.join(others) or 'no value'}")
    sys.exit(bool(others))


def in_range(host, number: int, share: float) -> float:
    """Return a value of a parameter: some versions of Carla have decibels, others 0 to 1."""
    values = host.get_parameter_ranges(0, number)
    return values["min"] + share * (values["max"] - values["min"])


def idle(host) -> None:
    """Let Carla run for a while."""
    until = time.monotonic() + IDLE_S
    while time.monotonic() < until:
        host.engine_idle()
        time.sleep(0.02)


if __name__ == "__main__":
    main()
