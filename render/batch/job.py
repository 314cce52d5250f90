"""Jobs: the checked settings of each song of a batch, including a recipe's overrides for some songs."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar, cast

from ...audio.bitrates import check_bitrate
from ...audio.containers import CONTAINERS, VIDEO_CONTAINERS, kind_of
from ...control import Automation
from ...core.errors import StemBridgeError
from ...core.gains import SILENCE_DB
from ...core.settings import check_key, values_of
from ...core.stems import stem_parts
from ...engine import moves_faders
from ...engine.gains import Faders
from ...models import Model
from ...presets.gains import read_gains
from ..settings import RemixFiles, RemixSettings, SeparateFiles, SeparateSettings, song_keys
from ..song.faders import read_faders
from ..storage import file_name, reason_for
from .globs import matching
from .naming import REMIX_NAME, STEMS_NAME, Template, mix_name
from .sources import STEM_FILE

S = TypeVar("S", RemixFiles, SeparateFiles)
CODING = "bitrate", "encoding_quality"
# Suffix of a song to the default format of its outputs; FLAC for all others.
OWN_FORMATS = {kind: kind.removeprefix(".") for kind in (*CONTAINERS, *VIDEO_CONTAINERS)} | {
    ".wave": "wav", ".aif": "aiff", ".aifc": "aiff", ".oga": "ogg", ".m4b": "m4a", ".aac": "m4a", ".m4v": "m4v",
    ".stem.mp4": "m4a", ".3gp": "mp4",
    ".avi": "mkv", ".ts": "mkv", ".mts": "mkv", ".m2ts": "mkv", ".mpg": "mkv", ".mpeg": "mkv", ".vob": "mkv",
    ".wmv": "mkv", ".flv": "mkv",
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """The work on a song.

    Attributes:
        kind: "remix" or "separate".
        arguments: Arguments of remix_file or separate_file.
        coding: Their arguments for lossy outputs: bitrate, encoding_quality, or neither.
        template: Template of the outputs' names.
        format: Suffix of all outputs without a dot, None for the song's own.
        words: Values of template fields that depend on the job.
        stems: Names of the stems to write; empty for a remix.
        settings: All settings that change the result except coding and format, as JSON values.
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
        """Return the suffix of the outputs for a song, without the dot. Stems of a video are audio files.

        Args:
            source: Path or URL of the song.
        """
        is_video = kind_of(f".{output_format(source)}") in VIDEO_CONTAINERS
        return "m4a" if is_video and self.stems and not self.format else output_format(source, self.format)

    def coding_of(self, suffix: str) -> dict[str, float]:
        """Return the coding of outputs, empty if they are lossless.

        Args:
            suffix: Their suffix, without the dot.
        """
        container = CONTAINERS.get(f".{suffix}")
        return self.coding if container is None or container.is_lossy else {}


def output_format(source: str, format: str | None = None) -> str:
    """Return the format of a remix: by default the song's own, or flac if that cannot be written.

    Args:
        source: Path or URL of the song.
        format: The format that was asked for.
    """
    return format or OWN_FORMATS.get(_own_suffix(source), "flac")


def _own_suffix(source: str) -> str:
    name = file_name(source).lower()
    return STEM_FILE if name.endswith(STEM_FILE) else Path(name).suffix


def make_job(model: Model, settings: RemixFiles | SeparateFiles) -> Job:
    """Return the job of a song.

    Args:
        model: The model that separates it.
        settings: The song's settings.

    Raises:
        ValueError: The settings cannot be used.
        OSError: A file that they name cannot be read.
    """
    return _remix_job(model, settings) if isinstance(settings, RemixFiles) else _stems_job(model, settings)


def _remix_job(model: Model, given: RemixFiles) -> Job:
    preset = given.gains_db if isinstance(given.gains_db, str | os.PathLike) else given.preset
    presets_gains = read_gains(preset, model.card.stems)
    read = read_faders(given)
    automation = cast("Automation | None", read.automation)
    automation_name = None if automation is None else "automation"
    if isinstance(given.automation, str | os.PathLike):
        automation_name = Path(given.automation).stem
    faders = Faders(model.card.stems, 44100, read.gains_db)  # raises ValueError if the gains cannot be used
    if automation is not None:
        automation.starting(faders.gains_db)  # raise or warn once here, not for each song
        automation = automation if moves_faders(automation, faders.gains_db) else None
    template = _template(given, REMIX_NAME)
    if "stem" in template.fields:
        raise StemBridgeError(f"name {given.name!r} contains {{stem}}, but a remix is one file; leave {{stem}} out")
    # All gains of -80 dB and below are silence.
    gains = {stem: max(SILENCE_DB, gain) for stem, gain in faders.gains_db.items()}
    arguments = _without_coding(values_of(replace(read, automation=automation), RemixSettings))
    shaping = {name: value for name, value in arguments.items() if name not in ("preset", "map")}
    shaping["gains_db"] = {stem: gain for stem, gain in gains.items() if gain}
    shaping["automation"] = automation and _digest(automation)
    words = {"preset": mix_name(gains, preset, presets_gains, automation_name), "model": model.card.name}
    settings = {"job": "remix", "model": model.card.sha256, **shaping}
    return Job("remix", arguments, _coding(given), template, given.format, words, (), settings)


