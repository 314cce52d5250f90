"""The work of a StemMix in pyo: once for each buffer of the server, it reads and writes tables."""

import contextlib
import io
import itertools
import math
import sys
from typing import Any
from weakref import WeakMethod

import numpy as np
from numpy.typing import NDArray

from ...core.errors import error_text
from ...core.extras import install_extra
from ...core.gains import MAX_DB, check_gain_db
from ...core.log import say
from ...core.stems import check_stems
from ...engine import StemProcessor
from ...models import Model

with contextlib.redirect_stdout(io.StringIO()):  # pyo prints that wxPython is missing, which only its windows need
    try:
        import pyo as pyo  # which stemmix.py takes from here
    except ImportError as error:
        raise ImportError(f"stembridge.plugin.pyo needs pyo: {install_extra('pyo')}") from error

STEP_SAMPLES = 256  # between two readings of a gain that is a signal; the glide of a fader is longer
UNHEARD_REFERENCES = 4  # to a stream that nobody else plays: the reader's list, its trigger, and two for counting
EXTRA_SPEED = 1e-6  # readers are too fast by this share, so that rounding never makes them too slow

_orphans: "list[Stage]" = []  # stages without a StemMix that some object still plays


class Stage:
    """Processes each buffer of the server.

    pyo computes its objects in the order in which they were made. A table receives the input's buffer. Then a trigger
    at the first sample of the buffer calls `_work`, which fills the tables that the outputs read next. So pyo adds no
    delay.

    Args:
        input: A pyo signal.
        model: The model.

    Attributes:
        input: The input, with a crossfade when it is replaced.
        processors: One for each pair of streams, or for a last single one.
        stems: Names of the stems.
        gains: Stem to gain, a number in dB or a signal.
        players: The pyo objects that must be played.
    """

    def __init__(self, input: Any, model: Model) -> None:
        _orphans[:] = [stage for stage in _orphans if stage.is_heard()]
        self.input = pyo.InputFader(input)
        self._rate, self._size = self.input.getSamplingRate(), self.input.getBufferSize()
        num_streams = len(self.input)
        self._groups = [slice(i, min(i + 2, num_streams)) for i in range(0, num_streams, 2)]
        # The server plays in real time, so the network works between two buffers. A network that looks seconds ahead
        # would not profit.
        block = None if not model.card.realtime else self._size
        self.processors = [
            StemProcessor(model, self._rate, group.stop - group.start, realtime_block=block) for group in self._groups
        ]
        self.stems = self.processors[0].stems
        self.gains: dict[str, Any] = dict.fromkeys(self.stems, 0)
        self._signals: dict[str, tuple[Any, NDArray[Any]]] = {}  # for gains that are signals: their writer and table
        self._stem_out: dict[str, list[NDArray[Any]]] = {}
        self._stale = False
        self._reported: set[type] = set()
        self._readers: list[Any] = []
        inputs, self._in = self._table(num_streams)
        outputs, self._out = self._table(num_streams)
        pulse, (data,) = self._table(1)
        data[0] = 1
        clock = self._reader(pulse).play()
        self._parts = pyo.TableFill(self.input, inputs), clock, pyo.TrigFunc(clock, self._work)
        self.players = [base for part in self._parts for base in part.getBaseObjects()]
        self._outputs = outputs

    def set_gain(self, stem: str, gain: Any) -> None:
        """Move a fader to a number of dB, or let a signal move it.

        Args:
            stem: Name of the stem.
            gain: A number in dB, or a pyo signal.

        Raises:
            ValueError: The stem is unknown, or the gain is out of range.
        """
        self.check_gain(stem, gain)
        if isinstance(gain, pyo.PyoObject):
            table, (data,) = self._table(1)
            data[:] = self.processors[0].gains_db[stem]  # until the signal's first turn
            fill = pyo.TableFill(gain, table)
            trigger = self._parts[-1].getBaseObjects()[0]
            for base in (*fill._in_fader.getBaseObjects(), *fill.getBaseObjects()):
                trigger.getServer().changeStreamPosition(trigger._getStream(), base._getStream())  # computed before
            self._signals[stem] = fill, data
        else:
            for processor in self.processors:
                processor.set_gains_db(**{stem: gain})
            self._signals.pop(stem, None)
            gain = float(gain)  # pyo's own functions take no other numbers, such as NumPy's
        self.gains[stem] = gain

    def check_gain(self, stem: str, gain: Any) -> None:
        """Check the arguments of `set_gain`.

        Args:
            stem: Name of the stem.
            gain: A number in dB, or a pyo signal.

        Raises:
            ValueError: The stem is unknown, or the gain is out of range.
        """
        check_stems([stem], self.stems)
        if not isinstance(gain, pyo.PyoObject):
            check_gain_db(stem, gain)

    def mix(self, mul: Any, add: Any) -> Any:
        """Return the sum of all stems as a signal.

        Args:
            mul: Factor, as for any pyo object.
            add: Offset, as for any pyo object.
        """
        return self._reader(self._outputs, mul, add)

    def stem(self, stem: str) -> Any:
        """Return a stem as a signal.

        Args:
            stem: Name of the stem.
        """
        table, views = self._table(len(self.input))
        take: Any = WeakMethod(self._take_stems)  # so that the stage ends with the last reference to a signal
        for processor in self.processors:
            processor.on_stems = lambda stems, gains: take()(stems, gains)
        self._stem_out[stem] = views
        return self._reader(table)

    def is_heard(self) -> bool:
        """Return whether any object except its own signals plays the output."""
        return any(
            sys.getrefcount(base) > UNHEARD_REFERENCES
            for reader in self._readers
            for base in reader.getBaseObjects()
            if base not in self.players
        )

    def outlive(self) -> None:
        """Continue without the StemMix for as long as any object plays the output."""
        if self.is_heard():
            _orphans.append(self)

    def restart(self) -> None:
        """Forget all sound that was not heard yet, before the next buffer."""
        self._stale = True

    def _work(self) -> None:
        """Fill the tables. After an error or Ctrl-C, they are silent, and all processors start again."""
        try:
            self._fill()
        except BaseException as error:
            self._stale = True  # reset all processors, because those that got no input would be late from now on
            for data in itertools.chain(self._out, *self._stem_out.values()):
                data[:] = 0  # otherwise pyo would play the last buffer again and again
            if not isinstance(error, Exception):
                raise
            if type(error) not in self._reported:
                self._reported.add(type(error))
                say(f"StemMix in pyo: a buffer was silent because of an error ({error_text(error)}); the sound goes on")

    def _fill(self) -> None:
        for reader in self._readers:
            reader.reset()
        if self._stale:
            self._stale = False  # first, so that a `restart` from another thread is not missed
            self._follow(0)
            for processor in self.processors:
                processor.reset()
        step = STEP_SAMPLES if self._signals else self._size
        audio = np.array(self._in, np.float32)
        for start in range(0, self._size, step):
            self._piece = slice(start, min(start + step, self._size))
            self._follow(start)
            for processor, group in zip(self.processors, self._groups, strict=True):
                self._group = group
                done = processor.process(audio[group, self._piece])
                for out, channel in zip(self._out[group], done, strict=True):
                    out[self._piece] = channel

    def _follow(self, at: int) -> None:
        """Move faders to the values of their signals."""
        for stem, (_, data) in self._signals.items():
            if math.isfinite(gain := float(data[at])):
                for processor in self.processors:
                    processor.set_gains_db(**{stem: min(gain, MAX_DB)})

    def _take_stems(self, stems: NDArray[Any], gains: NDArray[Any]) -> None:
        for stem, views in self._stem_out.items():
            row = self.stems.index(stem)
            for out, channel in zip(views[self._group], gains[row] * stems[row], strict=True):
                out[self._piece] = channel

    def _table(self, num_streams: int) -> tuple[Any, list[NDArray[Any]]]:
        """Return a table as long as a buffer, and its contents."""
        table = pyo.DataTable(self._size, chnls=num_streams)
        return table, [np.asarray(table.getBuffer(i)) for i in range(num_streams)]

    def _reader(self, table: Any, mul: Any = 1, add: Any = 0) -> Any:
        """Return a signal that plays a table once for each buffer of the server."""
        speed = self._rate / self._size * (1 + EXTRA_SPEED)
        reader = pyo.TableRead(table, speed, loop=True, interp=1, mul=mul, add=add)
        self._readers.append(reader)
        return reader
