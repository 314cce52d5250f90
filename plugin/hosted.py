"""Any Python processor as a pedalboard plugin."""

import ctypes
import numbers
import os
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pedalboard import VST3Plugin

from ..core.errors import BridgeError, StateError, StemBridgeError, error_text, one_line
from ..core.suggest import did_you_mean
from .bridge.bundle import bundle_library, read_bundle, require_linux
from .bridge.descriptor import BYPASS
from .bridge.factory import Toggle, refuse_while_importing
from .loading import WrongThreadError, load

# Held while a plugin is loaded, so that the newest instance in the library is that plugin's. Forks wait for it too,
# because pedalboard holds locks while it loads, and in a forked child they would stay locked for ever.
_loading = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release)


class HostedPlugin(VST3Plugin):
    """A pedalboard plugin whose sound is made by a Python processor in its own process.

    Its parameters are attributes, as in any plugin of pedalboard, but exact and checked; `bypass` is one of them. If
    audio went out dry although it should not have, the next use of the plugin gives a RuntimeWarning.

    Args:
        bundle: Path of a .vst3 that StemBridge has written.
        parameters: Values at the start, by name.

    Raises:
        BridgeError: The bundle cannot be used.
        ValueError: A value is out of range.
        TypeError: A parameter is unknown.
    """

    _shown_as: str | None = None  # name in the repr, in place of the class's
    _shortest_block = 1  # samples in a block of a whole song

    def __init__(self, bundle: str | os.PathLike[str], /, **parameters: float | bool) -> None:
        refuse_while_importing()
        require_linux()
        path = Path(os.path.abspath(bundle))
        self._descriptor = read_bundle(path)
        if not bundle_library(path).is_file():
            raise BridgeError(
                f"{path}: the library is missing, perhaps because the bundle was renamed; install it again"
            )
        try:
            str(path).encode()
        except UnicodeEncodeError:
            remedy = "choose another folder (TMPDIR for StemMix and load_processor)"
            raise BridgeError(f"{path}: pedalboard cannot load from a path that is not UTF-8; {remedy}") from None
        # How to make another plugin like this: the class, and its arguments except the parameters.
        self._recipe: tuple[type[HostedPlugin], tuple[Any, ...], dict[str, Any]] = HostedPlugin, (str(path),), {}
        values = {self._check_name(name): self._checked(name, value) for name, value in parameters.items()}
        with _loading:
            try:
                load(lambda: VST3Plugin.__init__(self, str(path)))
            except ImportError as error:
                hint = "if its folder is mounted noexec, set TMPDIR to another folder"
                raise BridgeError(f"{path} cannot be loaded; {hint} ({explain(error)})") from error
            except WrongThreadError as error:
                raise StateError(f"{type(self).__name__} cannot be made on this thread: {error}") from error
            library = ctypes.CDLL(str(bundle_library(path)))
            library.stembridge_newest.restype = library.stembridge_dropouts.restype = ctypes.c_int64
            instance = ctypes.c_int64(library.stembridge_newest())
        self._count_dropouts: Callable[[], int] = lambda: library.stembridge_dropouts(instance)
        self._reported = self._at_first = self._count_dropouts()  # not 0, because loading sends some audio through
        for name, value in values.items():
            self._set(name, value)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters as pedalboard shows them, name to parameter."""
        # Only when asked for, because pedalboard's parameters and their plugin keep each other alive.
        shown: Mapping[str, Any] = super().parameters  # type: ignore[misc]  # the stubs lack it
        lowest = {name: self._declared(name) or self._descriptor.meters[name] for name in self._descriptor.lowest}
        minimums = {self._descriptor.titles[name][0]: declared.minimum for name, declared in lowest.items()}
        for parameter in shown.values():  # pedalboard reads the texts of values as numbers, even "-inf"
            if parameter.name in minimums:
                parameter.min_value = minimums[parameter.name]
                parameter.range = (parameter.min_value, *parameter.range[1:])
        return shown

    @property
    def dropouts(self) -> int:
        """Number of blocks that went out dry although they should not have; stderr has the reason."""
        count: int = self._count_dropouts() - self._at_first
        return count

    def process(self, *arguments: Any, **options: Any) -> NDArray[np.float32]:
        """Process audio as any plugin of pedalboard does: `process(audio, sample_rate, buffer_size, reset)`.

        Args:
            arguments: Those of pedalboard's Plugin.process.
            options: Its keyword arguments.

        Returns:
            Samples of the same shape.
        """
        out = super().process(*self._arguments(*arguments, **options))
        self._report_dropouts()
        return out

    def __call__(self, *arguments: Any, **options: Any) -> NDArray[np.float32]:
        """Process audio, the same as `process`."""
        out = super().__call__(*self._arguments(*arguments, **options))
        self._report_dropouts()
        return out

    def _arguments(self, input_array: Any, sample_rate: Any, buffer_size: Any = 8192, reset: Any = True) -> Any:
        """Return the arguments for pedalboard's own `process`: for a whole song, with blocks of `_shortest_block`."""
        return input_array, sample_rate, max(buffer_size, self._shortest_block) if reset else buffer_size, reset

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            self._report_dropouts()
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
        self._report_dropouts()
        if self._declared(name) is not None:
            self._set(name, self._checked(name, value))
        elif hasattr(type(self), name):
            object.__setattr__(self, name, value)
        else:
            raise AttributeError(self._unknown(name))

    def __repr__(self) -> str:
        self._report_dropouts()
        _, arguments, kwargs = self._recipe
        settings = dict(kwargs)
        for name in self._names():
            value, declared = self._get(name), self._declared(name)
            if name in settings or not isinstance(declared, Toggle) or value != declared.default:
                settings[name] = value
        shown = [repr(argument) for argument in arguments] + [f"{name}={value!r}" for name, value in settings.items()]
        return f"{self._shown_as or type(self).__name__}({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        values = {name: self._exact(name) for name in self._names()}
        own = {name: value for name, value in vars(self).items() if name not in _INTERNAL_ATTRIBUTES}
        return _make_again, (type(self), *self._recipe, values), own or None

    def _names(self) -> list[str]:
        return [*self._descriptor.parameters, BYPASS]

    def _declared(self, name: str) -> Any:
        """Return the declaration of a parameter, None if there is no such parameter."""
        return Toggle(False) if name == BYPASS else self._descriptor.parameters.get(name)

    def _check_name(self, name: str) -> str:
        if self._declared(name) is None:
            raise TypeError(self._unknown(name))
        return name

    def _unknown(self, name: str) -> str:
        hint = did_you_mean(name, dir(type(self)) + self._names()) or f"; its parameters are {', '.join(self._names())}"
        return f"{type(self).__name__} has no parameter or attribute {name!r}{hint}"

    def _checked(self, name: str, value: Any) -> float | bool:
        """Return a value as the parameter's type. Raises ValueError if the parameter cannot have it."""
        declared = self._declared(name)
        if isinstance(declared, Toggle):
            if not (isinstance(value, bool | np.bool_) or (isinstance(value, numbers.Real) and value in (0, 1))):
                raise StemBridgeError(f"{name}: {value!r} does not work; give True or False")
            return bool(value)
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            raise StemBridgeError(f"{name}: {value!r} is not a number; give one")
        if not declared.minimum <= value <= declared.maximum:
            raise StemBridgeError(
                f"{name}: {value:g} is out of range; give {declared.minimum:g} to {declared.maximum:g}"
            )
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
        """Return the value without the rounding of its text."""
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

    def _report_dropouts(self) -> None:
        """Warn about blocks that went out dry since the last warning, with the line that called a public method."""
        if "_reported" not in vars(self) or self._count_dropouts() == self._reported:
            return
        with _loading:
            count = self._count_dropouts()
            new, self._reported = count - self._reported, count
        if new:
            blocks = "1 block" if new == 1 else f"{new} blocks"
            # The total makes each text different, because Python shows the same warning only once.
            text = f"{blocks} went out dry ({count - self._at_first} in all); stderr has the reason"
            warnings.warn(f"{self._descriptor.name}: {text}", RuntimeWarning, stacklevel=3)


# Attributes of this class and of pedalboard; all others belong to subclasses.
_INTERNAL_ATTRIBUTES = {
    "_descriptor",
    "_recipe",
    "_count_dropouts",
    "_reported",
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
    """Make a plugin from the result of __reduce__. `kind` may be a subclass of `base` with another constructor."""
    plugin = kind.__new__(kind)
    base.__init__(plugin, *arguments, **kwargs)
    for name, value in values.items():
        plugin._set(name, value)
    return plugin


def explain(error: BaseException) -> str:
    """Return what went wrong in one line, with the type of an error that does not explain itself."""
    explains = isinstance(error, StemBridgeError) or type(error) is ValueError
    return one_line(error) if explains else error_text(error)
