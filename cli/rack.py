"""`--rack`: a processor out of a Python file or module."""

import os
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any


def load_rack(place: str, song: str | os.PathLike[str], stream: int | None = None) -> Any:
    """Load or make the processor that `place` names: "rack.py:rack" or "package.module:rack".

    A function or class of that name makes it, and may take sample_rate and num_channels. Raises ValueError, in one
    line, if that fails.
    """
    from ..audio import open_audio
    from ..plugin.bridge.factory import make_processor
    from ..render.song.processor import check_processor

    where, _, name = place.rpartition(":")
    if not (where and name):
        raise ValueError(f"--rack {place}: give a file and a name in it, like rack.py:rack, or package.module:rack")
    with open_audio(song, stream) as reader:
        sample_rate, num_channels = reader.sample_rate, reader.num_channels
    try:
        found: Any = _module(where)
        for part in name.split("."):
            found = _part(found, part)
        if isinstance(found, type) or (callable(found) and not hasattr(found, "process")):
            found = make_processor(found, {}, sample_rate, num_channels)
        if found is None:
            raise ValueError("is None; name a processor, or a function that returns one")
        check_processor(found)
    except (Exception, SystemExit) as error:
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        raise ValueError(f"--rack {place}: {kind}{error}") from error
    return found


def _part(owner: Any, name: str) -> Any:
    """Return the object of this name in a module or class. Raises ValueError that names possible processors."""
    if hasattr(owner, name):
        return getattr(owner, name)
    names = [
        other
        for other, value in getattr(owner, "__dict__", {}).items()
        if not other.startswith("_")
        and (callable(value) or hasattr(value, "process"))
        and not _is_imported(value, owner)
    ]
    choices = f"; choose from {', '.join(names)}" if names else ", nor any processor"
    raise ValueError(f"there is no {name!r}{choices}")


def _is_imported(value: Any, owner: Any) -> bool:
    """Return whether a class or function in a module was imported from another one."""
    return (
        isinstance(owner, ModuleType) and isinstance(value, type | FunctionType) and value.__module__ != owner.__name__
    )


def _module(where: str) -> ModuleType:
    """A file or a module, run as Python does: a file finds its neighbours, a module may lie in the current folder."""
    if not where.endswith(".py"):
        sys.path.insert(0, os.getcwd())
        try:
            return import_module(where)
        except ModuleNotFoundError as error:
            raise ValueError(f"there is no module {error.name!r}; check the name, or install it") from error
    if not os.path.isfile(where):
        raise ValueError("there is no such file; check the name")
    sys.path.insert(0, str(Path(where).absolute().parent))
    spec = spec_from_file_location(f"_rack_{Path(where).stem}", where)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
