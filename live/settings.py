"""The settings of live audio: the input, the output, and how to play."""

import math
import numbers
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..audio import open_audio
from ..audio.decode import check_regular
from ..audio.playlists import PLAYLISTS, playlist_entries
from ..audio.reader import check_channels
from ..core.atomic import hidden_path
from ..core.errors import LiveError
from ..core.gains import SILENCE_DB, check_gain_db
from ..core.places import is_url
from ..core.stems import check_stems
from ..engine.processor import MAX_RATE_HZ, MIN_RATE_HZ
from ..models import load_model
from ..presets.gains import Gains, read_gains
from .drivers import check_driver
from .sources_sinks import SUFFIXES

DEFAULT_RATE_HZ = 44100  # if no song has another
BLOCK_RANGE = 16, 16384  # samples, minimum and maximum
NONE = "none"
LOCAL_ONLY = "live audio plays only files of this machine"

# A device, a song or a playlist, a list of those two, "none", or None for the default device.
Input = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None


@dataclass(frozen=True)
class Settings:
    """All settings of the process that plays.

    Attributes:
        model: Path of the model.
        input: Name of a device or a part of it, None for the default device or several songs; else a song or "none".
        input_kind: "device", "file" or "none".
        songs: Paths of the songs, empty if `input_kind` is not "file".
        stream: Number of the songs' audio stream, from 1; None for the default one.
        output: Name of a device or a part of it, None for the default device; else a file or "none".
        output_kind: "device", "file" or "none".
        overwrite: Replace an existing output file at the end.
        part: Path of the output file until it is complete, "" if the output is not a file.
        sample_rate: In Hz.
        num_channels: 1 or 2.
        block: Samples in a block.
        gains_db: Gains at the start, for all stems in their order.
        length: Samples to play, None for no end.
        driver: Driver of the devices.
        realtime: If False, play as fast as possible.
    """

    model: str
    input: str | None
    input_kind: str
    songs: tuple[str, ...]
    stream: int | None
    output: str | None
    output_kind: str
    overwrite: bool
    part: str
    sample_rate: int
    num_channels: int
    block: int
    gains_db: dict[str, float]
    length: int | None
    driver: str | None
    realtime: bool


def checked_settings(
    input: Input,
    stream: int | None,
    output: str | os.PathLike[str] | None,
    overwrite: bool,
    model: str | os.PathLike[str],
    sample_rate: int | None,
    block: int,
    gains_db: Gains | None,
    preset: str | os.PathLike[str] | None,
    seconds: float | None,
    driver: str | None,
    realtime: bool,
    report: Callable[[str], None],
) -> Settings:
    """Check the arguments of `Live`, and return them as settings.

    Args:
        input: See `Live`, like all except the last.
        stream: Number of the audio stream.
        output: Where the sound goes.
        overwrite: Replace an existing file.
        model: Name or path.
        sample_rate: In Hz.
        block: Samples in a block.
        gains_db: Gains at the start.
        preset: Gains that `gains_db` overrides.
        seconds: How long to play.
        driver: Driver of the devices.
        realtime: Play in real time.
        report: Called with a line about each entry of a playlist that cannot be played.

    Raises:
        LiveError: The input, the output or a setting cannot be used.
        ModelError: The model cannot be used.
        ValueError: A gain or a song cannot be used.
        OSError: A song cannot be read.
    """
    loaded = load_model(model)
    if not loaded.card.realtime:
        raise LiveError(f"model {loaded.card.name} is for files only; for live audio use a streaming one, like `live`")
    several = input is not None and not isinstance(input, str | os.PathLike)
    inputs = [_name("input", one) for one in _listed(input)]
    sink = None if output is None else _name("output", output)
    for end, name in *(("input", name) for name in inputs), ("output", sink):
        if name == "":
            raise LiveError(f"the {end} is empty; name a device or a file, give `none`, or leave it out")
    output_kind = _kind(sink, _names_file)
    source = None if several or not inputs else inputs[0]
    input_kind = "file" if several else _kind(source, _names_songs)
    songs = _songs(inputs, report) if input_kind == "file" else ()
    if sink and output_kind == "file" and any(_same(song, sink) for song in songs):
        raise LiveError(f"{sink} is the song itself; choose another name for the output")
    if stream is not None and not isinstance(stream, int):
        raise LiveError(f"stream {stream!r} does not work; give its number, from 1")
    if stream is not None and input_kind != "file":
        raise LiveError(
            f"stream {stream} works only with an audio file; give a file as the input, or leave the stream out"
        )
    sample_rate = None if sample_rate is None else _whole("sample rate", sample_rate, "Hz")
    block = _whole("block", block, "samples")
    num_channels, own_rate = 2, None
    if songs:
        num_channels, own_rate = _format(songs[0], stream)
        if len(songs) > 1:
            num_channels = 2
    rate = next(rate for rate in (sample_rate, own_rate, DEFAULT_RATE_HZ) if rate is not None)
    if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        raise LiveError(f"sample rate {rate} Hz is out of range; give {MIN_RATE_HZ} to {MAX_RATE_HZ}")
    if not BLOCK_RANGE[0] <= block <= BLOCK_RANGE[1]:
        raise LiveError(f"block of {block} samples is out of range; give {BLOCK_RANGE[0]} to {BLOCK_RANGE[1]}")
    if seconds is not None and not (isinstance(seconds, numbers.Real) and 0 < seconds < math.inf):
        raise LiveError(f"{seconds!r} seconds cannot be played; give more than 0, or leave it out for no end")
    if driver is not None or "device" in (input_kind, output_kind):  # a driver, even if no device is used
        check_driver(driver)
    if not realtime and "device" in (input_kind, output_kind):
        raise LiveError("realtime=False works only without devices; give files or `none` as input and output")
    part = ""
    if sink is not None and output_kind == "file":
        try:
            part = str(hidden_path(sink, Path(sink).suffix.lower()))
        except OSError as error:
            raise LiveError(f"{sink} cannot be written: {error.strerror}; choose another name") from error
    gains = dict.fromkeys(loaded.card.stems, 0.0)
    given = read_gains(gains_db, gains, preset)
    check_stems(given, gains)
    for stem, gain in given.items():
        gains[stem] = max(SILENCE_DB, check_gain_db(stem, gain))
    return Settings(
        model=os.path.abspath(loaded.path),
        input=source,
        input_kind=input_kind,
        songs=songs,
        stream=stream,
        output=sink,
        output_kind=output_kind,
        overwrite=overwrite,
        part=part,
        sample_rate=rate,
        num_channels=num_channels,
        block=block,
        gains_db=gains,
        length=None if seconds is None else max(1, round(seconds * rate)),
        driver=driver,
        realtime=realtime,
    )


