"""An endless source of training mixes."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import DataError
from .augment import limited, panned, resampled_spectrum, reverberant, saturated, smooth_length
from .labels import Passage
from .songs import SAMPLE_RATE, STEMS, Song, StemCache
from .tracks import Take, Track

LONGEST_ROOM_S = 1.0
KNOTS_OCTAVES = np.linspace(-9, 0, 6)  # of an equaliser, relative to half the sample rate
LEVEL_DB = -22.0  # RMS of labelled stems in random mixes, the median of MUSDB18's stems


class RemixDataset:
    """An endless source of mixes, with so many random changes that a network can learn from little material.

    Most mixes take each stem from another song, which helps most with little material (about +2 dB in published
    ablations). The others are a song's own mix, whose stems belong together. Every stem gets a random gain of 0.25 to
    1.25 (about 1 in a song's own mix), position in the stereo image, polarity, equaliser, and often another speed and
    pitch (in a song's own mix all stems get the same). Each of the other changes has its own chance.

    Args:
        songs: Songs with stems.
        cache: Decoded songs.
        seconds: Length of a mix.
        seed: Random seed.
        device: Where mixes are made. A CUDA card keeps all material in its memory, as int16, so that it does not wait
            for the processor.
        labelled: Stems that a teacher found, which are mixed like true ones. If there are some, a stem that no song has
            is silent in all mixes.
        share: Share of labelled stems in random mixes, and of labelled songs among songs' own mixes, if there are true
            ones too. Solo voices have their own share.

    Raises:
        DataError: No song has one of the stems, and nothing is labelled.
    """

    own_mix = 0.25  # share of mixes that are a song's own
    solo_voice = 0.1  # share of vocals that are solo voices, however many of them there are
    missing_stem = 0.06  # chance that a stem is silent
    second_take = 0.2  # chance that a stem is the sum of two from different songs
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
        self._tops = np.ones(0)  # highest frequency of each mix of the last batch, as a share of half the sample rate
        tracks = [
            {s: Track(cache.load(song, s), self.device, top=song.top_of(s)) for s in STEMS if s in song.files}
            for song in songs
        ]
        bands = [song for song in tracks if [*song] != ["vocals"]]
        self.voices = [song["vocals"] for song in tracks if [*song] == ["vocals"]]
        self.pools = {stem: [song[stem] for song in bands if stem in song] for stem in STEMS}
        self.pools["vocals"] = self.pools["vocals"] or self.voices
        self.complete = [song for song in bands if len(song) == len(STEMS)]
        self.share = share
        self.labelled: dict[str, list[Track]] = {stem: [] for stem in STEMS}
        self.labelled_complete: list[dict[str, Track]] = []
        self.add(labelled)
        if self.missing_stems and not any(self.labelled.values()):
            raise DataError(f"no song has {self.missing_stems[0]}; add one that has it to --data")

    @property
    def missing_stems(self) -> list[str]:
        """The stems that no song has."""
        return [stem for stem in STEMS if not (self.pools[stem] or self.labelled[stem])]

    def add(self, labelled: Iterable[Passage]) -> None:
        """Add labelled passages.

        All stems that are loud enough are used for random mixes. If all four are, they are also used as a song's own
        mix.

        Args:
            labelled: The passages.
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
        """Return the stems of new mixes.

        Args:
            size: Number of mixes.

        Returns:
            float32, shape (size, stems, 2, samples). Each mix is the sum of its stems.
        """
        random = self.random
        own = random.random(size) < (self.own_mix if self.complete or self.labelled_complete else 0)
        takes = [take for mix in range(size) for take in (self._own if own[mix] else self._strangers)(mix)]
        self._tops = np.ones(size)
        for take in takes:
            mix = take.place // len(STEMS)
            self._tops[mix] = min(self._tops[mix], take.track.top * take.samples / self.length)
        stems = panned(self._recorded(takes, size), self._tensor(self._pan_matrices(own)))
        flat = stems.flatten(0, 1)
        if len(some := self._some(self.saturation, len(flat))):
            where, drive = self._tensor(some), 10 ** random.uniform(0, 1, len(some))
            flat[where] = saturated(flat[where], self._tensor(drive))
        if len(some := self._some(self.reverb, len(flat))):
            shape = len(some), 2, round(LONGEST_ROOM_S * SAMPLE_RATE)
            noise = torch.randn(shape, generator=self.noise, device=self.device)
            seconds, wet = random.uniform(0.1, LONGEST_ROOM_S, len(some)), random.uniform(0.05, 0.4, len(some))
            where = self._tensor(some)
            flat[where] = reverberant(flat[where], noise, self._tensor(seconds), self._tensor(wet), SAMPLE_RATE)
        if len(some := self._some(self.limiter, size)):
            where, over_db = self._tensor(some), random.uniform(1, 10, len(some))
            stems[where] = limited(stems[where], self._tensor(over_db), SAMPLE_RATE)
        for mix in self._some(self.silent_end, size):
            cut = random.integers(self.length // 2)
            stems[mix, ..., slice(None, cut) if random.random() < 0.5 else slice(self.length - cut, None)] = 0
        return stems

    def responses(self, bins: int) -> Tensor:
        """Return a random equaliser for each stem of the last batch.

        They have up to about 6 dB, and are smooth over the octaves. Some mixes are cut above a frequency, 4 kHz or
        more, like audio from telephones, low sample rates and lossy coders. A mix with a stem from a file with a low
        sample rate is cut where that stem ends, so that the network does not learn that such stems have no high sounds.

        Args:
            bins: Bins of a spectrum.

        Returns:
            Factors, shape (size, stems, bins).
        """
        size = len(self._tops)
        gains_db = self._tensor(self.random.normal(0, self.equaliser_db, (size, len(STEMS), len(KNOTS_OCTAVES))))
        tops = self._tops.copy()
        ending = self._some(self.band_limit, size)
        tops[ending] = np.minimum(tops[ending], np.exp(self.random.uniform(np.log(0.18), 0, len(ending))))
        ends = np.floor(bins * tops)[:, None, None]
        responses = 10 ** (gains_db @ _slopes(bins, self.device) / 20)
        return responses * (torch.arange(bins, device=self.device) < self._tensor(ends))

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        """Return numbers on the device, without waiting for it."""
        tensor = torch.from_numpy(values.astype(np.float32) if values.dtype == np.float64 else values)
        return (tensor.pin_memory() if self.device.type == "cuda" else tensor).to(self.device, non_blocking=True)

    def _some(self, chance: float, n: int) -> NDArray[np.intp]:
        return np.flatnonzero(self.random.random(n) < chance)

    def _pan_matrices(self, own: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return matrices for left and right of each stem, (mixes, stems, 2, 2)."""
        random, shape = self.random, (len(own), len(STEMS))
        middle = np.full((2, 2), 0.5)
        width = 1 - random.uniform(0, 1, shape) * (random.random(shape) < self.narrow)
        matrices = middle + width[..., None, None] * (np.eye(2) - middle)
        swapped = random.random(shape) < 0.5
        matrices = np.where(swapped[..., None, None], matrices[..., ::-1, :], matrices)
        matrices *= 10 ** (random.normal(0, 1.5, (*shape, 2, 1)) / 20)
        # A song's own balance is worth learning. Stems of different songs have no such balance.
        gains = np.where(own[:, None], 10 ** (random.normal(0, 2, shape) / 20), random.uniform(0.25, 1.25, shape))
        matrices *= (gains * random.choice((-1, 1), shape))[..., None, None]
        mono = random.random(len(own)) < self.mono
        chosen: NDArray[np.float64] = np.where(mono[:, None, None, None], middle @ matrices, matrices)
        return chosen

    def _own(self, mix: int) -> Iterator[Take]:
        """Yield the stems of a song's own mix."""
        songs = self._true_or_labelled(self.complete, self.labelled_complete)
        song = self._choose(songs, [len(song["vocals"]) for song in songs])
        samples = self._samples()
        start = int(self.random.integers(max(1, min(map(len, song.values())) - samples)))
        for place, stem in enumerate(STEMS, mix * len(STEMS)):
            yield Take(place, song[stem], start, samples)

    def _strangers(self, mix: int) -> Iterator[Take]:
        """Yield stems of different songs, each at another speed."""
        missing = self.missing_stems
        for place, stem in enumerate(STEMS, mix * len(STEMS)):
            if stem in missing:
                continue
            if self.random.random() >= self.missing_stem:
                yield self._take(place, stem)
            if self.random.random() < self.second_take:
                take = self._take(place, stem)
                yield take._replace(gain=take.gain * self.random.uniform(0.2, 1))

    def _take(self, place: int, stem: str) -> Take:
        """Return a piece of a random song's stem."""
        random = self.random
        solo = stem == "vocals" and self.voices and random.random() < self.solo_voice
        pool = self.voices if solo else self._true_or_labelled(self.pools[stem], self.labelled[stem])
        samples = self._samples()
        for _ in range(4):  # try to find a place where the stem is not silent
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
        """Return the number of samples that are played in a mix's length."""
        change = self.random.random() < self.speed_change
        return smooth_length(self.length * 2 ** self.random.uniform(-1 / 3, 1 / 3)) if change else self.length

    def _choose(self, pool: list[Any], lengths: list[int]) -> Any:
        # A long song has more to learn from, but in style a short one counts as much.
        weights = np.array(lengths) ** 0.25
        return pool[self.random.choice(len(pool), p=weights / weights.sum())]

    def _recorded(self, takes: list[Take], size: int) -> Tensor:
        """Return the sound of the takes of `size` mixes, (size, stems, 2, samples)."""
        shape = size * len(STEMS), 2, self.length // 2 + 1
        spectra = torch.zeros(shape, dtype=torch.complex64, device=self.device)
        for take in takes:
            spectrum = resampled_spectrum(take.track.cut(take.start, take.samples), self.length)
            spectra[take.place, :, : spectrum.size(-1)] += take.gain * spectrum
        waves: Tensor = torch.fft.irfft(spectra, self.length)
        return waves.reshape(size, len(STEMS), 2, self.length)


@cache
def _slopes(bins: int, device: torch.device) -> Tensor:
    """Return the weight of each knot of an equaliser in each bin, (knots, bins): straight lines over the octaves."""
    octaves = np.log2(np.arange(1, bins + 1) / bins)
    slopes = np.array([np.interp(octaves, KNOTS_OCTAVES, knot) for knot in np.eye(len(KNOTS_OCTAVES))])
    return torch.from_numpy(slopes.astype(np.float32)).to(device)
