"""The targets of MIDI control: a StemProcessor, or any object whose attributes are its faders."""

import re
from collections.abc import Iterable
from typing import Any

from ..core.errors import ControlError
from ..core.gains import SILENCE_DB
from ..core.protocols import Target
from .mailbox import Key


def state_of(target: Target) -> dict[Key, float | bool]:
    """All faders, mutes and solos: (kind "gain", "mute" or "solo", stem) -> value."""
    return {
        **{("gain", stem): gain for stem, gain in target.gains_db.items()},
        **{("mute", stem): stem in target.muted for stem in target.stems},
        **{("solo", stem): stem in target.soloed for stem in target.stems},
    }


class AttributeFaders:
    """An object's attributes `<stem>_db`, `<stem>_mute` and `<stem>_solo` as a Target.

    Without `<stem>_solo` a solo mutes the other stems; without `<stem>_mute` a mute is -80 dB. stems: those to look
    for if the object has no `stems` that says them. Raises ControlError if there is no `<stem>_db`.
    """

    def __init__(self, target: Any, stems: Iterable[str]) -> None:
        self._target = target
        self._prefixes = {stem: _prefix(target, stem) for stem in getattr(target, "stems", stems)}
        self.stems = tuple(stem for stem in self._prefixes if self._has(stem, "db"))
        if not self.stems:
            wanted = ", ".join(f"{prefix}_db" for prefix in self._prefixes.values())
            raise ControlError(
                f"a {type(target).__name__} has no set_gains_db, and no attribute {wanted or '<stem>_db'}"
            )
        self.muted, self.soloed = (
            {stem for stem in self.stems if self._has(stem, kind) and self._get(stem, kind)}
            for kind in ("mute", "solo")
        )
        self._silent = set(self.muted)
        self._gains_db = self.gains_db

    @property
    def gains_db(self) -> dict[str, float]:
        """Where the faders stand, stem -> dB."""
        return {
            stem: self._gains_db[stem] if self._hides(stem) else float(self._get(stem, "db")) for stem in self.stems
        }

    def set_gains_db(self, **gains_db: float) -> None:
        """Move faders."""
        for stem, gain in gains_db.items():
            self._gains_db[stem] = gain
            if not self._hides(stem):
                self._set(stem, "db", gain)

    def mute(self, stem: str, on: bool = True) -> None:
        """Mute a stem, or end that."""
        (self.muted.add if on else self.muted.discard)(stem)
        self._silence()

    def solo(self, stem: str, on: bool = True) -> None:
        """Solo a stem, or end that."""
        (self.soloed.add if on else self.soloed.discard)(stem)
        if self._has(stem, "solo"):
            self._set(stem, "solo", on)
        else:
            self._silence()

    def _silence(self) -> None:
        """Bring all mutes up to date."""
        solos = {stem for stem in self.soloed if not self._has(stem, "solo")}
        silent = self.muted | (set(self.stems) - solos if solos else set())
        for stem in silent ^ self._silent:
            if self._has(stem, "mute"):
                self._set(stem, "mute", stem in silent)
            else:
                self._set(stem, "db", SILENCE_DB if stem in silent else self._gains_db[stem])
        self._silent = silent

    def _hides(self, stem: str) -> bool:
        """Whether the attribute is at silence and not where the fader stands."""
        return stem in self._silent and not self._has(stem, "mute")

    def _has(self, stem: str, kind: str) -> bool:
        return hasattr(self._target, f"{self._prefixes[stem]}_{kind}")

    def _get(self, stem: str, kind: str) -> Any:
        return getattr(self._target, f"{self._prefixes[stem]}_{kind}")

    def _set(self, stem: str, kind: str, value: float | bool) -> None:
        setattr(self._target, f"{self._prefixes[stem]}_{kind}", value)


def _prefix(target: Any, stem: str) -> str:
    """Return the prefix of a stem's attributes; plugins have no doubled or outer underscores in names."""
    return stem if hasattr(target, f"{stem}_db") else re.sub("_+", "_", stem).strip("_")
