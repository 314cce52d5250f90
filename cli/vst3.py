"""`stembridge vst3`: StemBridge, or any Python processor, as a VST3 plugin."""

import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import StemBridgeError
from .complete import beginning
from .examples import EXAMPLES
from .help import Command, Group
from .options import AsJson, ModelName, is_given

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..plugin import HostedPlugin
    from ..plugin.bridge.descriptor import Descriptor

STANDARD_FOLDER = Path("~/.vst3")
CHECK_RATES_HZ = 44100, 48000
CHECK_SECONDS = 1  # length of the noise
TOLERANCE = 1e-6  # the largest difference between the noise and its copy; full scale is 1

app = typer.Typer(cls=Group, epilog=EXAMPLES["vst3"])

Folder = Annotated[Path, typer.Option("--dir", metavar="DIR", help="Where hosts look for plugins.")]


@app.callback(invoke_without_command=True)
def _vst3(context: typer.Context) -> None:
    """Install StemBridge, or your own Python processor, as a VST3 plugin."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("install", cls=Command, epilog=EXAMPLES["vst3 install"])
def install_plugin(
    context: typer.Context,
    processor: Annotated[
        str | None, typer.Argument(metavar="[PROCESSOR]", help="Your own processor, as package.module:factory.")
    ] = None,
    model: ModelName = "mix",
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name in hosts.")] = None,
    folder: Folder = STANDARD_FOLDER,
) -> None:
    """Write a plugin where hosts find it. It runs in the Python environment of this command."""
    from ..plugin.bridge.bundle import home_folders, write_bundle
    from ..plugin.processors import describe_for_hosts, find_processor
    from ..plugin.stemmix import describe_stem_mix

    folders = home_folders("stembridge")
    if processor is None:
        from ..models import load_model

        loaded = load_model(model)
        usual = "StemBridge" if model == "mix" else f"StemBridge {loaded.card.name}"
        descriptor = describe_stem_mix(loaded, usual if name is None else name, folders)
    else:
        if is_given(context, "model"):
            raise StemBridgeError(f"--model {model} has no effect on your processor {processor}; leave it out")
        sys.path.append(os.getcwd())
        find_processor(processor)  # imports its module, whose folder the plugin needs
        folders += home_folders(re.split("[.:]", processor)[0])
        descriptor = describe_for_hosts(processor, folders, name)
    bundle = folder.expanduser() / f"{descriptor.name}.vst3"
    _check_same(bundle, descriptor)
    write_bundle(bundle, descriptor)
    others = f"; you can change to {', '.join(descriptor.alternatives)} in the host" if descriptor.alternatives else ""
    print(f"wrote {bundle}: {_sound(descriptor)}{others}; hosts see it when they scan for plugins")


def _check_same(bundle: Path, descriptor: "Descriptor") -> None:
    """Refuse to replace another plugin. The same one may be installed again."""
    from ..plugin.bridge.bundle import read_bundle

    if not os.path.lexists(bundle):
        return
    old, new = (f"model {one.model}" if one.model else one.identity for one in (read_bundle(bundle), descriptor))
    if old != new:
        raise StemBridgeError(
            f"{bundle} is another plugin: {old}, not {new}; choose another name with --name, or remove that one first "
            "(stembridge vst3 remove)"
        )


@app.command("list", cls=Command, epilog=EXAMPLES["vst3 list"])
def list_plugins(folder: Folder = STANDARD_FOLDER, as_json: AsJson = False) -> None:
    """List the installed plugins."""
    from .table import print_json, print_table

    rows = [
        [
            name,
            descriptor.version,
            _sound(descriptor),
            descriptor.arguments[0],
            _state(folder.expanduser() / f"{name}.vst3", descriptor),
        ]
        for name, descriptor in installed_plugins(folder).items()
    ]
    head = ["name", "version", "sound", "interpreter", "works"]
    if as_json:
        print_json([dict(zip(head, row, strict=True)) for row in rows])
    elif rows:
        print_table(head, rows)
    else:
        print(f"no StemBridge plugins are installed in {folder}; `stembridge vst3 install` writes one")


@app.command("remove", cls=Command, epilog=EXAMPLES["vst3 remove"])
def remove_plugin(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=beginning(lambda: installed_plugins(STANDARD_FOLDER)),
            help="Name in the list.",
        ),
    ],
    folder: Folder = STANDARD_FOLDER,
) -> None:
    """Remove an installed plugin."""
    from ..plugin.bridge.bundle import remove_bundle

    bundle = _installed_bundle(name, folder)
    remove_bundle(bundle)
    print(f"removed {bundle}")


@app.command("check", cls=Command, epilog=EXAMPLES["vst3 check"])
def check_plugin(
    plugin_or_name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            autocompletion=beginning(lambda: installed_plugins(STANDARD_FOLDER)),
            help="Name in the list, or the path of a .vst3 (default: StemBridge, installed or not).",
        ),
    ] = None,
    folder: Folder = STANDARD_FOLDER,
) -> None:
    """Load a plugin as a host does, show its parameters and latency, and check that audio comes back aligned.

    For the check the faders of StemBridge are at 0 dB. Your own processor must first process noise without a failure;
    then it is bypassed. If the check fails, the exit code is 1.
    """
    from ..plugin import HostedPlugin, StemMix
    from .lines import complain
    from .table import print_table

    bundle = _bundle(plugin_or_name, folder)
    plugin: HostedPlugin = StemMix() if bundle is None else HostedPlugin(bundle)
    print(f"{plugin.name} {plugin.version}, {bundle or 'not installed'}")
    rows = []
    for name, parameter in plugin.parameters.items():
        texts = [parameter.get_text_for_raw_value(raw) for raw in (0.0, 1.0, parameter.default_raw_value)]
        rows.append([name, *texts, parameter.string_value, parameter.units or ""])
    print_table(["parameter", "from", "to", "default", "value", "unit"], rows)
    if problem := _problem(plugin, bundle):
        complain(f"{plugin.name}: {problem}")
        raise typer.Exit(1)


def _problem(plugin: "HostedPlugin", bundle: Path | None) -> str | None:
    """Send noise through a plugin at each rate, print what comes back, and return the first problem."""
    import numpy as np

    from ..plugin.bridge.bundle import read_bundle

    descriptor = None if bundle is None else read_bundle(bundle)
    latencies = {} if descriptor is None else descriptor.latencies
    is_own = descriptor is not None and not descriptor.identity.startswith("model ")
    rates = [rate for rate in CHECK_RATES_HZ if not latencies or rate in latencies]
    for rate in (rate for rate in CHECK_RATES_HZ if rate not in rates):
        print(f"{rate} Hz: not checked, because the processor refused this rate when it was installed")
    for rate in rates or map(int, latencies):
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, CHECK_SECONDS * rate)).astype(np.float32)
        if is_own:
            plugin.bypass = False
            if not np.isfinite(_play(plugin, noise, rate)).all():
                return "the processor returned NaN or infinite samples; look for a division by zero in it"
            plugin.bypass = True
        out = _play(plugin, noise, rate)
        if plugin.dropouts:
            return f"{plugin.dropouts} blocks went out dry, for the reason above"
        latency = plugin.reported_latency_samples
        difference = float(np.abs(out - noise).max()) if out.shape == noise.shape else float("inf")
        said = f"latency {latency} samples, {1000 * latency / rate:.1f} ms; noise comes back with a difference of"
        print(f"{rate} Hz: {said} {difference:.1g}")
        if rate in latencies and latency != (installed := latencies[rate].latency):
            return f"the latency is {latency} samples at {rate} Hz, not {installed} as installed; install it again"
        if not difference <= TOLERANCE:  # also if it is NaN
            return "audio comes back changed"
    return None


def _bundle(name: str | None, folder: Path) -> Path | None:
    """Return the bundle of a name or path, or by default that of StemBridge, None if it is not installed."""
    if name is None:
        usual = folder.expanduser() / "StemBridge.vst3"
        return usual if usual.exists() else None
    is_path = name.endswith(".vst3") or (Path(name).exists() and name not in installed_plugins(folder))
    return Path(name) if is_path else _installed_bundle(name, folder)


def _installed_bundle(name: str, folder: Path) -> Path:
    from ..core.suggest import did_you_mean

    installed = installed_plugins(folder)
    if name not in installed:  # so a name such as ../x cannot lead out of the folder
        remedy = f"choose from {', '.join(installed)}" if installed else "install one with stembridge vst3 install"
        raise StemBridgeError(
            f"no StemBridge plugin named {name!r}{did_you_mean(name, installed)} in {folder}; {remedy}"
        )
    return folder.expanduser() / f"{name}.vst3"


def _play(plugin: "HostedPlugin", noise: "NDArray[np.float32]", rate: int) -> "NDArray[np.float32]":
    """Send noise through a plugin. Its warnings about dropouts are left out, because these are counted."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return plugin(noise, rate)


