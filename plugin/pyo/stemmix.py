"""StemMix for pyo: four faders on any pyo signal, and each stem as a signal of its own."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from ...models import Model, load_model
from .stage import Stage, pyo  # whose greeting is kept back there


class Fader:
    """A stem's gain as an attribute of StemMix, and with pyo's habit of a method beside it: vocals, setVocals()."""

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

    input: a signal; its streams are taken in pairs, left and right, and a last one without a partner as mono.
    model: a shipped model's name, the path of an .onnx file, or a loaded Model.
    vocals, drums, bass, other: gains in dB, -80 (silence) to 20, as numbers or as signals, of which the first stream
    counts. Stems of other names, if the model has such, are given by their names too.
    mul, add: as for any pyo object.

    The output comes `latency_samples` after the input: the model's own latency, and with buffers that would leave the
    network too little time as much more as it takes. `stems` are the stems behind their faders, which sum to the
    output: `Freeverb(mix.stems["vocals"]).out()`.
    MidiControl moves it as it does a StemProcessor.
    Raises ModelError or ValueError, in one line, for a model, rate, stem or gain it cannot use.
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
        **others: Any,
    ) -> None:
        pyo.pyoArgsAssert(self, "oOO", input, mul, add)
        pyo.PyoObject.__init__(self, mul, add)
        gains = {"vocals": vocals, "drums": drums, "bass": bass, "other": other, **others}
        self._input = input
        self._stage = stage = Stage(input, model if isinstance(model, Model) else load_model(model))
        for stem, gain in gains.items():
            if stem in stage.stems or stem in others or isinstance(gain, pyo.PyoObject) or gain:
                stage.set_gain(stem, gain)
        self.stems = Stems(stage)
        self._base_objs = stage.mix(mul, add).getBaseObjects()
        self._base_players = stage.players
        self._init_play()

    @property
    def latency_samples(self) -> int:
        """How many samples the output comes after the input, exactly."""
        return self._stage.processors[0].latency_samples

    def setInput(self, x: Any, fadetime: float = 0.05) -> None:
        """Replace the input, with a crossfade in seconds. It should have as many streams as the first."""
        pyo.pyoArgsAssert(self, "oN", x, fadetime)
        self._fading, self._input = self._input, x  # kept, because it is still heard
        self._stage.input.setInput(x, fadetime)

    def setGain(self, stem: str, x: Any) -> None:
        """Move a stem's fader: dB, or a signal that moves it from now on."""
        self._stage.set_gain(stem, x)

    def play(self, dur: Any = 0, delay: Any = 0) -> "StemMix":
        """Start without sending to the output; called by the constructor."""
        self._begin(dur, delay)
        super().play(dur, delay)
        return self

    def out(self, chnl: Any = 0, inc: int = 1, dur: Any = 0, delay: Any = 0) -> "StemMix":
        """Start and send to the output."""
        self._begin(dur, delay)
        super().out(chnl, inc, dur, delay)
        return self

    def stop(self, wait: float = 0) -> "StemMix":
        """Stop, the stems too. What is on its way is not heard after the next start."""
        for stem in self.stems.made:
            stem.stop(wait)
        super().stop(wait)
        return self

    def __del__(self) -> None:
        # What was made of this object may go on sounding: pyo's own parts keep each other, but not this and its tables.
        if (stage := getattr(self, "_stage", None)) is not None:
            stage.outlive()

    def ctrl(self, map_list: Any = None, title: str | None = None, wxnoserver: bool = False) -> None:
        """Open a window with a slider for each stem, in dB."""
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
        """PyoObject. The sound."""
        return self._input

    @input.setter
    def input(self, x: Any) -> None:
        self.setInput(x)

    # What MidiControl needs, as StemProcessor has it.

    @property
    def gains_db(self) -> dict[str, float]:
        """Where the faders stand, stem -> dB."""
        return self._stage.processors[0].gains_db

    @property
    def muted(self) -> tuple[str, ...]:
        """Muted stems."""
        return self._stage.processors[0].muted

    @property
    def soloed(self) -> tuple[str, ...]:
        """Soloed stems; while there are any, all others are silent."""
        return self._stage.processors[0].soloed

    def set_gains_db(self, **gains_db: float) -> None:
        """Move faders: `set_gains_db(vocals=-6.0)`. Raises ValueError before any has moved."""
        for stem, gain in gains_db.items():
            self._stage.check_gain(stem, gain)
        for stem, gain in gains_db.items():
            self.setGain(stem, gain)

    def mute(self, stem: str, on: bool = True) -> None:
        """Mute a stem, or end that with `on=False`."""
        for processor in self._stage.processors:
            processor.mute(stem, on)

    def solo(self, stem: str, on: bool = True) -> None:
        """Solo a stem, or end that with `on=False`."""
        for processor in self._stage.processors:
            processor.solo(stem, on)


class Stem(pyo.PyoObject):
    """One stem of a StemMix behind its fader."""

    def __init__(self, stage: Stage, stem: str) -> None:
        pyo.PyoObject.__init__(self)
        self._stage = stage  # it lives on as long as anything that sounds
        self._base_objs = stage.stem(stem).getBaseObjects()
        self._init_play()


class Stems(Mapping[str, Stem]):
    """The stems of a StemMix by name; each is made when it is first asked for."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._made: dict[str, Stem] = {}

    @property
    def made(self) -> tuple[Stem, ...]:
        """Those that somebody has asked for."""
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
