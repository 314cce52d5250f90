"""`--rack`: a processor from a Python file or module."""

import os
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from ..core.errors import StemBridgeError


def load_rack(place: str, song: str | os.PathLike[str], stream: int | None = None) -> Any:
    """Return the processor that `place` names.

    Args:
        place: A file or module and a name in it: "rack.py:rack" or "package.module:rack". If the name is a function or
            class, it is called to make the processor. It may take sample_rate and num_channels.
        song: Path of the song that will be processed.
        stream: Number of its audio stream, from 1; None for the default one.

    Raises:
        ValueError: There is no such processor, or it cannot be made.
        OSError: The song cannot be read.
    """
    from ..audio import open_audio
    from ..core.protocols import check_processor
    from ..plugin.bridge.factory import make_processor

    where, _, name = place.rpartition(":")
    if not (where and name):
        raise StemBridgeError(
            f"--rack {place} does not work; give FILE.py:NAME or package.module:NAME, like rack.py:rack"
        )
    with open_audio(song, stream) as reader:
        sample_rate, num_channels = reader.sample_rate, reader.num_channels
    try:
        found: Any = _module(where)
        for part in name.split("."):
            found = _part(found, part)
        if isinstance(found, type) or (callable(found) and not hasattr(found, "process")):
            found = make_processor(found, {}, sample_rate, num_channels)
        if found is None:
            raise StemBridgeError("is None; name a processor, or a function that returns one")
        check_processor(found)
    except (Exception, SystemExit) as error:
        kind = "" if isinstance(error, StemBridgeError) or type(error) is ValueError else f"{type(error).__name__}: "
        raise StemBridgeError(f"--rack {place}: {kind}{error}") from error
    return found


def _part(owner: Any, name: str) -> Any:
    """Return the object of this name in a module or class. Otherwise raise ValueError, which lists the processors."""
    if hasattr(owner, name):
        return getattr(owner, name)
    names = [
        other
        for other, value in getattr(owner, "__dict__", {}).items()
        if not other.startswith("_")
        and (callable(value) or hasattr(value, "process"))
        and not _is_imported(value, owner)
    ]
    choices = f"choose from {', '.join(names)}" if names else "it contains no processor"
    raise StemBridgeError(f"no {name!r} in it; {choices}")


def _is_imported(value: Any, owner: Any) -> bool:
    """Return whether a class or function in a module was imported from another one."""
    return (
        isinstance(owner, ModuleType) and isinstance(value, type | FunctionType) and value.__module__ != owner.__name__
    )


def _module(where: str) -> ModuleType:
    """Import a file or a module. Files may import their neighbours, and modules may be in the current folder."""
    if not where.endswith(".py"):
        sys.path.insert(0, os.getcwd())
        try:
            return import_module(where)
        except ModuleNotFoundError as error:
            raise StemBridgeError(f"module {error.name!r} was not found; check the name, or install it") from error
    if not os.path.isfile(where):
        raise StemBridgeError("the file does not exist; check the name")
    sys.path.insert(0, str(Path(where).absolute().parent))
    spec = spec_from_file_location(f"_rack_{Path(where).stem}", where)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
