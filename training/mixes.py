"""An endless source of training mixes."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .augment import limited, placed, resampled, reverberant, saturated, smooth_length
from .data import SAMPLE_RATE, STEMS, DataError, Song, StemCache

LONGEST_ROOM = 1.0  # s
QUIET = 300  # of 32768: what never rises above it is not worth hearing


class Track:
    """One decoded stem, on disk, or in a card's memory too.

    stem: (n, 2) int16, memory-mapped.
    """

    def __init__(self, stem: NDArray[np.int16], device: torch.device) -> None:
        self._stem, self._device = stem, device
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


class RemixDataset:
    """Mixes of stems, changed so much that little material does not wear out.

    Most mixes take each stem from a song of its own, which is what helps most on little material (published ablations:
    about +2 dB); the others are a song's own mix, where the stems belong together. Every stem gets a random gain of
    0.25 to 1.25 (in a song's own mix a little around 1), place in the stereo image, polarity, equaliser, and often
    another speed and pitch. Each of the other changes has its chance.

    songs: what to mix. seconds: length of a mix. seed: of all random choices. device: where the mixes are made. On a
    CUDA card all material is kept there, as int16, so that the card does not wait for the processor.
    """

    own_mix = 0.25  # share of mixes that are a song's own
    solo_voice = 0.1  # share of vocals taken from solo voices, of which there may be very many
    missing_stem = 0.06  # chance that a stem is silent
    second_take = 0.2  # chance that a stem is two, of different songs
    speed_change = 0.6  # chance that a stem changes speed and pitch, by up to four semitones
    narrow = 0.3  # chance that a stem's stereo image is narrowed
    mono = 0.1  # chance that a mix is mono
    band_limit = 0.15  # chance that a mix ends below half its sampling rate
    silent_end = 0.25  # chance that a mix begins or ends in silence, as songs do
    equaliser_db = 2.5  # standard deviation of a stem's equaliser
    saturation = 0.0  # chance that a stem is overdriven
    reverb = 0.0  # chance that a stem is in a room
    limiter = 0.0  # chance that a mix is limited

    def __init__(self, songs: list[Song], cache: StemCache, seconds: float, seed: int, device: str = "cpu") -> None:
        self.length = smooth_length(seconds * SAMPLE_RATE)
        self.random = np.random.default_rng(seed)
        self.device = torch.device(device)
        tracks = [{s: Track(cache.load(song, s), self.device) for s in STEMS if s in song.files} for song in songs]
        bands = [song for song in tracks if [*song] != ["vocals"]]
        self.voices = [song["vocals"] for song in tracks if [*song] == ["vocals"]]
        self.pools = {stem: [song[stem] for song in bands if stem in song] for stem in STEMS}
        self.pools["vocals"] = self.pools["vocals"] or self.voices
        for stem, pool in self.pools.items():
            if not pool:
                raise DataError(f"no song has {stem}; add material to --data that has one")
        self.complete = [song for song in bands if len(song) == len(STEMS)]

    def batch(self, size: int) -> Tensor:
        """`size` mixes as their stems, (size, stems, 2, samples), float32; the mix is their sum."""
        random = self.random
        own = random.random(size) < (self.own_mix if self.complete else 0)
        stems = torch.stack([self._own() if is_own else self._strangers() for is_own in own])
        stems = placed(stems, self._tensor(self._places(own)))
        flat = stems.flatten(0, 1)
        if len(some := self._some(self.saturation, len(flat))):
            flat[some] = saturated(flat[some], self._tensor(10 ** random.uniform(0, 1, len(some))))
        if len(some := self._some(self.reverb, len(flat))):
            noise = self._tensor(random.standard_normal((len(some), 2, round(LONGEST_ROOM * SAMPLE_RATE))))
            seconds, wet = random.uniform(0.1, LONGEST_ROOM, len(some)), random.uniform(0.05, 0.4, len(some))
            flat[some] = reverberant(flat[some], noise, self._tensor(seconds), self._tensor(wet), SAMPLE_RATE)
        if len(some := self._some(self.limiter, size)):
            stems[some] = limited(stems[some], self._tensor(random.uniform(1, 10, len(some))), SAMPLE_RATE)
        for mix in self._some(self.silent_end, size):
            cut = random.integers(self.length // 2)
            stems[mix, ..., slice(None, cut) if random.random() < 0.5 else slice(self.length - cut, None)] = 0
        return stems

    def responses(self, size: int, bins: int) -> Tensor:
        """A random equaliser for each stem of `size` mixes, (size, stems, bins): factors on the bins of a spectrum.

        Up to about 6 dB, smooth over the octaves. Some mixes end early, from 4 kHz on, as telephone audio, low
        sampling rates and lossy coders do.
        """
        random = self.random
        octaves = np.log2(np.arange(1, bins + 1) / bins)
        knots = np.linspace(-9, 0, 6)
        gains_db = random.normal(0, self.equaliser_db, (size, len(STEMS), len(knots)))
        curves = np.array([[np.interp(octaves, knots, stem) for stem in mix] for mix in gains_db])
        responses = 10 ** (curves / 20)
        for mix in self._some(self.band_limit, size):
            responses[mix, :, int(bins * np.exp(random.uniform(np.log(0.18), 0))) :] = 0
        return self._tensor(responses)

    def _tensor(self, values: NDArray) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.device, non_blocking=True)

    def _some(self, chance: float, n: int) -> NDArray[np.intp]:
        return np.flatnonzero(self.random.random(n) < chance)

    def _places(self, own: NDArray[np.bool_]) -> NDArray:
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
        return np.where(mono[:, None, None, None], middle @ places, places)

    def _own(self) -> Tensor:
        """A song's own mix, (stems, 2, samples)."""
        song = self._choose(self.complete, [len(song["vocals"]) for song in self.complete])
        start = self.random.integers(max(1, min(map(len, song.values())) - self.length))
        return torch.stack([song[stem].cut(start, self.length) for stem in STEMS])

    def _strangers(self) -> Tensor:
        """Stems of different songs, (stems, 2, samples)."""
        stems = []
        for stem in STEMS:
            take = torch.zeros(2, self.length, device=self.device)
            if self.random.random() >= self.missing_stem:
                take += self._crop(stem)
            if self.random.random() < self.second_take:
                take += self._crop(stem) * self.random.uniform(0.2, 1)
            stems.append(take)
        return torch.stack(stems)

    def _crop(self, stem: str) -> Tensor:
        """(2, samples) of some song's stem, at some speed."""
        random = self.random
        solo = stem == "vocals" and self.voices and random.random() < self.solo_voice
        pool = self.voices if solo else self.pools[stem]
        wanted = self.length
        if random.random() < self.speed_change:
            wanted = smooth_length(self.length * 2 ** random.uniform(-1 / 3, 1 / 3))
        for _ in range(4):  # look for a place where the stem sounds
            track = self._choose(pool, [*map(len, pool)])
            start = random.integers(max(1, len(track) - wanted))
            if track.sounds(start, wanted):
                break
        crop = track.cut(start, wanted)
        return crop if wanted == self.length else resampled(crop, self.length)

    def _choose(self, pool: list[Any], lengths: list[int]) -> Any:
        # A long song holds more to learn, but a short one is as much of a style.
        weights = np.array(lengths) ** 0.25
        return pool[self.random.choice(len(pool), p=weights / weights.sum())]
