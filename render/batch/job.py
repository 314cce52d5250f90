"""What is done to a song of a batch: the arguments of all, what a recipe changes for some, checked before any work."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...control import Automation
from ...control.midifile import has_midi_header
from ...core.gains import SILENCE_DB
from ...engine import moves_faders
from ...engine.gains import Faders
from ...models import Model
from ...presets import load_preset
from ..song.level import check_loudness
from ..song.song import stem_parts
from ..storage import file_name, one_line
from .globs import matching
from .naming import REMIX_NAME, STEMS_NAME, Template, mix_name

FORMATS = ("wav", "flac", "mp3", "ogg")
HAS_BITS = {"wav": ("int16", "int24", "float32"), "flac": ("int16", "int24")}
OF_A_REMIX = ("gains_db", "preset", "automation", "map", "normalize", "loudness", "name", "format", "stream")
OF_STEMS = ("stems", "normalize", "name", "format", "stream")


@dataclass(frozen=True)
class Job:
    """What is done to a song.

    kind: "remix" or "separate". arguments: of remix_file or separate_file. template: of the outputs' names. format: the
    suffix of all outputs, None for one like the song's. words: what the template says of it. stems: a file each, none
    for a remix. settings: all that shapes the result but the format, as JSON has it.
    """

    kind: str
    arguments: dict[str, Any]
    template: Template
    format: str | None
    words: dict[str, str]
    stems: tuple[str, ...]
    settings: dict[str, Any]

    def suffix(self, source: str) -> str:
        """Of the outputs for a song, without the dot: where none is asked for the song's own, else flac."""
        own = Path(file_name(source)).suffix.lower()
        return self.format or {".wav": "wav", ".wave": "wav", ".mp3": "mp3", ".ogg": "ogg", ".oga": "ogg"}.get(
            own, "flac"
        )


def remix_job(model: Model, choices: Mapping[str, Any], sample_format: str | None) -> Job:
    """choices: those OF_A_REMIX, as remix_files takes them. Raises ValueError (one line)."""
    preset = choices["preset"]
    presets_gains = load_preset(preset) if preset is not None else {}
    if unknown := [stem for stem in presets_gains if stem not in model.card.stems]:
        stems = ", ".join(model.card.stems)
        raise ValueError(f"preset {str(preset)!r} moves {unknown[0]!r}, and this model's stems are {stems}")
    gains_db = {**presets_gains, **(choices["gains_db"] or {})}
    automation = choices["automation"]
    ride = None if automation is None else "automation"
    if isinstance(automation, str | os.PathLike):
        ride = Path(automation).stem
        automation = read_automation(automation, choices["map"], gains_db)
    faders = Faders(model.card.stems, 44100, gains_db)  # raises what is wrong with them
    if automation is not None:
        automation.starting(faders.gains_db)  # raise or warn once here, not for each song
        automation = automation if moves_faders(automation, faders.gains_db) else None
    check_loudness(choices["loudness"], normalize=choices["normalize"])
    template = _template(choices, sample_format, REMIX_NAME)
    if "stem" in template.fields:
        raise ValueError(f"name {choices['name']!r} has {{stem}}, and a remix is one file; leave it out")
    shaping = {name: choices[name] for name in ("normalize", "loudness")} | {"sample_format": sample_format}
    # All gains of -80 dB and below are silence.
    gains = {stem: max(SILENCE_DB, gain) for stem, gain in faders.gains_db.items()}
    moved = {stem: gain for stem, gain in gains.items() if gain != max(SILENCE_DB, presets_gains.get(stem, 0.0))}
    preset_name = None if preset is None else Path(preset).name.removesuffix(".json")
    stream = _stream(choices)
    return Job(
        "remix",
        {"gains_db": gains_db, "automation": automation, **shaping, **stream},
        template,
        choices["format"],
        {"preset": mix_name(moved, preset_name, ride), "model": model.card.name},
        (),
        {
            "job": "remix",
            "model": model.card.sha256,
            "gains_db": {stem: gain for stem, gain in gains.items() if gain},
            "automation": automation and _digest(automation),
            **shaping,
            **stream,
        },
    )


def stems_job(model: Model, choices: Mapping[str, Any], sample_format: str | None) -> Job:
    """choices: those OF_STEMS, as separate_files takes them. Raises ValueError (one line)."""
    stems = tuple(stem_parts(model.card.stems, choices["stems"]))
    template = _template(choices, sample_format, STEMS_NAME)
    if "stem" not in template.fields and len(stems) > 1:
        raise ValueError(f"name {choices['name']!r} has no {{stem}}, and {len(stems)} stems would be one file; add it")
    shaping = {"normalize": choices["normalize"], "sample_format": sample_format, **_stream(choices)}
    words = {"preset": "stems", "model": model.card.name}
    settings = {"job": "separate", "model": model.card.sha256, "stems": stems, **shaping}
    return Job("separate", {"stems": stems, **shaping}, template, choices["format"], words, stems, settings)


