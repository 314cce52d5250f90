"""Any Python processor as a pedalboard plugin."""

import ctypes
import difflib
import inspect
import json
import numbers
import os
import re
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pedalboard import VST3Plugin

from ..core.errors import BridgeError
from ..core.version import __version__
from .bridge.bundle import bundle_library, import_folders, read_bundle, temporary_bundles, worker_arguments
from .bridge.descriptor import BYPASS, Descriptor
from .bridge.factory import Toggle, declared_parameters, find_factory, refuse_while_importing
from .loading import WrongThreadError, load

# Held while a plugin is loaded, so that "the one made last" is known. No fork happens then: pedalboard, too, holds
# locks while it loads, and a child would find them locked for ever.
_loading = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release)


class HostedPlugin(VST3Plugin):
    """A pedalboard plugin whose sound a Python processor makes, in a process of its own.

    Its parameters are attributes, as with any plugin of pedalboard, exact and checked; `bypass` is one of them.
    Whenever audio has passed through dry though it should not have, the next call here raises a RuntimeWarning.

    bundle: path of a .vst3 that stembridge has written. parameters: where they start.
    Raises BridgeError for a bundle that cannot be used, ValueError for a value, TypeError for an unknown parameter.
    """

    _shown_as: str | None = None  # in place of the class's name

    def __init__(self, bundle: str | os.PathLike[str], /, **parameters: float | bool) -> None:
        refuse_while_importing()
        path = Path(os.path.abspath(bundle))
        self._descriptor = read_bundle(path)
        if not bundle_library(path).is_file():
            raise BridgeError(f"{path}: its library is missing, as after renaming the bundle; install it again")
        # The class whose constructor makes one like this, and its arguments but for the parameters.
        self._made: tuple[type[HostedPlugin], tuple[Any, ...], dict[str, Any]] = HostedPlugin, (str(path),), {}
        values = {self._check_name(name): self._checked(name, value) for name, value in parameters.items()}
        with _loading:
            try:
                load(lambda: VST3Plugin.__init__(self, str(path)))
            except ImportError as error:
                hint = "if its folder is mounted noexec, set TMPDIR to another"
                raise BridgeError(f"{path} cannot be loaded; {hint} ({_line(error)})") from error
            except WrongThreadError as error:
                raise RuntimeError(f"{type(self).__name__} cannot be made on this thread: {error}") from error
            library = ctypes.CDLL(str(bundle_library(path)))
            library.stembridge_newest.restype = library.stembridge_dropouts.restype = ctypes.c_int64
            instance = ctypes.c_int64(library.stembridge_newest())
        self._count_dropouts: Callable[[], int] = lambda: library.stembridge_dropouts(instance)
        self._told = self._at_first = self._count_dropouts()  # loading sends audio through, which nobody hears
        for name, value in values.items():
            self._set(name, value)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters as pedalboard shows them, name -> parameter."""
        # Not as soon as a plugin is made: pedalboard's parameters hold their plugin, and it them, as long as both live.
        shown: Mapping[str, Any] = super().parameters  # type: ignore[misc]  # the stubs lack it
        lowest = {name: self._declared(name) or self._descriptor.meters[name] for name in self._descriptor.lowest}
        minimums = {self._descriptor.titles[name][0]: declared.minimum for name, declared in lowest.items()}
        for parameter in shown.values():  # pedalboard takes the texts of values for numbers, "-inf" too
            if parameter.name in minimums:
                parameter.min_value = minimums[parameter.name]
                parameter.range = (parameter.min_value, *parameter.range[1:])
        return shown

    @property
    def dropouts(self) -> int:
        """Blocks that went out dry though they should not have; stderr says why."""
        count: int = self._count_dropouts() - self._at_first
        return count

    def process(self, *arguments: Any, **options: Any) -> NDArray[np.float32]:
        """Run audio through this plugin, as any of pedalboard: `process(audio, sample_rate, buffer_size, reset)`."""
        out = super().process(*arguments, **options)
        self._tell_dropouts()
        return out

    def __call__(self, *arguments: Any, **options: Any) -> NDArray[np.float32]:
        """The same as `process`."""
        out = super().__call__(*arguments, **options)
        self._tell_dropouts()
        return out

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            self._tell_dropouts()
        return super().__getattribute__(name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if self._declared(name) is None:
            raise AttributeError(self._unknown(name))
        return self._get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        self._tell_dropouts()
        if self._declared(name) is not None:
            self._set(name, self._checked(name, value))
        elif hasattr(type(self), name):
            object.__setattr__(self, name, value)
        else:
            raise AttributeError(self._unknown(name))

    def __repr__(self) -> str:
        self._tell_dropouts()
        _, arguments, kwargs = self._made
        settings = dict(kwargs)
        for name in self._names():
            value, declared = self._get(name), self._declared(name)
            if name in settings or not isinstance(declared, Toggle) or value != declared.default:
                settings[name] = value
        shown = [repr(argument) for argument in arguments] + [f"{name}={value!r}" for name, value in settings.items()]
        return f"{self._shown_as or type(self).__name__}({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        values = {name: self._exact(name) for name in self._names()}
        own = {name: value for name, value in vars(self).items() if name not in _OURS}
        return _make_again, (type(self), *self._made, values), own or None

    def _names(self) -> list[str]:
        return [*self._descriptor.parameters, BYPASS]

    def _declared(self, name: str) -> Any:
        """The parameter, or None for what is no parameter."""
        return Toggle(False) if name == BYPASS else self._descriptor.parameters.get(name)

    def _check_name(self, name: str) -> str:
        if self._declared(name) is None:
            raise TypeError(self._unknown(name))
        return name

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name, dir(type(self)) + self._names(), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"its parameters are {', '.join(self._names())}"
        return f"{type(self).__name__} has no parameter or attribute {name!r}; {hint}"

    def _checked(self, name: str, value: Any) -> float | bool:
        """The value as the parameter can have it. Raises ValueError."""
        declared = self._declared(name)
        if isinstance(declared, Toggle):
            if not (isinstance(value, bool | np.bool_) or (isinstance(value, numbers.Real) and value in (0, 1))):
                raise ValueError(f"{name}: {value!r} is neither True nor False")
            return bool(value)
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            raise ValueError(f"{name}: {value!r} is not a number")
        if not declared.minimum <= value <= declared.maximum:
            raise ValueError(f"{name}: {value:g} is out of range; give {declared.minimum:g} to {declared.maximum:g}")
        return float(value)

    def _parameter(self, name: str) -> Any:
        title = "Bypass" if name == BYPASS else self._descriptor.titles[name][0]
        return self._get_parameter(title)

    def _get(self, name: str) -> float | bool:
        parameter, declared = self._parameter(name), self._declared(name)
        if isinstance(declared, Toggle):
            return bool(parameter.raw_value >= 0.5)
        text = parameter.string_value
        return declared.minimum if text == self._descriptor.lowest.get(name) else float(text)

    def _exact(self, name: str) -> float | bool:
        """The value without the rounding of its text."""
        raw, declared = float(self._parameter(name).raw_value), self._declared(name)
        if isinstance(declared, Toggle):
            return raw >= 0.5
        value: float = declared.minimum + raw * (declared.maximum - declared.minimum)
        return value

    def _set(self, name: str, value: float | bool) -> None:
        declared = self._declared(name)
        if not isinstance(declared, Toggle):
            value = (value - declared.minimum) / (declared.maximum - declared.minimum)
        self._parameter(name).raw_value = float(value)

    def _tell_dropouts(self) -> None:
        """Warn, once, of blocks that went out dry since the last time. To be called by what the user calls."""
        if "_told" not in vars(self) or self._count_dropouts() == self._told:
            return
        with _loading:
            count = self._count_dropouts()
            new, self._told = count - self._told, count
        if new:
            blocks = "1 block" if new == 1 else f"{new} blocks"
            # With the sum in it no two texts are the same: Python shows the same warning only once.
            text = f"{blocks} went out dry ({count - self._at_first} in all); stderr says why"
            warnings.warn(f"{self._descriptor.name}: {text}", RuntimeWarning, stacklevel=3)


# What is no attribute of a subclass's own: ours, and what pedalboard keeps.
_OURS = {
    "_descriptor",
    "_made",
    "_count_dropouts",
    "_told",
    "_at_first",
    "__python_parameter_cache__",
    "__python_to_cpp_names__",
}


def _make_again(
    kind: type[HostedPlugin],
    base: type[HostedPlugin],
    arguments: tuple[Any, ...],
    kwargs: dict[str, Any],
    values: dict[str, float | bool],
) -> HostedPlugin:
    """Undo __reduce__. kind: may be a user's subclass of `base`, whose own constructor takes who knows what."""
    plugin = kind.__new__(kind)
    base.__init__(plugin, *arguments, **kwargs)
    for name, value in values.items():
        plugin._set(name, value)
    return plugin


