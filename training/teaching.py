"""Songs labelled by a teacher: the first stretch of each before training starts, the rest during training."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import AudioError, DataError
from ..core.log import say
from ..core.processes import ignore_ctrl_c, start_blocked
from ..models import load_model
from .data.labels import Labels, Passage
from .data.songs import SAMPLE_RATE, STEMS, Song

MAX_HELD_OUT = 30  # labelled songs by which checkpoints are chosen
CLIP_SAMPLES = 10 * SAMPLE_RATE  # of each of them


class LabelledSongs:
    """Songs without stems, with the labels of a teacher.

    The constructor labels the first stretch of every song that is not labelled yet. It leaves out songs that cannot be
    decoded, songs in whose first stretch the teacher is sure of nothing, and MUSDB18's validation songs. Every tenth of
    the others is held out.

    Args:
        songs: Songs with a mixture.
        labels: The teacher's labels.
        report: Called with lines about the progress.

    Attributes:
        training: Songs to train on.
        held_out: Songs by which checkpoints are chosen.

    Raises:
        DataError: No song remains to train on.
    """

    def __init__(self, songs: list[Song], labels: Labels, report: Callable[[str], None] = say) -> None:
        self._labels = labels
        usable = _label_first_stretches([song for song in songs if not song.for_validation], labels, report)
        self.held_out = usable[::10][:MAX_HELD_OUT] if len(usable) > 1 else []
        names = {song.name.casefold() for song in self.held_out}
        self.training = [song for song in usable if song.name.casefold() not in names]
        if not self.training:
            teacher = labels.teacher.card.name
            raise DataError(f"{teacher} is sure of no passage of the songs in --songs; give more, or another teacher")
        self._read = [0] * len(self.training)  # stretches of each song that `new_passages` has returned

    def new_passages(self) -> list[Passage]:
        """Return the passages of songs to train on that were labelled since the last call."""
        new = []
        for i, song in enumerate(self.training):
            while (passages := self._labels.passages(song, self._read[i])) is not None:
                new += passages
                self._read[i] += 1
        return new

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

        Args:
            teacher: The model's name or path, because that process loads it again.
        """
        rest = [song for song in self.training if not self._labels.is_labelled(song, whole=True)]
        if not rest:
            yield
            return
        process = multiprocessing.get_context("spawn").Process(
            target=_label_rest, args=(rest, teacher, self._labels.folder, os.getpid()), daemon=True
        )
        start_blocked(process, "SIGINT")  # Ctrl-C ends this process first
        try:
            yield
        finally:
            process.terminate()
            process.join()


def _label_first_stretches(songs: list[Song], labels: Labels, report: Callable[[str], None]) -> list[Song]:
    """Label the first stretch of each song, and return the songs with passages that can be used."""
    usable, seconds = [], 0.0
    for number, song in enumerate(songs, 1):
        try:
            for _ in labels.label(song):
                report(f"labelled the first stretch of {song.name} ({number} of {len(songs)} songs)")
        except (AudioError, DataError) as error:
            report(f"left out: {error}")
            continue
        if passages := labels.passages(song, 0):
            usable.append(song)
            seconds += sum(map(len, passages)) / SAMPLE_RATE
    report(
        f"{labels.teacher.card.name} is sure of {seconds / 60:.1f} minutes in the first stretches of "
        f"{len(usable)} of {len(songs)} songs"
    )
    return usable


def _label_rest(songs: list[Song], teacher: str, folder: Path, parent: int) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # which removes temporary files
    ignore_ctrl_c()
    if sys.platform != "win32":
        os.nice(10)
    labels = Labels(load_model(teacher), folder)
    for song in songs:
        for _ in labels.label(song, whole=True):
            if os.getppid() != parent:
                return