def _stream(choices: Mapping[str, Any]) -> dict[str, int]:
    """Return the chosen audio stream, or nothing, so that journals of versions without this choice stay valid."""
    stream = choices["stream"]
    if stream is None:
        return {}
    if isinstance(stream, bool) or not isinstance(stream, int) or stream < 1:
        raise ValueError(f"stream {stream!r} does not work; give a whole number from 1 up")
    return {"stream": stream}


def _template(choices: Mapping[str, Any], sample_format: str | None, default: str) -> Template:
    format = choices["format"]
    if format is not None and format not in FORMATS:
        raise ValueError(f"format {format!r} cannot be written; choose from {', '.join(FORMATS)}")
    if sample_format is not None and sample_format not in HAS_BITS["wav"]:
        raise ValueError(f"sample format {sample_format!r} is unknown; choose from {', '.join(HAS_BITS['wav'])}")
    if format and sample_format and sample_format not in HAS_BITS.get(format, ()):
        raise ValueError(
            f"{format} files cannot be {sample_format}; leave that out or choose another format, such as wav"
        )
    return Template(default if choices["name"] is None else choices["name"])


def read_automation(path: str | os.PathLike[str], midi_map: Any, gains_db: Mapping[str, float]) -> Automation:
    """A .csv file, or a MIDI file read through a map, from where the faders stand. Raises ControlError."""
    return Automation.from_midi(path, midi_map, gains_db=gains_db) if is_midi(path) else Automation.from_csv(path)


def is_midi(path: str | os.PathLike[str]) -> bool:
    """Whether an automation is a MIDI file: by its name, and where that says nothing by its first bytes."""
    if (suffix := Path(path).suffix.lower()) in (".csv", ".mid", ".midi"):
        return suffix != ".csv"
    with open(path, "rb") as file:
        return has_midi_header(file.read(12))


def _digest(automation: Automation) -> str:
    return hashlib.sha256(json.dumps([automation.unit, *automation.points]).encode()).hexdigest()


def choose(
    places: Iterable[str],
    choices: Mapping[str, Any],
    overrides: Sequence[Mapping[str, Any]],
    treat: Callable[[Mapping[str, Any]], Job],
) -> list[Job]:
    """The job of each song: the choices of all, and above them what the overrides that match it choose.

    overrides: each with `match`, a glob of a path or of its end, and any of the choices; later ones count more. Faders
    are combined, all else is replaced. Raises ValueError for an unknown key, or a `match` that fits no song.
    """
    paths = [tuple(place.split("/")) for place in places]
    matched = [_matched(number, override, choices, paths) for number, override in enumerate(overrides, 1)]
    jobs: dict[tuple[int, ...], Job] = {(): treat(choices)}
    chosen = []
    for path in paths:
        fitting = tuple(number for number, found in enumerate(matched) if path in found)
        if fitting not in jobs:
            try:
                jobs[fitting] = treat(_joined(choices, [overrides[number] for number in fitting]))
            except (ValueError, OSError) as error:
                of = " and ".join(str(number + 1) for number in fitting)
                raise ValueError(f"override {of}: {one_line(error)}") from error
        chosen.append(jobs[fitting])
    return chosen


def _matched(
    number: int, override: Mapping[str, Any], choices: Mapping[str, Any], paths: list[tuple[str, ...]]
) -> set[tuple[str, ...]]:
    """Return the paths of the songs that an override fits."""
    for key in override:
        if key != "match" and key not in choices:
            raise ValueError(f"override {number}: unknown key {key!r}; choose from match, {', '.join(choices)}")
    if not isinstance(match := override.get("match"), str) or not match:
        raise ValueError(f"override {number} has no match, which says for what songs it is, such as 'live/*.flac'")
    found = matching(match if match.startswith("/") or "://" in match else f"**/{match}", paths)
    if not found:
        bracket = " (in a glob, write [[] for a bracket in a name)" if "[" in match else ""
        line = f"override {number}: {match!r} matches none of the {len(paths)} songs; correct it or leave it out"
        raise ValueError(line + bracket)
    return found


def _joined(choices: Mapping[str, Any], overrides: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    joined = dict(choices)
    for override in overrides:
        new = {key: value for key, value in override.items() if key != "match"}
        if "gains_db" in new:
            new["gains_db"] = {**(joined["gains_db"] or {}), **new["gains_db"]}
        # Each of these sets the level, and the later one counts.
        if new.get("normalize"):
            joined["loudness"] = None
        elif "loudness" in new:
            joined["normalize"] = False
        joined |= new
    return joined
