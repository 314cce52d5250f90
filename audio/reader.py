"""The base class of all readers of audio files."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from ..core.errors import AudioError
from ..core.gains import MAX_MUSIC
from .coded import CODED_ERROR, PROBED_BYTES, is_coded

if TYPE_CHECKING:
    from .convert import Unifier

_MAX_OUTLIER_SHARE = 0.01  # in files of unscaled integers, a larger share of the samples is above MAX_MUSIC
_MAX_INTEGER = 2.0**31  # unscaled integers are never above this


@dataclass
class _Odd:
    """Invalid samples of one kind: their number, and the value and position in frames of the first."""

    count: int = 0
    first: tuple[float, int] = (0.0, 0)

    def add(self, piece: np.ndarray, odd: np.ndarray, start: int) -> None:
        """Count invalid samples.

        Args:
            piece: Samples, (channels, n).
            odd: Whether each sample is invalid, (channels, n).
            start: Position of the first sample, in frames.
        """
        if not self.count:
            frame = int(odd.any(axis=0).argmax())
            self.first = float(piece[int(odd[:, frame].argmax()), frame]), start + frame
        self.count += int(odd.sum())


def check_channels(path: Path, num_channels: int) -> None:
    """Check that audio is mono or stereo.

    Args:
        path: The file.
        num_channels: Its number of channels.

    Raises:
        AudioError: It has more than two channels.
    """
    if num_channels > 2:
        raise AudioError(
            f"{path} has {num_channels} channels, but StemBridge works with mono and stereo only; "
            "mix it down first, for example: ffmpeg -i SONG -ac 2 stereo.wav"
        )


class AudioReader(ABC):
    """Reads an audio file in constant memory; a context manager.

    Args:
        path: The file.

    Attributes:
        path: The file, as given.
        sample_rate: In Hz.
        num_channels: 1 or more.
        num_frames: Number of samples per channel: exact if the file says it, otherwise an estimate, or None.
        sample_format: "int16", "int24", "float32" (also for 32-bit integers and 64-bit floats) or "lossy".
        stream_note: One line about the default choice among several audio streams, or None.
        warning: One line about faults of the file, or None. It is set once all blocks are read.
        outliers: A clause about a few samples far above full scale, or None. It is set once all blocks are read.
    """

    path: Path
    sample_rate: int
    num_channels: int
    num_frames: int | None
    sample_format: str
    stream_note: str | None = None
    warning: str | None = None
    outliers: str | None = None

    # Facts for the warning, which readers collect.
    _promised: int | None = None  # frames that the file's header declares
    _tolerance: int = 0  # frames by which a sound file may be shorter than that
    _damaged: bool = False
    _filled: int = 0  # frames of silence in place of missing sound
    _started: bool = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._notes: list[str] = []  # more clauses of the warning
        self._gaps: list[int] = []  # positions of silence in place of missing sound, in frames
        self._invalid, self._loud = _Odd(), _Odd()
        self._peak = 0.0
        self._head = b""  # the first samples that are not silent, as 16-bit integers

    def expect(self, num_frames: int) -> None:
        """Expect a number of frames, and warn at the end if fewer were read.

        Args:
            num_frames: Number of frames that the file's header declares.
        """
        self._promised = max(self._promised or 0, num_frames)

    def _choose_stream(self, number: int | None, names: Sequence[str], default: int = 1) -> int:
        """Choose the stream to read, and set `stream_note` if there are several and the user chose none.

        Args:
            number: Number of the stream that the user chose, from 1, or None.
            names: Description of each audio stream.
            default: Number of the stream to read if the user chose none, from 1.

        Returns:
            Number of the stream, from 1.

        Raises:
            AudioError: There is no such stream.
        """
        listed = ", ".join(f"{i} ({name})" for i, name in enumerate(names, 1))
        if number is not None and not 1 <= number <= len(names):
            there = "it has one, stream 1" if len(names) == 1 else f"choose from {listed}"
            raise AudioError(f"{self.path} has no audio stream {number}; {there}")
        if number is None and len(names) > 1:
            self.stream_note = (
                f"{self.path} has {len(names)} audio streams: {listed}; "
                f"stream {default} is used; choose another with --stream"
            )
        return number or default

    @property
    def num_invalid(self) -> int:
        """How many samples so far were NaN or infinite. Blocks have silence in their place."""
        return self._invalid.count

    def note(self, clause: str) -> None:
        """Add a clause, such as "some of its pages are repeated", to the warning."""
        self._notes.append(clause)

    @abstractmethod
    def _decoded(self) -> Iterator[np.ndarray]:
        """Yield decoded audio, float32 (channels, n), in pieces of any length."""

    @abstractmethod
    def close(self) -> None:
        """Close the file; harmless when repeated."""

    def blocks(self, size: int = 65536) -> Iterator[np.ndarray]:
        """Yield the audio, once. NaN and infinite samples are replaced with silence, and `warning` then says so.

        Args:
            size: Length of a block in samples.

        Yields:
            float32 blocks, (channels, size), full scale 1.0. The last may be shorter.

        Raises:
            AudioError: The samples are in fact DTS or AC-3.
            ValueError: The blocks have been read already.
        """
        if self._started:
            raise AudioError(f"{self.path} has been read already; open it again")
        self._started = True
        total = filled = 0
        block = np.empty((self.num_channels, size), np.float32)
        for piece in self._decoded():
            piece = self._checked(piece, total)
            self._look_for_codec(piece)
            total += piece.shape[1]
            while piece.shape[1]:
                n = min(size - filled, piece.shape[1])
                block[:, filled : filled + n] = piece[:, :n]
                piece = piece[:, n:]
                filled += n
                if filled == size:
                    yield block
                    block, filled = np.empty_like(block), 0
        if filled:
            yield block[:, :filled]
        if is_coded(self._head):
            raise AudioError(f"{self.path} {CODED_ERROR}")
        few = self._loud.count < _MAX_OUTLIER_SHARE * total * self.num_channels
        if self._loud.count and (few or self._peak > _MAX_INTEGER):
            self.outliers = self._clause(self._loud, "is far above full scale", "are far above full scale")
        elif self._loud.count:
            self.note(
                f"its peak is {self._peak:.5g}, but networks hear samples above {MAX_MUSIC:.0f} as silence; scale it "
                f"to -1..1: ffmpeg -i SONG -af volume={1 / self._peak:.3g} -c:a pcm_f32le scaled.wav"
            )
        if clauses := self._clauses(total):
            self.warning = f"{self.path}: {'; '.join(clauses)}"

    def _checked(self, piece: np.ndarray, start: int) -> np.ndarray:
        """Return a piece, (channels, n), with silence for non-finite samples, and count all invalid samples."""
        if (invalid := ~np.isfinite(piece)).any():
            self._invalid.add(piece, invalid, start)
            piece = np.where(invalid, np.float32(0), piece)
        peak = max(piece.max(initial=0), -piece.min(initial=0))
        self._peak = max(self._peak, float(peak))
        if peak > MAX_MUSIC:
            self._loud.add(piece, np.abs(piece) > MAX_MUSIC, start)
        return piece

    def _look_for_codec(self, piece: np.ndarray) -> None:
        """Raise AudioError if integer samples are the frames of DTS or AC-3."""
        if not self.sample_format.startswith("int") or len(self._head) >= PROBED_BYTES:
            return
        words = np.clip(np.rint(piece.T * np.float32(32768)), -32768, 32767).astype("<i2")
        if not self._head:
            sounding = words.any(axis=1)
            words = words[int(sounding.argmax()) :] if sounding.any() else words[:0]
        self._head += words.tobytes()
        if len(self._head) >= PROBED_BYTES and is_coded(self._head):
            raise AudioError(f"{self.path} {CODED_ERROR}")

    def _note_changes(self, unifier: "Unifier") -> None:
        """Note that the format of the sound changed midway."""
        if unifier.changes:
            place, words = unifier.first_change
            times = "" if unifier.changes == 1 else f" ({unifier.changes} changes in all)"
            self.note(
                f"its format changes at {self._at(place)} {words}{times}; all sound was converted to the first format"
            )

    def _fill(self, start: int, length: int) -> Iterator[np.ndarray]:
        """Yield silence in place of missing sound: `length` frames from frame `start` on."""
        self._gaps.append(start)
        self._filled += length
        for done in range(0, length, 65536):
            yield np.zeros((self.num_channels, min(65536, length - done)), np.float32)

    def _clauses(self, total: int) -> list[str]:
        """Return the clauses of the warning, once all `total` frames are read."""
        clauses = []
        if self._damaged or (self._promised or 0) - total > self._tolerance:
            seconds = f"{(total - self._filled) / self.sample_rate:.2f} s"
            if self._promised and self._promised > total - self._filled:
                seconds += f" of {self._promised / self.sample_rate:.2f} s"
            clauses.append(f"damaged or cut short; {seconds} could be decoded")
        if self._gaps:
            gaps = "1 gap" if len(self._gaps) == 1 else f"{len(self._gaps)} gaps"
            first = f"{'at' if len(self._gaps) == 1 else 'the first at'} {self._at(self._gaps[0])}"
            length = self._filled / self.sample_rate
            clauses.append(f"sound is missing: {gaps}, {length:.2f} s in all, {first}, filled with silence")
        if self._invalid.count:
            words = (
                "is not a finite number, and was replaced with silence",
                "are not finite numbers, and were replaced with silence",
            )
            clauses.append(self._clause(self._invalid, *words))
        if self.outliers:
            clauses.append(self.outliers)
        return clauses + self._notes

    def _clause(self, odd: _Odd, one: str, several: str) -> str:
        value, place = odd.first
        if odd.count == 1:
            return f"1 sample {one} ({value:.3g} at {self._at(place)})"
        return f"{odd.count} samples {several} (the first, {value:.3g}, at {self._at(place)})"

    def _at(self, frame: int) -> str:
        return f"{frame / self.sample_rate:.3f} s"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
