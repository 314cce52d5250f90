"""Songs labelled by a teacher: the first stretch of each before training starts, the rest during training."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import AudioError, DataError, StemBridgeError, error_text, file_reason
from ..core.log import say
from ..core.processes import ignore_ctrl_c, start_blocked
from ..models import load_model
from .data.labels import PASSAGE_S, Labels, Passage
from .data.songs import SAMPLE_RATE, STEMS, Song

MAX_HELD_OUT = 30  # labelled songs by which checkpoints are chosen
CLIP_SAMPLES = 10 * SAMPLE_RATE  # of each of them


class LabelledSongs:
    """Songs without stems, with the labels of a teacher.

    The constructor labels the first stretch of every song that is not labelled yet. It leaves out songs that cannot be
    used, and names them with the reason. Songs of every tenth name are held out.

    Args:
        songs: Songs with a mixture.
        labels: The teacher's labels.
        report: Called with lines about the progress.

    Attributes:
        training: Songs to train on.
        held_out: Songs by which checkpoints are chosen.

    Raises:
        DataError: No song can be used.
        OSError: The labels cannot be written.
    """

    def __init__(self, songs: list[Song], labels: Labels, report: Callable[[str], None] = say) -> None:
        self._labels, self._report = labels, report
        allowed = []
        for song in songs:
            if song.for_validation:
                report(f"left out: {song.files['mixture']} is one of MUSDB18's validation songs, which are never used")
            else:
                allowed.append(song)
        usable = _label_first_stretches(allowed, labels, report)
        if not usable:
            raise DataError("no song in --songs can be used, for the reasons above; give others, or another teacher")
        self.training, self.held_out = _hold_out(usable)
        self._read = [0] * len(self.training)  # stretches of each song that `new_passages` has returned
        self._lines: Any = None  # a connection from the process that labels, whose class depends on the platform

    def new_passages(self) -> list[Passage]:
        """Return the passages of songs to train on that were labelled since the last call, and report what failed."""
        self._report_lines()
        new = []
        for i, song in enumerate(self.training):
            while (passages := self._labels.passages(song, self._read[i])) is not None:
                new += passages
                self._read[i] += 1
        return new

    def progress(self) -> str:
        """Return how far the labels have come, "" if all are there."""
        count = sum(self._labels.count(song) or 0 for song in self.training)
        return f"{sum(self._read)} of {count} stretches labelled" if sum(self._read) < count else ""

    def clips(self) -> list[dict[str, NDArray[np.float32]]]:
        """Return up to ten seconds of each song held out: stem or "mixture" to (2, n), without silent stems."""
        clips = []
        for song in self.held_out:
            passage = max(self._labels.passages(song, 0) or [], key=len)
            start = max(0, (len(passage) - CLIP_SAMPLES) // 2)
            stems = {
                stem: track[start : start + CLIP_SAMPLES].T.astype(np.float32) / 32767
                for stem, track in passage.stems.items()
            }
            mixture = np.sum([*stems.values()], axis=0)
            clips.append({"mixture": mixture} | {stem: stems[stem] for stem in STEMS if stem in passage.levels_db})
        return clips

    @contextmanager
    def labelling(self, teacher: str) -> Iterator[None]:
        """Label the rest of the songs to train on during a `with` block, in a process of low priority.

        A song that fails is left out. If labelling cannot go on at all, it ends, and the block goes on without it.

        Args:
            teacher: The model's name or path, because that process loads it again.
        """
        rest = [song for song in self.training if not self._labels.is_labelled(song, whole=True)]
        if not rest:
            yield
            return
        context = multiprocessing.get_context("spawn")
        self._lines, lines = context.Pipe(duplex=False)
        process = context.Process(
            target=_label_rest, args=(rest, teacher, self._labels.folder, os.getpid(), lines), daemon=True
        )
        start_blocked(process, "SIGINT")  # Ctrl-C ends this process first
        lines.close()
        try:
            yield
        finally:
            self._report_lines()
            process.terminate()
            process.join()

    def _report_lines(self) -> None:
        """Report what the process that labels has sent."""
        try:
            while self._lines and self._lines.poll():
                if line := self._lines.recv():
                    self._report(line)
                else:  # it is done
                    self._lines = None
        except EOFError:
            self._lines = None
            self._report("the process that labels songs has ended early; training goes on with the labels there are")


def _label_first_stretches(songs: list[Song], labels: Labels, report: Callable[[str], None]) -> list[Song]:
    """Label the first stretch of each song, and return the songs with passages that can be used."""
    usable, seconds, teacher = [], 0.0, labels.teacher.card.name
    for number, song in enumerate(songs, 1):
        try:
            for _ in labels.label(song):
                report(f"labelled the first stretch of {song.name} ({number} of {len(songs)} songs)")
            passages = labels.passages(song, 0)
        except (AudioError, DataError) as error:
            report(f"left out: {error}")
            continue
        if passages:
            usable.append(song)
            seconds += sum(map(len, passages)) / SAMPLE_RATE
        else:
            report(
                f"left out: {song.files['mixture']} has no passage of {PASSAGE_S} s, neither silent nor clipped, of "
                f"which {teacher} is sure"
            )
    report(
        f"{teacher} is sure of {seconds / 60:.1f} minutes in the first stretches of {len(usable)} of {len(songs)} songs"
    )
    return usable


def _hold_out(songs: list[Song]) -> tuple[list[Song], list[Song]]:
    """Return songs to train on, and songs held out.

    Songs of one name are in the same part, because they may be one song in several forms.
    """
    named: dict[str, list[Song]] = {}
    for song in songs:
        named.setdefault(song.name.casefold(), []).append(song)
    parts: tuple[list[Song], list[Song]] = ([], [])
    for number, group in enumerate(named.values()):
        held_out = number % 10 == 0 and len(named) > 1 and len(parts[1]) + len(group) <= MAX_HELD_OUT
        parts[held_out].extend(group)
    return parts


def _label_rest(songs: list[Song], teacher: str, folder: Path, parent: int, lines: Any) -> None:
    """Label whole songs, in a process. It sends a line for each fault, and "" at the end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # which removes temporary files
    ignore_ctrl_c()
    if sys.platform != "win32":
        os.nice(10)
    try:
        labels = Labels(load_model(teacher), folder)
        for song in songs:
            try:
                for _ in labels.label(song, whole=True):
                    if os.getppid() != parent:
                        return
            except (AudioError, DataError) as error:
                lines.send(f"left out: {error}")
        lines.send("")
    except SystemExit:
        # A normal exit would end ONNX Runtime's threads while they work, and C++ would complain.
        os._exit(0)
    except Exception as error:
        reason = str(error) if isinstance(error, StemBridgeError) else error_text(error)
        if isinstance(error, OSError) and error.filename:
            reason = f"{error.filename}: {file_reason(error)}"
        with suppress(OSError):  # the parent has ended
            lines.send(f"no more songs are labelled in this run: {reason}; the next run goes on with the others")
            lines.send("")