def _stems_job(model: Model, given: SeparateFiles) -> Job:
    stems = tuple(stem_parts(model.card.stems, given.stems))
    template = _template(given, STEMS_NAME)
    if "stem" not in template.fields and len(stems) > 1:
        raise StemBridgeError(
            f"name {given.name!r} lacks {{stem}}, so that {len(stems)} stems would have the same name; add {{stem}}"
        )
    arguments = _without_coding(values_of(replace(given, stems=stems), SeparateSettings))
    words = {"preset": "stems", "model": model.card.name}
    settings = {"job": "separate", "model": model.card.sha256, **arguments}
    return Job("separate", arguments, _coding(given), template, given.format, words, stems, settings)


def _without_coding(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name not in CODING}


def _coding(given: RemixFiles | SeparateFiles) -> dict[str, float]:
    """Return the bitrate or encoding_quality that was chosen, or nothing."""
    container = CONTAINERS.get(f".{given.format}")
    is_lossy = container is None or (container.is_lossy and given.sample_format is None)
    check_bitrate(given.bitrate, given.encoding_quality, f".{given.format}", is_lossy=is_lossy)
    chosen = {"bitrate": given.bitrate, "encoding_quality": given.encoding_quality}
    return {name: value for name, value in chosen.items() if value is not None}


def _template(given: RemixFiles | SeparateFiles, default: str) -> Template:
    format, sample_format = given.format, given.sample_format
    if format and sample_format and sample_format not in CONTAINERS[f".{format}"].sample_formats:
        raise StemBridgeError(
            f"{format} files cannot hold {sample_format}; leave that out, or choose another format such as wav"
        )
    return Template(default if given.name is None else given.name)


def _digest(automation: Automation) -> str:
    return hashlib.sha256(json.dumps([automation.unit, *automation.points]).encode()).hexdigest()


def choose(places: Iterable[str], settings: RemixFiles | SeparateFiles, model: Model) -> list[Job]:
    """Return the job of each song: the batch's settings, changed by all overrides that match the song.

    Later overrides override earlier ones. Gains are combined, everything else is replaced.

    Args:
        places: Path or URL of each song.
        settings: The settings of the batch. Each of its overrides has `match`, a glob for a path or the end of one, and
            other values.
        model: The model that separates the songs.

    Raises:
        ValueError: An override has an unknown key or a value that does not work, or matches no song.
    """
    paths = [tuple(place.split("/")) for place in places]
    matched = [_matched(number, override, settings, paths) for number, override in enumerate(settings.overrides, 1)]
    jobs: dict[tuple[int, ...], Job] = {(): make_job(model, settings)}
    chosen = []
    for path in paths:
        fitting = tuple(number for number, found in enumerate(matched) if path in found)
        if fitting not in jobs:
            try:
                joined = reduce(_with_override, (settings.overrides[number] for number in fitting), settings)
                jobs[fitting] = make_job(model, joined)
            except (ValueError, OSError) as error:
                numbers = " and ".join(str(number + 1) for number in fitting)
                raise StemBridgeError(f"override {numbers}: {reason_for(error)}") from error
        chosen.append(jobs[fitting])
    return chosen


def _matched(
    number: int, override: Mapping[str, Any], settings: RemixFiles | SeparateFiles, paths: list[tuple[str, ...]]
) -> set[tuple[str, ...]]:
    """Return the paths of the songs that an override matches."""
    keys = song_keys(type(settings))
    for key in override:
        check_key(key, ("match", *keys), f"override {number}")
    if not isinstance(match := override.get("match"), str) or not match:
        raise StemBridgeError(f"override {number} has no match; add one that names its songs, such as 'live/*.flac'")
    found = matching(match if match.startswith("/") or "://" in match else f"**/{match}", paths)
    if not found:
        bracket = " (in a glob, write [[] for a bracket in a name)" if "[" in match else ""
        line = f"override {number}: {match!r} matches no song (of {len(paths)}); correct it or leave it out"
        raise StemBridgeError(line + bracket)
    return found


def _with_override(settings: S, override: Mapping[str, Any]) -> S:
    new = {key: value for key, value in override.items() if key != "match"}
    if "gains_db" in new and isinstance(settings, RemixFiles):
        new["gains_db"] = {**read_gains(settings.gains_db), **read_gains(new["gains_db"])}
    # normalize and loudness both set the level, and the later one overrides the earlier.
    if new.get("normalize") and "loudness" not in new and isinstance(settings, RemixFiles):
        new["loudness"] = None
    elif "loudness" in new and "normalize" not in new:
        new["normalize"] = False
    # The same is true of bitrate and encoding_quality.
    for name, other in ("bitrate", "encoding_quality"), ("encoding_quality", "bitrate"):
        if name in new:
            new.setdefault(other, None)
    return replace(settings, **new)
