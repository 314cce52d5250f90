"""Bundles: the native shell in a .vst3 folder, with a descriptor of the processor it stands for."""

import json
import os
import platform
import secrets
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from ...core.errors import BridgeError
from .descriptor import Descriptor, module_info, parse_descriptor
from .factory import Parameter, Toggle

HERE = Path(__file__).parent
PREFIX = "stembridge-"  # of folders in the temporary one


def worker_arguments(
    factory: str, kwargs: Mapping[str, Any], parameters: Mapping[str, Parameter | Toggle], folders: Iterable[str]
) -> tuple[str, ...]:
    """How to start the process that hosts "package.module:factory", in this interpreter and whatever environment.

    kwargs: JSON values. parameters: as in the descriptor, whose order is how the shell numbers them.
    folders: where modules are looked for besides the interpreter's own places, and after them.
    """
    if not sys.executable:
        raise BridgeError("this program does not know its Python interpreter, so no plugin can start it")
    bootstrap = f"""
import sys
sys.path += [folder for folder in {list(folders)!a} if folder not in sys.path]
try:
    from stembridge.plugin.bridge.worker import main
except ImportError as error:
    sys.exit(f"stembridge: {{sys.executable}} cannot run this plugin: {{error}}; install it again from one that can")
main()
"""
    code = f"exec({bootstrap!a})"  # in one line
    declared = {name: kind.default if isinstance(kind, Toggle) else kind for name, kind in parameters.items()}
    hosted = {"factory": factory, "kwargs": dict(kwargs), "parameters": declared}
    return sys.executable, "-E", "-P", "-c", code, json.dumps(hosted)


def import_folders() -> list[str]:
    """Where this process finds its modules, for a process that must find the same."""
    folders = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]
    return list(dict.fromkeys(folder for folder in folders if os.path.exists(folder)))


def home_folders(package: str) -> list[str]:
    """Where an imported top-level module or package was found; nothing for one that an import hook has mapped."""
    module = sys.modules[package]
    places = getattr(module, "__path__", None) or [getattr(module, "__file__", None) or ""]
    return [
        os.path.dirname(place) for place in map(os.path.abspath, places) if Path(place).name.split(".")[0] == package
    ]


def shell_library() -> Path:
    """The native shell that setuptools built. Raises BridgeError if it did not."""
    for suffix in EXTENSION_SUFFIXES:
        library = HERE / f"_shell{suffix}"
        if library.is_file():
            return library
    raise BridgeError(
        "the native part of the plugin was not built; install a C++ compiler (Debian: apt install g++, macOS: "
        "xcode-select --install), then: pip install --force-reinstall --no-deps stembridge, or in a clone: "
        "pip install -e . again"
    )


def bundle_library(bundle: Path) -> Path:
    """Where a bundle has its copy of the shell."""
    return bundle / "Contents" / f"{platform.machine()}-linux" / f"{bundle.stem}.so"


def _descriptor_file(bundle: Path) -> Path:
    return bundle / "Contents" / "Resources" / "descriptor.txt"


def write_bundle(path: str | os.PathLike[str], descriptor: Descriptor) -> None:
    """Write a bundle, whole or not at all; one of ours at that place is replaced.

    path: ends in .vst3. Raises BridgeError if something else is there, it cannot be written, or there is no shell.
    """
    path = Path(os.path.abspath(path))
    if path.suffix != ".vst3":
        raise BridgeError(f"{path}: hosts look for folders that end in .vst3; name it so")
    library = shell_library()
    if os.path.lexists(path):
        read_bundle(path)
    scratch = path.parent / f".stembridge-{secrets.token_hex(6)}"
    new, old = scratch / "new", scratch / "old"  # no host that looks for .vst3 finds these
    copy = new / bundle_library(path).relative_to(path)
    try:
        copy.parent.mkdir(parents=True)
        shutil.copyfile(library, copy)  # no link: a library is loaded once a file
        _descriptor_file(new).parent.mkdir()
        _descriptor_file(new).write_text(descriptor.text(), "utf-8", "surrogateescape", "\n")
        _descriptor_file(new).with_name("moduleinfo.json").write_text(module_info(descriptor), "utf-8", newline="\n")
        try:
            if path.exists():
                os.rename(path, old)
            os.rename(new, path)
        except BaseException:
            if old.exists() and not path.exists():
                os.rename(old, path)
            raise
    except OSError as error:
        raise BridgeError(f"cannot write {path}: {error.strerror}; choose another folder") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read_bundle(path: str | os.PathLike[str]) -> Descriptor:
    """Return the descriptor of a bundle. Raises BridgeError if it is missing or not made by StemBridge."""
    path = Path(path)
    if not os.path.lexists(path):
        raise BridgeError(f"{path}: there is no such bundle; `stembridge vst3 list` shows those that are installed")
    try:
        return parse_descriptor(_descriptor_file(path).read_text("utf-8", "surrogateescape"))
    except (OSError, LookupError, ValueError) as error:
        reason = f": {error}" if isinstance(error, BridgeError) else ""
        raise BridgeError(f"{path} is no plugin of stembridge{reason}") from error


def remove_bundle(path: Path) -> None:
    """Remove a bundle, whole or not at all. Raises BridgeError if StemBridge did not make it, or if that fails."""
    read_bundle(path)
    scratch = path.parent / f".stembridge-{secrets.token_hex(6)}"
    try:
        scratch.mkdir()
        os.rename(path, scratch / "old")
    except OSError as error:
        raise BridgeError(f"cannot remove {path}: {error.strerror}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class TemporaryBundles:
    """The bundles that this process made on the fly, one for each descriptor, in a folder that goes when it ends.

    Safe to use from any thread, and in a forked child, which makes its own.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._owner = 0
        self._folder = Path()
        self._bundles: dict[str, Path] = {}  # by the descriptor's text
        if hasattr(os, "register_at_fork"):  # no child may find it locked by a thread it does not have
            os.register_at_fork(
                before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._lock.release
            )

    def get(self, descriptor: Descriptor) -> Path:
        """The bundle for a descriptor, made if there is none yet or somebody has cleaned it away."""
        text = descriptor.text()
        with self._lock:
            if self._owner != os.getpid() or not self._folder.is_dir():
                self._open_folder()
            bundle = self._bundles.get(text)
            if bundle is None or not (bundle_library(bundle).is_file() and _descriptor_file(bundle).is_file()):
                # Always a new path: who still has an old library loaded would take it for this one.
                folder = self._folder / secrets.token_hex(6)
                folder.mkdir()
                bundle = folder / f"{descriptor.name}.vst3"
                write_bundle(bundle, descriptor)
                self._bundles[text] = bundle
            return bundle

    def _open_folder(self) -> None:
        # Unlike atexit it also acts in the children of multiprocessing, and only in the process that asked for it.
        from multiprocessing.util import Finalize

        _remove_orphans()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self._owner = os.getpid()
        self._bundles.clear()
        Finalize(None, shutil.rmtree, (self._folder, True), exitpriority=-1)


def _remove_orphans() -> None:
    """Remove the folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdecimal() and not _runs(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    return True


temporary_bundles = TemporaryBundles()