def load_processor(factory: str, /, **kwargs: Any) -> HostedPlugin:
    """Load a Python processor as a pedalboard plugin: `load_processor("package.module:factory", depth=0.5)`.

    factory: makes an object with `process(block)`, `reset()`, `latency_samples` and `parameters`; see docs/plugin.md.
    kwargs: one that the factory takes goes there, as a JSON value; one that names a parameter sets it.
    Raises ValueError, in one line, for what is no such processor or no such value, and TypeError for an argument that
    is missing or that nobody takes.
    """
    return _Processor(factory, **kwargs)


class _Processor(HostedPlugin):
    _shown_as = "load_processor"

    def __init__(self, factory: str, /, **kwargs: Any) -> None:
        descriptor, starts = describe_processor(factory, kwargs, import_folders())
        super().__init__(temporary_bundles.get(descriptor), **starts)
        self._made = _Processor, (factory,), kwargs


def describe_processor(
    path: str, kwargs: Mapping[str, Any], folders: list[str], name: str | None = None
) -> tuple[Descriptor, dict[str, Any]]:
    """The descriptor of a processor, and where its parameters start: see `load_processor`.

    folders: where its modules are found besides the interpreter's own places. name: in hosts, by default the factory's.
    """
    factory = find_processor(path)
    try:
        made = _arguments_for(factory, kwargs)
    except TypeError as error:
        raise TypeError(f"{path}: {error}") from None
    for argument, value in made.items():
        if argument in ("sample_rate", "num_channels"):
            raise ValueError(f"{path}: {argument} is for the host to say; leave it out")
        if not _is_json(value):
            raise ValueError(
                f"{path}: the argument {argument!r} is {value!r}; give what JSON has: text, numbers, True, False, "
                "None, lists, and dicts of these"
            )
    try:
        parameters = declared_parameters(factory, made)
    except Exception as error:
        raise BridgeError(f"{path}: {_line(error)}") from error
    if taken := [name for name in parameters if hasattr(HostedPlugin, name)]:
        raise BridgeError(f"{path}: a parameter cannot be called {taken[0]!r}, as every plugin has that; rename it")
    starts = {argument: value for argument, value in kwargs.items() if argument in parameters or argument == BYPASS}
    for argument in kwargs.keys() - made.keys() - starts.keys():
        near = difflib.get_close_matches(argument, [*parameters, BYPASS, *inspect.signature(factory).parameters], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"{path} has no parameter and takes no argument {argument!r}{hint}")
    title = name or re.sub(r"[^A-Za-z0-9_]", "_", path.rpartition(":")[2])[:63]
    arguments = worker_arguments(path, made, parameters, folders)
    return Descriptor(title, __version__, arguments, parameters, f"processor {path}"), starts


