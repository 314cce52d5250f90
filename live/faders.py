"""Faders, mutes and solos in shared memory, where the process that plays reads them."""

from ..core.gains import SILENCE_DB, check_gain_db, check_switch
from ..core.stems import check_stems
from .shared_memory import SharedMemory


class SharedFaders:
    """A fader, a mute and a solo for each stem. Any thread may use them.

    Attributes:
        stems: Names of the stems.
    """

    stems: tuple[str, ...]
    _memory: SharedMemory

    @property
    def gains_db(self) -> dict[str, float]:
        """Gains of the faders, stem to dB."""
        return dict(zip(self.stems, map(float, self._memory.wanted[0]), strict=True))

    @property
    def muted(self) -> tuple[str, ...]:
        """Muted stems."""
        return tuple(stem for stem, on in zip(self.stems, self._memory.wanted[1], strict=True) if on)

    @property
    def soloed(self) -> tuple[str, ...]:
        """Soloed stems; while there are any, all others are silent."""
        return tuple(stem for stem, on in zip(self.stems, self._memory.wanted[2], strict=True) if on)

    def set_gains_db(self, /, **gains_db: float) -> None:
        """Move faders: `set_gains_db(vocals=-6.0)`.

        Args:
            gains_db: Stem to gain in dB, -80 (silence) to 20.

        Raises:
            ValueError: A stem is unknown, or a gain is out of range. No fader has moved then.
        """
        checked = {self._check_stem(s): max(SILENCE_DB, check_gain_db(s, gain)) for s, gain in gains_db.items()}
        for k, gain in checked.items():
            self._memory.wanted[0, k] = gain

    def mute(self, stem: str, on: bool = True) -> None:
        """Mute a stem, or unmute it.

        Args:
            stem: Name of the stem.
            on: Whether to mute it.
        """
        self._memory.wanted[1, self._check_stem(stem)] = check_switch(f"mute of {stem}", on)

    def solo(self, stem: str, on: bool = True) -> None:
        """Solo a stem, or end its solo.

        Args:
            stem: Name of the stem.
            on: Whether to solo it.
        """
        self._memory.wanted[2, self._check_stem(stem)] = check_switch(f"solo of {stem}", on)

    def _check_stem(self, stem: str) -> int:
        """Return the number of a stem. Raises ValueError if it is unknown."""
        check_stems([stem], self.stems)
        return self.stems.index(stem)
