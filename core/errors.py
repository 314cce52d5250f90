"""The errors that StemBridge raises if it cannot use something that a user gave, and errors as one line."""

import errno
import os

TOGETHER = (
    "process, separate or reset was called before an earlier call had returned, by a callback, an effect or another "
    "thread, so the stream starts afresh; call them one after another"
)
OVERWRITE = "overwrite it with --force (in Python, overwrite=True)"
# Remedies for errors of files, by their numbers.
_FILE_REMEDIES = {
    errno.ENOENT: "check the name",
    errno.ENOTDIR: "check the name",
    errno.EISDIR: "name a file",
    errno.EACCES: "check its permissions, and its folder's",
    errno.EPERM: "check its permissions, and its folder's",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "the link leads back to itself; name the file itself",
    errno.ENOSPC: "make room or choose another folder",
    errno.EDQUOT: "make room or choose another folder",
    errno.EFBIG: "make room or choose another folder",
}
# Errors of stdout, which have no file name; those of files were given one.
_STDOUT_ERRORS = errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO


class StemBridgeError(ValueError):
    """The base of StemBridge's errors. Its text is one line that names the thing, the value and a remedy."""


class AudioError(StemBridgeError):
    """A file cannot be read or written as audio."""


class ModelError(StemBridgeError):
    """A model cannot be used."""


class PresetError(StemBridgeError):
    """A preset cannot be used."""


class ControlError(StemBridgeError):
    """An automation, a MIDI map or a MIDI port cannot be used."""


class LiveError(StemBridgeError):
    """Live audio cannot be started, or has failed."""


class DataError(StemBridgeError):
    """Training material cannot be used."""


class BridgeError(StemBridgeError):
    """A VST3 bundle cannot be made, installed or used."""


class StateError(StemBridgeError, RuntimeError):
    """An object is not in a state in which it can do this."""


def file_reason(error: OSError) -> str:
    """Return why a file cannot be used, and what to do.

    >>> file_reason(PermissionError(errno.EACCES, "Permission denied", "song.wav"))
    "Permission denied; check its permissions, and its folder's"
    """
    if error.errno == errno.ENOENT and error.filename and os.path.islink(error.filename):
        return "it is a link to a file that does not exist; mend the link, or name the file itself"
    return "; ".join(filter(None, [error.strerror or str(error), _FILE_REMEDIES.get(error.errno or 0)]))


def is_of_stdout(error: Exception) -> bool:
    """Return whether the cause of an error is that stdout cannot be written."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _STDOUT_ERRORS


def one_line(error: BaseException) -> str:
    """Return the text of an error in one line."""
    return " ".join(str(error).split())


def error_text(error: BaseException) -> str:
    """Return the type and the text of an error in one line."""
    text = one_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