def _sound(descriptor: "Descriptor") -> str:
    """Return the identity of the plugin's processor, with checksums cut to their first digits."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1", descriptor.identity)


def _state(bundle: Path, descriptor: "Descriptor") -> str:
    from ..core.version import __version__
    from ..plugin.bridge.bundle import bundle_library

    interpreter = descriptor.arguments[0]
    if not bundle_library(bundle).is_file():
        return "no, it was renamed or is incomplete; install it again"
    if not os.access(interpreter, os.X_OK):
        return "no, its interpreter is gone; install it again"
    if interpreter == sys.executable and descriptor.version != __version__:
        return f"perhaps, stembridge is {__version__} now; install it again"
    return "yes"


def installed_plugins(folder: Path) -> "dict[str, Descriptor]":
    """Return the StemBridge plugins in a folder, name to descriptor. Other plugins are skipped.

    Args:
        folder: The folder; "~" is the home folder.

    Raises:
        ValueError: It is a file.
    """
    from ..core.errors import BridgeError
    from ..plugin.bridge.bundle import read_bundle

    if folder.expanduser().exists() and not folder.expanduser().is_dir():
        raise StemBridgeError(f"--dir {folder} is a file; name a folder")
    found = {}
    for path in sorted(folder.expanduser().glob("*.vst3"), key=lambda path: path.stem):
        with suppress(BridgeError):
            found[path.stem] = read_bundle(path)
    return found
