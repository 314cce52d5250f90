"""StemMix for pyo: four faders on any pyo signal, and each stem as a separate signal."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from ...models import Model, load_model
from ...presets.gains import read_gains
from .stage import Stage, pyo  # pyo from there, where its greeting is hidden


class Fader:
    """A stem's gain as an attribute of StemMix and, as usual in pyo, as a method too: `vocals` and `setVocals()`."""

    def __set_name__(self, owner: type, stem: str) -> None:
        self._stem = stem
        setattr(owner, f"set{stem.capitalize()}", lambda mix, x: mix.setGain(stem, x))

    def __get__(self, mix: "StemMix | None", owner: type) -> Any:
        if mix is None:
            return self
        if self._stem not in mix.stems:
            raise AttributeError(f"this model has no {self._stem}; its stems are {', '.join(mix.stems)}")
        return mix._stage.gains[self._stem]

    def __set__(self, mix: "StemMix", x: Any) -> None:
        mix.setGain(self._stem, x)


class StemMix(pyo.PyoObject):
    """The stems of a sound, each with a fader.

    The output comes `latency_samples` after the input. This is the model's own latency, and more if the server's
    buffers would leave the network too little time. MidiControl can move the faders.

    Args:
        input: A signal. Its streams are taken in pairs, left and right; a last single stream is mono.
        model: A model, its name, or the path of an .onnx file.
        vocals: Gain in dB, -80 (silence) to 20, as a number or a signal, of which the first stream is used.
        drums: Likewise.
        bass: Likewise.
        other: Likewise.
        mul: Factor, as for any pyo object.
        add: Offset, as for any pyo object.
        preset: A preset's name or path, for stems whose gain is 0.
        others: Gains of stems with other names, if the model has such stems.

    Attributes:
        stems: The stems after their faders, name to signal. They sum to the output:
            `Freeverb(mix.stems["vocals"]).out()`.

    Raises:
        ModelError: The model cannot be used.
        ValueError: The sample rate, a stem or a gain cannot be used.
    """

    vocals = Fader()
    drums = Fader()
    bass = Fader()
    other = Fader()

    def __init__(
        self,
        input: Any,
        model: str | os.PathLike[str] | Model = "live",
        vocals: Any = 0,
        drums: Any = 0,
        bass: Any = 0,
        other: Any = 0,
        mul: Any = 1,
        add: Any = 0,
        preset: str | os.PathLike[str] | None = None,
        **others: Any,
    ) -> None:
        pyo.pyoArgsAssert(self, "oOO", input, mul, add)
        pyo.PyoObject.__init__(self, mul, add)
        gains = {"vocals": vocals, "drums": drums, "bass": bass, "other": other, **others}
        self._input = input
        self._stage = stage = Stage(input, model if isinstance(model, Model) else load_model(model))
        start: dict[str, Any] = read_gains(preset, stage.stems)
        start |= {
            stem: gain for stem, gain in gains.items() if stem in others or isinstance(gain, pyo.PyoObject) or gain != 0
        }
        for stem, gain in start.items():
            stage.set_gain(stem, gain)
        self.stems = Stems(stage)
        self._base_objs = stage.mix(mul, add).getBaseObjects()
        self._base_players = stage.players
        self._init_play()

    @property
    def latency_samples(self) -> int:
        """Samples by which the output is later than the input."""
        return self._stage.processors[0].latency_samples

    def setInput(self, x: Any, fadetime: float = 0.05) -> None:
        """Replace the input.

        Args:
            x: A signal with as many streams as the first.
            fadetime: Length of the crossfade, in seconds.
        """
        pyo.pyoArgsAssert(self, "oN", x, fadetime)
        self._fading, self._input = self._input, x  # the old one is kept, because it is still heard
        self._stage.input.setInput(x, fadetime)

    def setGain(self, stem: str, x: Any) -> None:
        """Move a stem's fader, or let a signal move it.

        Args:
            stem: Name of the stem.
            x: A number in dB, or a signal.

        Raises:
            ValueError: The stem is unknown, or the gain is out of range.
        """
        self._stage.set_gain(stem, x)

    def play(self, dur: Any = 0, delay: Any = 0) -> "StemMix":
        """Start without sending to the output; called by the constructor.

        Args:
            dur: Duration in seconds, 0 for no end, as for any pyo object.
            delay: Time before the start in seconds, as for any pyo object.

        Returns:
            This object.
        """
        self._begin(dur, delay)
        super().play(dur, delay)
        return self

    def out(self, chnl: Any = 0, inc: int = 1, dur: Any = 0, delay: Any = 0) -> "StemMix":
        """Start, and send to the output.

        Args:
            chnl: First output channel, as for any pyo object.
            inc: Step to the next output channel, as for any pyo object.
            dur: Duration in seconds, 0 for no end, as for any pyo object.
            delay: Time before the start in seconds, as for any pyo object.

        Returns:
            This object.
        """
        self._begin(dur, delay)
        super().out(chnl, inc, dur, delay)
        return self

    def stop(self, wait: float = 0) -> "StemMix":
        """Stop this object and its stems. Sound that was not heard yet is not heard after the next start either.

        Args:
            wait: Time until the stop in seconds, as for any pyo object.

        Returns:
            This object.
        """
        for stem in self.stems.made:
            stem.stop(wait)
        super().stop(wait)
        return self

    def __del__(self) -> None:
        # Objects that play it may go on: pyo keeps its own parts alive, but not this object and its tables.
        if (stage := getattr(self, "_stage", None)) is not None:
            stage.outlive()

    def ctrl(self, map_list: Any = None, title: str | None = None, wxnoserver: bool = False) -> None:
        """Open a window with a slider for each stem, in dB.

        Args:
            map_list: Sliders, as for any pyo object.
            title: Title of the window.
            wxnoserver: As for any pyo object.
        """
        gains = self._stage.gains
        self._map_list = [pyo.SLMap(-80, 12, "lin", stem, gain) for stem, gain in gains.items() if hasattr(self, stem)]
        self._map_list.append(pyo.SLMapMul(self._mul))
        super().ctrl(map_list, title, wxnoserver)

    def _begin(self, dur: Any, delay: Any) -> None:
        if not self.isPlaying() and not self.isOutputting():
            self._stage.restart()
            for stem in self.stems.made:
                stem.play(dur, delay)

    @property
    def input(self) -> Any:
        """PyoObject. The input signal."""
        return self._input

    @input.setter
    def input(self, x: Any) -> None:
        self.setInput(x)

    # The methods of StemProcessor that MidiControl needs.

    @property
    def gains_db(self) -> dict[str, float]:
        """Gains of the faders, stem to dB."""
        return self._stage.processors[0].gains_db

    @property
    def muted(self) -> tuple[str, ...]:
        """Muted stems."""
        return self._stage.processors[0].muted

    @property
    def soloed(self) -> tuple[str, ...]:
        """Soloed stems; while there are any, all others are silent."""
        return self._stage.processors[0].soloed

    def set_gains_db(self, /, **gains_db: float) -> None:
        """Move faders: `set_gains_db(vocals=-6.0)`.

        Args:
            gains_db: Stem to gain in dB, -80 (silence) to 20.

        Raises:
            ValueError: A stem is unknown, or a gain is out of range. No fader has moved then.
        """
        for stem, gain in gains_db.items():
            self._stage.check_gain(stem, gain)
        for stem, gain in gains_db.items():
            self.setGain(stem, gain)

    def mute(self, stem: str, on: bool = True) -> None:
        """Mute a stem, or unmute it.

        Args:
            stem: Name of the stem.
            on: Whether to mute it.
        """
        for processor in self._stage.processors:
            processor.mute(stem, on)

    def solo(self, stem: str, on: bool = True) -> None:
        """Solo a stem, or end its solo.

        Args:
            stem: Name of the stem.
            on: Whether to solo it.
        """
        for processor in self._stage.processors:
            processor.solo(stem, on)


class Stem(pyo.PyoObject):
    """One stem of a StemMix after its fader.

    Args:
        stage: Makes the sound.
        stem: Name of the stem.
    """

    def __init__(self, stage: Stage, stem: str) -> None:
        pyo.PyoObject.__init__(self)
        self._stage = stage  # keeps it alive as long as this signal
        self._base_objs = stage.stem(stem).getBaseObjects()
        self._init_play()


class Stems(Mapping[str, Stem]):
    """The stems of a StemMix, name to signal. Each signal is made when it is first used.

    Args:
        stage: Makes the sound.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._made: dict[str, Stem] = {}

    @property
    def made(self) -> tuple[Stem, ...]:
        """The stems that were used so far."""
        return tuple(self._made.values())

    def __getitem__(self, stem: str) -> Stem:
        if stem not in self._stage.stems:
            raise KeyError(f"no stem {stem!r}; the stems are {', '.join(self)}")
        if stem not in self._made:
            self._made[stem] = Stem(self._stage, stem)
        return self._made[stem]

    def __contains__(self, stem: object) -> bool:
        return stem in self._stage.stems

    def __iter__(self) -> Iterator[str]:
        return iter(self._stage.stems)

    def __len__(self) -> int:
        return len(self._stage.stems)
