"""The results of a batch, and of each of its songs."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from ..song.level import Level
from ..song.overview import Overview

Outcome = Literal["done", "skipped", "failed", "planned"]


@dataclass(frozen=True)
class SongReport:
    """The result of one song.

    Attributes:
        source: Its path or URL.
        outputs: The files that were or will be written.
        outcome: "done"; "skipped", because an earlier run rendered it and nothing has changed; "failed"; or "planned".
        reason: One line that says why it failed, else "".
        seconds: Length of the song. For a skipped song, this and all that follows are from the earlier run.
        took: Duration of the work, in seconds.
        before: Level of the song.
        after: Level of each output.
        warnings: One line each.
    """

    source: str
    outputs: tuple[str, ...]
    outcome: Outcome
    reason: str = ""
    seconds: float | None = None
    took: float | None = None
    before: Level | None = None
    after: tuple[Level, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the result that `to_dict` stored.

        Args:
            values: What `to_dict` returned.
        """
        lists = {name: tuple(values[name]) for name in ("outputs", "warnings")}
        before = values["before"] and Level(**values["before"])
        return cls(**{**values, **lists, "before": before, "after": tuple(Level(**level) for level in values["after"])})


def _no_overview(song: SongReport) -> Overview | None:
    return None


@dataclass(frozen=True)
class Results:
    """The results of a batch; see `Report` for the fields."""

    songs: tuple[SongReport, ...]
    took: float
    settings: dict[str, Any]
    left_out: tuple[str, ...] = field(default=(), kw_only=True)
    unwritten: str = field(default="", kw_only=True)
    overview: Callable[[SongReport], Overview | None] = field(default=_no_overview, repr=False, compare=False)

    @property
    def done(self) -> tuple[SongReport, ...]:
        """The songs that this run rendered."""
        return self._with("done")

    @property
    def skipped(self) -> tuple[SongReport, ...]:
        """The songs that an earlier run rendered and that have not changed."""
        return self._with("skipped")

    @property
    def failed(self) -> tuple[SongReport, ...]:
        """The songs that could not be rendered, each with its reason."""
        return self._with("failed")

    @property
    def planned(self) -> tuple[SongReport, ...]:
        """The songs that are still to be rendered."""
        return self._with("planned")

    def _with(self, outcome: Outcome) -> tuple[SongReport, ...]:
        return tuple(song for song in self.songs if song.outcome == outcome)
