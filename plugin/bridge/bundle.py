"""Bundles: .vst3 folders with the native shell and the descriptor of a processor."""

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
FOLDER_PREFIX = "stembridge-"  # of this module's temporary folders


def worker_arguments(
    factory: str, kwargs: Mapping[str, Any], parameters: Mapping[str, Parameter | Toggle], folders: Iterable[str]
) -> tuple[str, ...]:
    """Return the command that starts a process for a processor, in this interpreter and any environment.

    Args:
        factory: "package.module:factory".
        kwargs: Arguments of the factory, as JSON values.
        parameters: Declarations by name, in the order of their numbers.
        folders: Folders to import modules from, after the interpreter's own.

    Raises:
        BridgeError: The path of this Python interpreter is not known.
    """
    if not sys.executable:
        raise BridgeError(
            "the path of this Python interpreter is unknown, so that no plugin can start it; run it by path"
        )
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
    """Return the folders from which this process imports modules, for a process that must find the same modules."""
    folders = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]
    return list(dict.fromkeys(folder for folder in folders if os.path.exists(folder)))


def home_folders(package: str) -> list[str]:
    """Return the folders in which a module was found; none if an import hook has mapped it to another name.

    Args:
        package: Name of an imported top-level module or package.
    """
    module = sys.modules[package]
    places = getattr(module, "__path__", None) or [getattr(module, "__file__", None) or ""]
    return [
        os.path.dirname(place) for place in map(os.path.abspath, places) if Path(place).name.split(".")[0] == package
    ]


def require_linux() -> None:
    """Raise BridgeError on systems other than Linux."""
    if sys.platform != "linux":
        raise BridgeError(
            f"VST3 plugins of StemBridge run on Linux only, and this is {platform.system()}; use "
            "stembridge.StemProcessor, remix or separate here"
        )


def shell_library() -> Path:
    """Return the path of the native shell.

    Raises:
        BridgeError: It was not built, or this is not Linux.
    """
    require_linux()
    for suffix in EXTENSION_SUFFIXES:
        library = HERE / f"_shell{suffix}"
        if library.is_file():
            return library
    raise BridgeError(
        "the native part of the plugin was not built; install a C++ compiler (Debian: apt install g++), "
        "then: pip install --force-reinstall --no-deps stembridge, or in a clone: pip install -e . again"
    )


def bundle_library(bundle: Path) -> Path:
    """Return the path of a bundle's copy of the shell.

    Args:
        bundle: Path of the bundle.
    """
    return bundle / "Contents" / f"{platform.machine()}-linux" / f"{bundle.stem}.so"


def _descriptor_file(bundle: Path) -> Path:
    return bundle / "Contents" / "Resources" / "descriptor.txt"


def write_bundle(path: str | os.PathLike[str], descriptor: Descriptor) -> None:
    """Write a bundle, whole or not at all. An existing bundle of StemBridge is replaced.

    Args:
        path: Path that ends in .vst3.
        descriptor: The processor.

    Raises:
        BridgeError: The path has another suffix, something else exists there, the bundle cannot be written, or the
            shell was not built.
    """
    path = Path(os.path.abspath(path))
    if path.suffix != ".vst3":
        raise BridgeError(f"{path} does not end in .vst3, as hosts require; rename it")
    library = shell_library()
    if os.path.lexists(path):
        read_bundle(path)
    scratch = path.parent / f".stembridge-{secrets.token_hex(6)}"
    new, old = scratch / "new", scratch / "old"  # hosts do not find these, because they do not end in .vst3
    copy = new / bundle_library(path).relative_to(path)
    try:
        copy.parent.mkdir(parents=True)
        shutil.copyfile(library, copy)  # not a link, because a process loads each library file only once
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
    """Return the descriptor of a bundle.

    Args:
        path: Path of the bundle.

    Raises:
        BridgeError: It does not exist, or was not made by StemBridge.
    """
    path = Path(path)
    if not os.path.lexists(path):
        raise BridgeError(f"{path} does not exist; `stembridge vst3 list` shows installed bundles")
    try:
        return parse_descriptor(_descriptor_file(path).read_text("utf-8", "surrogateescape"))
    except (OSError, LookupError, TypeError, ValueError) as error:
        reason = f": {error}" if isinstance(error, BridgeError) else ""
        raise BridgeError(f"{path} was not made by StemBridge{reason}; choose another path") from error


def remove_bundle(path: Path) -> None:
    """Remove a bundle, whole or not at all.

    Args:
        path: Path of the bundle.

    Raises:
        BridgeError: StemBridge did not make it, or it cannot be removed.
    """
    read_bundle(path)
    scratch = path.parent / f".stembridge-{secrets.token_hex(6)}"
    try:
        scratch.mkdir()
        os.rename(path, scratch / "old")
    except OSError as error:
        raise BridgeError(f"cannot remove {path}: {error.strerror}; check the permissions of its folder") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class TemporaryBundles:
    """Bundles of this process, one for each descriptor, in a folder that is deleted when the process ends.

    They may be used from any thread. A forked child makes its own.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._owner = 0
        self._folder = Path()
        self._bundles: dict[str, Path] = {}  # by the descriptor's text
        if hasattr(os, "register_at_fork"):  # otherwise a child could find it locked by a thread that it does not have
            os.register_at_fork(
                before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._lock.release
            )

    def get(self, descriptor: Descriptor) -> Path:
        """Return the path of the bundle for a descriptor. If it does not exist, or was deleted, make it.

        Args:
            descriptor: The processor.

        Raises:
            BridgeError: The bundle cannot be written, or the shell was not built.
        """
        text = descriptor.text()
        with self._lock:
            if self._owner != os.getpid() or not self._folder.is_dir():
                self._open_folder()
            bundle = self._bundles.get(text)
            if bundle is None or not (bundle_library(bundle).is_file() and _descriptor_file(bundle).is_file()):
                # Always a new path, because a process that still has the old library loaded would use that one.
                folder = self._folder / secrets.token_hex(6)
                folder.mkdir()
                bundle = folder / f"{descriptor.name}.vst3"
                write_bundle(bundle, descriptor)
                self._bundles[text] = bundle
            return bundle

    def _open_folder(self) -> None:
        # Unlike atexit, it also works in children of multiprocessing, and only in the process that called it.
        from multiprocessing.util import Finalize

        _remove_orphans()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-"))
        self._owner = os.getpid()
        self._bundles.clear()
        Finalize(None, shutil.rmtree, (self._folder, True), exitpriority=-1)


def _remove_orphans() -> None:
    """Remove the folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*-*"):
        owner = folder.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if owner.isdecimal() and not _runs(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's process
        pass
    return True


temporary_bundles = TemporaryBundles()
