"""Targets of MIDI control: a StemProcessor, or any object whose attributes are its faders."""

from collections.abc import Iterable
from typing import Any

from ..core.errors import ControlError
from ..core.gains import SILENCE_DB
from ..core.protocols import Target
from ..core.stems import parameter_prefix, silenced
from .mailbox import Key


def state_of(target: Target) -> dict[Key, float | bool]:
    """Return the state of all faders, mutes and solos.

    Args:
        target: The target.

    Returns:
        ("gain", "mute" or "solo", stem) to gain in dB or bool.
    """
    return {
        **{("gain", stem): gain for stem, gain in target.gains_db.items()},
        **{("mute", stem): stem in target.muted for stem in target.stems},
        **{("solo", stem): stem in target.soloed for stem in target.stems},
    }


class AttributeFaders:
    """Makes a Target of an object's attributes `<stem>_db`, `<stem>_mute` and `<stem>_solo`.

    If there is no `<stem>_solo`, a solo mutes the other stems. If there is no `<stem>_mute`, a mute sets `<stem>_db` to
    -80.

    Args:
        target: The object.
        stems: Names of stems to look for, if the object has no attribute `stems`.

    Raises:
        ControlError: The object has no attribute `<stem>_db`.
    """

    def __init__(self, target: Any, stems: Iterable[str]) -> None:
        self._target = target
        self._prefixes = {stem: _prefix(target, stem) for stem in getattr(target, "stems", stems)}
        self.stems = tuple(stem for stem in self._prefixes if self._has(stem, "db"))
        if not self.stems:
            wanted = ", ".join(f"{prefix}_db" for prefix in self._prefixes.values())
            raise ControlError(
                f"the target, of type {type(target).__name__}, has no set_gains_db, "
                f"and no attribute {wanted or '<stem>_db'}"
            )
        self.muted, self.soloed = (
            {stem for stem in self.stems if self._has(stem, kind) and self._get(stem, kind)}
            for kind in ("mute", "solo")
        )
        self._silent = set(self.muted)
        self._gains_db = self.gains_db

    @property
    def gains_db(self) -> dict[str, float]:
        """Positions of the faders, stem to dB."""
        return {
            stem: self._gains_db[stem] if self._hides(stem) else float(self._get(stem, "db")) for stem in self.stems
        }

    def set_gains_db(self, /, **gains_db: float) -> None:
        """Move faders, as in `set_gains_db(vocals=-6.0)`."""
        for stem, gain in gains_db.items():
            self._gains_db[stem] = gain
            if not self._hides(stem):
                self._set(stem, "db", gain)

    def mute(self, stem: str, on: bool = True) -> None:
        """Mute a stem, or unmute it with `on=False`."""
        (self.muted.add if on else self.muted.discard)(stem)
        self._silence()

    def solo(self, stem: str, on: bool = True) -> None:
        """Solo a stem, or end its solo with `on=False`."""
        (self.soloed.add if on else self.soloed.discard)(stem)
        if self._has(stem, "solo"):
            self._set(stem, "solo", on)
        else:
            self._silence()

    def _silence(self) -> None:
        """Set the attributes of all stems whose silence has changed."""
        solos = {stem for stem in self.soloed if not self._has(stem, "solo")}
        silent = silenced(self.stems, self.muted, solos)
        for stem in silent ^ self._silent:
            if self._has(stem, "mute"):
                self._set(stem, "mute", stem in silent)
            else:
                self._set(stem, "db", SILENCE_DB if stem in silent else self._gains_db[stem])
        self._silent = silent

    def _hides(self, stem: str) -> bool:
        """Return whether `<stem>_db` is at silence because of a mute or solo, and so does not show the fader."""
        return stem in self._silent and not self._has(stem, "mute")

    def _has(self, stem: str, kind: str) -> bool:
        return hasattr(self._target, f"{self._prefixes[stem]}_{kind}")

    def _get(self, stem: str, kind: str) -> Any:
        return getattr(self._target, f"{self._prefixes[stem]}_{kind}")

    def _set(self, stem: str, kind: str, value: float | bool) -> None:
        setattr(self._target, f"{self._prefixes[stem]}_{kind}", value)


def _prefix(target: Any, stem: str) -> str:
    """Return the prefix of a stem's attributes: its name or, as in plugins, its `parameter_prefix`."""
    return stem if hasattr(target, f"{stem}_db") else parameter_prefix(stem)
