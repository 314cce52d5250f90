"""The plan of a batch: its songs, the names of their outputs, and which of them are done already."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ...core.errors import OVERWRITE
from ...core.places import is_url
from ..report.results import SongReport
from ..storage import Seen, checksum, join, reason_for, state, states_below, system_of
from .job import Job
from .journal import Entry, Journal, Key, canonical
from .naming import TAGS, song_fields
from .sources import Source, identity

MAX_NUMBER = 10**6  # of a song with the same name as others; the longest number leaves least room for the stem's name


@dataclass
class Planned:
    """A song of a batch.

    Attributes:
        source: The song.
        job: The work on it.
        report: Its state: planned, skipped or failed.
        size: Size of the song in bytes.
        stamp: A text that changes when the song does, see `storage.state`.
        fields: Values of the fields of the name template.
        key: Its key in the journal.
        names: Names of the outputs below the output folder.
        number: Its number among results with the same name.
        may_replace: Whether outputs may exist and be replaced.
    """

    source: Source
    job: Job
    report: SongReport
    size: int = 0
    stamp: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    key: Key = field(default_factory=lambda: Key("", "", ""))
    names: tuple[str, ...] = ()
    number: int = 1
    may_replace: bool = False

    @property
    def settings(self) -> dict[str, object]:
        """All settings that change the result, as JSON values."""
        suffix = self.fields["ext"]
        return {**self.job.settings, **self.job.coding_of(suffix), "format": suffix}

    def named(self, number: int) -> tuple[str, ...]:
        """Return names of the outputs.

        Args:
            number: Number of the result among those with the same name.
        """
        stems = self.job.stems or ("",)
        return tuple(self.job.template.name({**self.fields, "stem": stem}, number) for stem in stems)

    def fail(self, reason: str) -> None:
        """Mark the song as failed.

        Args:
            reason: Why, in one line.
        """
        self.report = replace(self.report, outcome="failed", reason=reason)


def make_plan(
    sources: Iterable[Source], jobs: Iterable[Job], journal: Journal, output: str, *, overwrite: bool
) -> list[Planned]:
    """Return the plan for each song.

    Args:
        sources: The songs.
        jobs: The work on each.
        journal: The open journal.
        output: Path or URL of the output folder.
        overwrite: Replace existing files that the batch did not write, and results with other settings.

    Raises:
        OSError: The output folder cannot be read.
    """
    plan = [
        Planned(source, job, SongReport(source.place, (), "planned")) for source, job in zip(sources, jobs, strict=True)
    ]
    for song in plan:
        _look_at(song)
    readable = [song for song in plan if song.report.outcome != "failed"]
    state_of = states_below(output)
    _name(readable, journal, state_of, overwrite=overwrite)
    songs = {song.source.identity for song in plan}
    for song in readable:
        outputs = tuple(join(output, name) for name in song.names)
        song.report = replace(song.report, outputs=outputs)
        found = {name: seen for name in song.names if (seen := state_of(name))}
        _decide(song, journal, found, output, songs, overwrite)
    return plan


def _look_at(song: Planned) -> None:
    """Find out the name and the state of a song, and whether it exists at all."""
    place = song.source.place
    if song.source.failure:
        return song.fail(song.source.failure)
    try:
        song.size, song.stamp = state(place)
        tags = _tags(place) if song.job.template.fields & set(TAGS) else {}
    except (OSError, ValueError) as error:  # ValueError: a URL that fsspec cannot open
        return song.fail(reason_for(error).removeprefix(place).removeprefix(":").lstrip())
    known = song_fields(place, song.source.folder, tags)
    song.fields = {**known, **song.job.words, "ext": song.job.suffix(place)}
    names = song.named(MAX_NUMBER)
    if len({name.casefold() for name in names}) < len(names):
        return song.fail(f"its stems would have the same name, {song.named(1)[0]}; choose a shorter --name")
    base = song.job.template.name({**song.fields, "stem": "{stem}"})
    song.key = Key(song.source.identity, base, canonical(song.settings))


def _tags(place: str) -> dict[str, list[str]]:
    from ...audio import read_tags

    if not is_url(place):
        with open(place, "rb") as file:
            return read_tags(file)
    system, path = system_of(place)
    with system.open(path, "rb") as file:
        return read_tags(file)


def _name(songs: list[Planned], journal: Journal, state_of: Callable[[str], object | None], *, overwrite: bool) -> None:
    """Give each song output names that no other result has: those of an earlier run, or new ones with a number.

    With `overwrite`, a song may replace its own results with other settings.
    """
    taken = {name.casefold(): key for name, (key, _) in journal.owned.items() if state_of(name)}
    following: dict[str, int] = {}

    def is_free(name: str, key: Key) -> bool:
        owner = taken.get(name, key)
        return owner == key or (overwrite and owner._replace(settings=key.settings) == key)

    def try_number(song: Planned, number: int) -> bool:
        names = song.named(number)
        folded = {name.casefold() for name in names}
        if not all(is_free(name, song.key) for name in folded):
            return False
        taken.update(dict.fromkeys(folded, song.key))
        song.names, song.number = names, number
        return True

    known = [song for song in songs if song.key in journal.entries]
    for song in known:
        try_number(song, journal.entries[song.key].number)
    for song in songs:
        base = song.key.base.casefold()
        while not song.names:
            number = following[base] = following.get(base, 0) + 1
            try_number(song, number)


def _decide(
    song: Planned,
    journal: Journal,
    found: Mapping[str, tuple[int, str]],
    output: str,
    songs: set[str],
    overwrite: bool,
) -> None:
    """Decide whether a song is skipped, planned or failed. `found` are existing outputs, with size and stamp."""
    entry = journal.entries.get(song.key, Entry())
    for name in found:
        place = join(output, name)
        if identity(place) in songs or (not is_url(output) and _same_file(place, song.source.place)):
            return song.fail(f"{place} is also a song of this batch; choose another folder or name for the outputs")

    def is_as_written(name: str, written: Seen | None) -> bool:
        return name in found and written is not None and _is_as_written(join(output, name), found[name], written)

    is_whole = all(is_as_written(name, entry.outputs.get(name)) for name in song.names)
    if is_whole and _unchanged(song, entry) and (earlier := journal.report(entry)):
        song.report = replace(earlier, source=song.source.place, outputs=song.report.outputs, outcome="skipped")
        return
    for name in found:
        owner, written = journal.owned.get(name, (None, None))
        if owner == song.key and (written is None or is_as_written(name, written)):
            continue
        if not overwrite:
            why = "exists already" if owner is None else "was changed after the batch wrote it"
            return song.fail(f"{join(output, name)} {why}; move it away, or {OVERWRITE}")
    song.may_replace = overwrite or bool(found)


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _is_as_written(place: str, found: tuple[int, str], written: Seen) -> bool:
    """Return whether an output is unchanged: by its time, or else by its content; at a URL only by its size."""
    size, stamp = found
    return size == written.size and (is_url(place) or stamp == written.stamp or _has(place, written.checksum))


def _unchanged(song: Planned, entry: Entry) -> bool:
    if entry.song is None or song.size != entry.song.size:
        return False
    place = song.source.place
    return song.stamp == entry.song.stamp or (not is_url(place) and _has(place, entry.song.checksum))


def _has(path: str, known: str) -> bool:
    """Return whether a file has this checksum."""
    try:
        return checksum(path) == known
    except OSError:  # rendering or writing it will fail with the reason
        return False
