"""What is done to a song of a batch: the arguments of all, what a recipe changes for some, checked before any work."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...audio.bitrates import check_bitrate
from ...audio.containers import CONTAINERS, SAMPLE_BYTES, VIDEO_CONTAINERS, kind_of
from ...control import Automation
from ...control.midifile import has_midi_header
from ...core.gains import SILENCE_DB
from ...core.suggest import did_you_mean
from ...engine import moves_faders
from ...engine.gains import Faders
from ...models import Model
from ...presets import load_preset
from ..song.level import check_loudness
from ..song.song import stem_parts
from ..storage import file_name, one_line
from .globs import matching
from .naming import REMIX_NAME, STEMS_NAME, Template, mix_name
from .sources import STEM_FILE

FORMATS = tuple(kind.removeprefix(".") for kind in CONTAINERS)
OF_BOTH = ("normalize", "name", "format", "bitrate", "encoding_quality", "stream")
OF_A_REMIX = ("gains_db", "preset", "automation", "map", "loudness", *OF_BOTH)
OF_STEMS = ("stems", *OF_BOTH)
# The format of the outputs by the song's suffix, unless one is asked for; flac for all others.
OWN_FORMATS = {kind: kind.removeprefix(".") for kind in (*CONTAINERS, *VIDEO_CONTAINERS)} | {
    ".wave": "wav", ".aif": "aiff", ".aifc": "aiff", ".oga": "ogg", ".m4b": "m4a", ".aac": "m4a", ".m4v": "m4v",
    ".stem.mp4": "m4a",
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """What is done to a song.

    Attributes:
        kind: "remix" or "separate".
        arguments: Of remix_file or separate_file.
        coding: Their arguments for lossy outputs: bitrate, encoding_quality, or neither.
        template: Of the outputs' names.
        format: The suffix of all outputs, None for one like the song's.
        words: What the template says of it.
        stems: A file each; empty for a remix.
        settings: All that shapes the result except coding and format, as JSON has it.
    """

    kind: str
    arguments: dict[str, Any]
    coding: dict[str, float]
    template: Template
    format: str | None
    words: dict[str, str]
    stems: tuple[str, ...]
    settings: dict[str, Any]

    def suffix(self, source: str) -> str:
        """Return the suffix of the outputs for a song, without the dot. Stems of a video are audio files."""
        is_video = kind_of(_own_suffix(source)) in VIDEO_CONTAINERS
        return "m4a" if is_video and self.stems and not self.format else output_format(source, self.format)

    def coding_of(self, suffix: str) -> dict[str, float]:
        """Return the coding of outputs with a suffix, which is empty if they are lossless."""
        container = CONTAINERS.get(f".{suffix}")
        return self.coding if container is None or container.is_lossy else {}


def output_format(source: str, format: str | None = None) -> str:
    """Return the format of the remix of a song: as asked for, else the song's own, or flac if that has no writer."""
    return format or OWN_FORMATS.get(_own_suffix(source), "flac")


def _own_suffix(source: str) -> str:
    name = file_name(source).lower()
    return STEM_FILE if name.endswith(STEM_FILE) else Path(name).suffix


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
        _coding(choices, sample_format),
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
    coding = _coding(choices, sample_format)
    return Job("separate", {"stems": stems, **shaping}, coding, template, choices["format"], words, stems, settings)


def _stream(choices: Mapping[str, Any]) -> dict[str, int]:
    """Return the chosen audio stream, or nothing, so that journals of versions without this choice stay valid."""
    stream = choices["stream"]
    if stream is None:
        return {}
    if isinstance(stream, bool) or not isinstance(stream, int) or stream < 1:
        raise ValueError(f"stream {stream!r} does not work; give a whole number from 1 up")
    return {"stream": stream}


def _coding(choices: Mapping[str, Any], sample_format: str | None) -> dict[str, float]:
    """Return the bitrate or encoding_quality that was chosen, or nothing."""
    bitrate, encoding_quality, format = choices["bitrate"], choices["encoding_quality"], choices["format"]
    container = CONTAINERS.get(f".{format}")
    is_lossy = container is None or (container.is_lossy and sample_format is None)
    check_bitrate(bitrate, encoding_quality, f".{format}", is_lossy=is_lossy)
    return {name: choices[name] for name in ("bitrate", "encoding_quality") if choices[name] is not None}


def _template(choices: Mapping[str, Any], sample_format: str | None, default: str) -> Template:
    format = choices["format"]
    if format is not None and format not in FORMATS:
        raise ValueError(f"format {format!r} cannot be written; choose from {', '.join(FORMATS)}")
    if sample_format is not None and sample_format not in SAMPLE_BYTES:
        raise ValueError(f"sample format {sample_format!r} is unknown; choose from {', '.join(SAMPLE_BYTES)}")
    if format and sample_format and sample_format not in CONTAINERS[f".{format}"].sample_formats:
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
            known = ("match", *choices)
            raise ValueError(
                f"override {number}: unknown key {key!r}{did_you_mean(key, known)}; choose from {', '.join(known)}"
            )
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
        # So does each of these.
        for name, other in ("bitrate", "encoding_quality"), ("encoding_quality", "bitrate"):
            if name in new:
                joined[other] = None
        joined |= new
    return joined
