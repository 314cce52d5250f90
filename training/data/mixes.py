"""An endless source of training mixes."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import DataError
from .augment import limited, placed, resampled_spectrum, reverberant, saturated, smooth_length
from .labels import Passage
from .songs import SAMPLE_RATE, STEMS, Song, StemCache

LONGEST_ROOM = 1.0  # s
KNOTS = np.linspace(-9, 0, 6)  # of an equaliser, in octaves below half the sampling rate
LEVEL_DB = -22.0  # RMS that labelled stems are brought to in random mixes: the median of MUSDB18's stems
QUIET = 300  # of 32768: what never rises above it is not worth hearing


class Track:
    """One decoded stem, on disk, or in a card's memory too.

    stem: (n, 2) int16, memory-mapped. gain: that brings it to the level of others, in random mixes.
    """

    def __init__(self, stem: NDArray[np.int16], device: torch.device, gain: float = 1.0) -> None:
        self._stem, self._device, self.gain = stem, device, gain
        self._kept = None if device.type == "cpu" else torch.from_numpy(stem.copy()).to(device)

    def __len__(self) -> int:
        return len(self._stem)

    def sounds(self, start: int, n: int) -> bool:
        """Whether there is more than silence in n samples. Looks on disk: to ask a card is to wait for it."""
        return bool(np.abs(self._stem[start : start + n : 64]).max(initial=0) > QUIET)

    def cut(self, start: int, n: int) -> Tensor:
        """n samples, (2, n) float32, with silence after the end."""
        there = slice(start, start + n)
        piece = torch.from_numpy(np.array(self._stem[there])) if self._kept is None else self._kept[there]
        out = torch.zeros(2, n, device=self._device)
        out[:, : len(piece)] = piece.T / 32768
        return out


class Take(NamedTuple):
    """A piece of a track for one of a batch's stems: the samples of it that are heard, and how loud.

    place: mix * stems + stem.
    """

    place: int
    track: Track
    start: int
    samples: int
    gain: float = 1.0


class RemixDataset:
    """Mixes of stems, changed so much that little material does not wear out.

    Most mixes take each stem from a song of its own, which is what helps most on little material (published ablations:
    about +2 dB); the others are a song's own mix, where the stems belong together. Every stem gets a random gain of
    0.25 to 1.25 (in a song's own mix a little around 1), place in the stereo image, polarity, equaliser, and often
    another speed and pitch (a song's own mix as a whole). Each of the other changes has its chance.

    songs: what to mix. seconds: length of a mix. seed: of all random choices. device: where the mixes are made. On a
    CUDA card all material is kept there, as int16, so that the card does not wait for the processor. labelled: stems
    that a teacher found, which are mixed like true ones. share: how many of the stems in random mixes, and of songs'
    own mixes, are labelled ones, if there are true ones too; solo voices have their own share.
    """

    own_mix = 0.25  # share of mixes that are a song's own
    solo_voice = 0.1  # share of vocals taken from solo voices, of which there may be very many
    missing_stem = 0.06  # chance that a stem is silent
    second_take = 0.2  # chance that a stem is two, of different songs
    speed_change = 0.6  # chance that a stem, or a song's own mix, changes speed and pitch, by up to four semitones
    narrow = 0.3  # chance that a stem's stereo image is narrowed
    mono = 0.1  # chance that a mix is mono
    band_limit = 0.15  # chance that a mix ends below half its sampling rate
    silent_end = 0.25  # chance that a mix begins or ends in silence, as songs do
    equaliser_db = 2.5  # standard deviation of a stem's equaliser
    saturation = 0.0  # chance that a stem is overdriven
    reverb = 0.0  # chance that a stem is in a room
    limiter = 0.0  # chance that a mix is limited

    def __init__(
        self,
        songs: list[Song],
        cache: StemCache,
        seconds: float,
        seed: int,
        device: str = "cpu",
        labelled: Iterable[Passage] = (),
        share: float = 0.5,
    ) -> None:
        self.length = smooth_length(seconds * SAMPLE_RATE)
        self.random = np.random.default_rng(seed)
        self.device = torch.device(device)
        self.noise = torch.Generator(self.device).manual_seed(seed)
        tracks = [{s: Track(cache.load(song, s), self.device) for s in STEMS if s in song.files} for song in songs]
        bands = [song for song in tracks if [*song] != ["vocals"]]
        self.voices = [song["vocals"] for song in tracks if [*song] == ["vocals"]]
        self.pools = {stem: [song[stem] for song in bands if stem in song] for stem in STEMS}
        self.pools["vocals"] = self.pools["vocals"] or self.voices
        self.complete = [song for song in bands if len(song) == len(STEMS)]
        self.share = share
        self.labelled: dict[str, list[Track]] = {stem: [] for stem in STEMS}
        self.labelled_complete: list[dict[str, Track]] = []
        self.add(labelled)
        for stem, pool in self.pools.items():
            if not (pool or self.labelled[stem]):
                raise DataError(f"no song has {stem}; add material to --data that has one")

    def add(self, labelled: Iterable[Passage]) -> None:
        """Take in more labelled passages.

        All stems that are loud enough are for random mixes; where all four are, they are a song's own mix too.
        """
        for passage in labelled:
            song = {
                stem: Track(passage.stems[stem], self.device, 10 ** ((LEVEL_DB - level) / 20))
                for stem, level in passage.levels_db.items()
            }
            for stem, track in song.items():
                self.labelled[stem].append(track)
            if len(song) == len(STEMS):
                self.labelled_complete.append(song)

    def batch(self, size: int) -> Tensor:
        """`size` mixes as their stems, (size, stems, 2, samples), float32; the mix is their sum."""
        random = self.random
        own = random.random(size) < (self.own_mix if self.complete or self.labelled_complete else 0)
        takes = [take for mix in range(size) for take in (self._own if own[mix] else self._strangers)(mix)]
        stems = placed(self._recorded(takes, size), self._tensor(self._places(own)))
        flat = stems.flatten(0, 1)
        if len(some := self._some(self.saturation, len(flat))):
            where, drive = self._tensor(some), 10 ** random.uniform(0, 1, len(some))
            flat[where] = saturated(flat[where], self._tensor(drive))
        if len(some := self._some(self.reverb, len(flat))):
            shape = len(some), 2, round(LONGEST_ROOM * SAMPLE_RATE)
            noise = torch.randn(shape, generator=self.noise, device=self.device)
            seconds, wet = random.uniform(0.1, LONGEST_ROOM, len(some)), random.uniform(0.05, 0.4, len(some))
            where = self._tensor(some)
            flat[where] = reverberant(flat[where], noise, self._tensor(seconds), self._tensor(wet), SAMPLE_RATE)
        if len(some := self._some(self.limiter, size)):
            where, over_db = self._tensor(some), random.uniform(1, 10, len(some))
            stems[where] = limited(stems[where], self._tensor(over_db), SAMPLE_RATE)
        for mix in self._some(self.silent_end, size):
            cut = random.integers(self.length // 2)
            stems[mix, ..., slice(None, cut) if random.random() < 0.5 else slice(self.length - cut, None)] = 0
        return stems

    def responses(self, size: int, bins: int) -> Tensor:
        """A random equaliser for each stem of `size` mixes, (size, stems, bins): factors on the bins of a spectrum.

        Up to about 6 dB, smooth over the octaves. Some mixes end early, from 4 kHz on, as telephone audio, low
        sampling rates and lossy coders do.
        """
        gains_db = self._tensor(self.random.normal(0, self.equaliser_db, (size, len(STEMS), len(KNOTS))))
        ends = np.full((size, 1, 1), bins)
        ending = self._some(self.band_limit, size)
        ends[ending, 0, 0] = bins * np.exp(self.random.uniform(np.log(0.18), 0, len(ending)))
        responses = 10 ** (gains_db @ _slopes(bins, self.device) / 20)
        return responses * (torch.arange(bins, device=self.device) < self._tensor(ends))

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        """Numbers on the device, without waiting for it."""
        tensor = torch.from_numpy(values.astype(np.float32) if values.dtype == np.float64 else values)
        return (tensor.pin_memory() if self.device.type == "cuda" else tensor).to(self.device, non_blocking=True)

    def _some(self, chance: float, n: int) -> NDArray[np.intp]:
        return np.flatnonzero(self.random.random(n) < chance)

    def _places(self, own: NDArray[np.bool_]) -> NDArray[np.float64]:
        """What becomes of each stem's left and right, (mixes, stems, 2, 2)."""
        random, shape = self.random, (len(own), len(STEMS))
        middle = np.full((2, 2), 0.5)
        width = 1 - random.uniform(0, 1, shape) * (random.random(shape) < self.narrow)
        places = middle + width[..., None, None] * (np.eye(2) - middle)
        swapped = random.random(shape) < 0.5
        places = np.where(swapped[..., None, None], places[..., ::-1, :], places)
        places *= 10 ** (random.normal(0, 1.5, (*shape, 2, 1)) / 20)
        # A song's own balance is something to learn; between songs there is none.
        gains = np.where(own[:, None], 10 ** (random.normal(0, 2, shape) / 20), random.uniform(0.25, 1.25, shape))
        places *= (gains * random.choice((-1, 1), shape))[..., None, None]
        mono = random.random(len(own)) < self.mono
        chosen: NDArray[np.float64] = np.where(mono[:, None, None, None], middle @ places, places)
        return chosen

    def _own(self, mix: int) -> Iterator[Take]:
        """A song's own mix."""
        songs = self._true_or_labelled(self.complete, self.labelled_complete)
        song = self._choose(songs, [len(song["vocals"]) for song in songs])
        samples = self._samples()
        start = int(self.random.integers(max(1, min(map(len, song.values())) - samples)))
        for place, stem in enumerate(STEMS, mix * len(STEMS)):
            yield Take(place, song[stem], start, samples)

    def _strangers(self, mix: int) -> Iterator[Take]:
        """Stems of different songs, each at a speed of its own."""
        for place, stem in enumerate(STEMS, mix * len(STEMS)):
            if self.random.random() >= self.missing_stem:
                yield self._take(place, stem)
            if self.random.random() < self.second_take:
                take = self._take(place, stem)
                yield take._replace(gain=take.gain * self.random.uniform(0.2, 1))

    def _take(self, place: int, stem: str) -> Take:
        """A piece of some song's stem."""
        random = self.random
        solo = stem == "vocals" and self.voices and random.random() < self.solo_voice
        pool = self.voices if solo else self._true_or_labelled(self.pools[stem], self.labelled[stem])
        samples = self._samples()
        for _ in range(4):  # look for a place where the stem sounds
            track = self._choose(pool, [*map(len, pool)])
            start = int(random.integers(max(1, len(track) - samples)))
            if track.sounds(start, samples):
                break
        return Take(place, track, start, samples, track.gain)

    def _true_or_labelled(self, true: list[Any], labelled: list[Any]) -> list[Any]:
        if not true or not labelled:
            return true or labelled
        return labelled if self.random.random() < self.share else true

    def _samples(self) -> int:
        """How many samples are to play in a mix's length."""
        change = self.random.random() < self.speed_change
        return smooth_length(self.length * 2 ** self.random.uniform(-1 / 3, 1 / 3)) if change else self.length

    def _choose(self, pool: list[Any], lengths: list[int]) -> Any:
        # A long song holds more to learn, but a short one is as much of a style.
        weights = np.array(lengths) ** 0.25
        return pool[self.random.choice(len(pool), p=weights / weights.sum())]

    def _recorded(self, takes: list[Take], size: int) -> Tensor:
        """What the takes of `size` mixes sound like, (size, stems, 2, samples)."""
        shape = size * len(STEMS), 2, self.length // 2 + 1
        spectra = torch.zeros(shape, dtype=torch.complex64, device=self.device)
        for take in takes:
            spectrum = resampled_spectrum(take.track.cut(take.start, take.samples), self.length)
            spectra[take.place, :, : spectrum.size(-1)] += take.gain * spectrum
        waves: Tensor = torch.fft.irfft(spectra, self.length)
        return waves.reshape(size, len(STEMS), 2, self.length)


@cache
def _slopes(bins: int, device: torch.device) -> Tensor:
    """What each knot of an equaliser adds to each bin, (knots, bins): straight lines over the octaves."""
    octaves = np.log2(np.arange(1, bins + 1) / bins)
    slopes = np.array([np.interp(octaves, KNOTS, knot) for knot in np.eye(len(KNOTS))])
    return torch.from_numpy(slopes.astype(np.float32)).to(device)