def _whole(name: str, value: Any, unit: str) -> int:
    with suppress(TypeError, ValueError, OverflowError):
        if int(value) == value:
            return int(value)
    raise LiveError(f"{name} {value!r} does not work; give a whole number of {unit}")


def _listed(input: Input) -> Iterable[Any]:
    if input is None:
        return []
    return input if isinstance(input, Iterable) and not isinstance(input, str | bytes) else [input]


def _name(end: str, value: Any) -> str:
    """Return the text that names a device, a file or "none"."""
    if isinstance(value, str | os.PathLike) and isinstance(name := os.fspath(value), str) and "\0" not in name:
        return name
    raise LiveError(f"the {end} {value!r} does not work; name a device or a file, or give `none`")


def _kind(end: str | None, is_file: Callable[[str], bool]) -> str:
    if end == NONE:
        return NONE
    return "file" if end is not None and is_file(end) else "device"


def _songs(inputs: Sequence[str], report: Callable[[str], None]) -> tuple[str, ...]:
    """Return the paths of the songs: files, and entries of playlists. Raises LiveError, ValueError or OSError."""
    songs = []
    for name in inputs:
        if not name.lower().endswith(PLAYLISTS):
            songs.append(name)
            continue
        entries = list(playlist_entries(name, Path(name).read_bytes()))
        for line, place, why in entries:
            if why or is_url(place):
                report(f"{name}, line {line}: {place}: {why or LOCAL_ONLY}")
            else:
                songs.append(place)
    for song in songs:
        if is_url(song):
            raise LiveError(f"{song}: {LOCAL_ONLY}; download it first")
        if os.path.isdir(song):
            raise LiveError(f"{song}: is a folder; name the songs in it")
        if not os.path.exists(song):
            raise LiveError(f"{song}: no such file; check the name")
        check_regular(Path(song))
    if not songs:
        names = f"{', '.join(inputs)}: " if inputs else ""
        raise LiveError(f"{names}no song to play; give audio files, or playlists that contain some")
    return tuple(songs)


def _same(source: str, sink: str) -> bool:
    return os.path.exists(source) and os.path.exists(sink) and os.path.samefile(source, sink)


def _names_file(end: str) -> bool:
    return Path(end).suffix.lower() in SUFFIXES


def _names_songs(end: str) -> bool:  # so that a misspelt file name is reported as a missing file, not as a device
    return os.path.exists(end) or _names_file(end) or end.lower().endswith(PLAYLISTS)


def _format(path: str, stream: int | None) -> tuple[int, int]:
    """Return a song's number of channels and its sample rate."""
    with open_audio(path, stream) as song:
        check_channels(song.path, song.num_channels)
        return song.num_channels, song.sample_rate