def find_processor(path: str) -> Callable[..., Any]:
    """Import the factory that "package.module:factory" names. Raises BridgeError, in one line, if that fails."""
    if not isinstance(path, str) or path.startswith("__main__:"):
        raise BridgeError(f"{path!r} is nothing that another process could import; give 'package.module:factory'")
    try:
        factory = find_factory(path)
    except Exception as error:  # whatever a module raises
        line = _line(error) if str(error).startswith(repr(path)) else f"{path!r} cannot be imported: {_line(error)}"
        raise BridgeError(line) from error
    for method in ("process", "reset"):
        if isinstance(factory, type) and not callable(getattr(factory, method, None)):
            raise BridgeError(f"{path!r} has no method {method!r}, so it is no processor")
    return factory


def _arguments_for(factory: Callable[..., Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Those that go to the factory: what it names, and what only its ** can take. TypeError if one is missing."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # of a builtin
        return dict(kwargs)
    takes = signature.parameters.values()
    named = {taken.name for taken in takes if taken.kind in (taken.POSITIONAL_OR_KEYWORD, taken.KEYWORD_ONLY)}
    made = {name: value for name, value in kwargs.items() if name in named}
    if any(taken.kind == taken.VAR_KEYWORD for taken in takes):
        declared = getattr(factory, "parameters", None)
        known = {BYPASS, *declared} if isinstance(declared, Mapping) else {BYPASS}
        made |= {name: value for name, value in kwargs.items() if name not in known | named}
    signature.bind(**(dict.fromkeys(named & {"sample_rate", "num_channels"}) | made))
    return made


def _is_json(value: Any) -> bool:
    """Whether a value comes back from JSON as it went in: a tuple would be a list."""
    try:
        back = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return False
    return type(back) is type(value) and back == value


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if type(error) is ValueError else f"{type(error).__name__}: {text}"
