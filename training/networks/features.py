"""What a network sees of a mix: level-normalised log magnitudes, per cell of its covariance."""

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import fold, pad

from ...engine.stft import FrameGrid
from ..recipe import Recipe

# Per second: how fast the level a streaming network measures its input against falls. Slow enough for a pause, fast
# enough to recover from a bang.
RELEASE_DB = 6.0
HUSH = 1e-6  # power of a frame of white noise at about -60 dBFS: the lowest level a streaming network measures against
SILENCE = 1e-6  # of the loudest frame's power (-60 dB): what is below does not count for a chunked network's level
FLOOR = 1e-4  # relative to that level: what lies lower (-80 dB) looks like silence


# From the squares of (left real, left imaginary, right real, right imaginary), and their products with those that
# CROSSED names, to what `covariance` returns.
CROSSED = torch.tensor([2, 3, 1, 0])
SUMS = torch.tensor(
    [[1.0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1, -1]]
)
# From a covariance to the power of left, right, middle and side.
VIEWS = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0.25, 0.25, 0.5, 0], [0.25, 0.25, -0.5, 0]])


@cache
def on(device: torch.device, constant: Tensor) -> Tensor:
    """A constant on a device, copied there once: each copy would wait for all that a card still has to do."""
    return constant.to(device)


def frames_of(values: Tensor) -> Tensor:
    """1, 2, ... for each of the frames that come first in `values`, none of which may be negative."""
    # Counted from the data, because the exporter would take arange or ones_like for a constant.
    return torch.cumsum((values.flatten(1)[:, 0] >= 0).to(values.dtype), dim=0)


def decay_of(frames: Tensor, fall: float) -> Tensor:
    """What each frame leaves in the others, (now, then): exp(-fall) a frame, and nothing before it."""
    age = frames.unsqueeze(1) - frames.unsqueeze(0)
    return torch.exp(-fall * age.clamp_min(0)) * (age >= 0)


def running_level(power: Tensor, before: Tensor, frames_per_second: float) -> Tensor:
    """The level a causal network measures against: the highest power so far, falling by RELEASE_DB a second.

    power: (frames, batch, 1) of each frame; before: (batch, 1) the level before. Returns the shape of `power`.
    A closed form over the frames of a call, so that frames one by one give the same.
    """
    fall = RELEASE_DB / 10 * math.log(10) / frames_per_second
    frames = frames_of(power)
    level = (decay_of(frames, fall).unsqueeze(-1).unsqueeze(-1) * power).amax(dim=1)
    gone = torch.exp(-fall * frames).unsqueeze(-1).unsqueeze(-1)
    return torch.maximum(level, gone * before)


@cache
def _windows(grid: FrameGrid, device: torch.device) -> tuple[Tensor, Tensor]:
    scaled = grid.analysis * grid.spectrum_scale, grid.synthesis / grid.spectrum_scale
    analysis, synthesis = (torch.from_numpy(window.astype("float32")).to(device) for window in scaled)
    return analysis, synthesis


def spectra(audio: Tensor, grid: FrameGrid) -> Tensor:
    """What engine.stft.Analysis gives from silence, for batches: (..., n) to (..., frames, bins), complex."""
    window, _ = _windows(grid, audio.device)
    padded = pad(audio, (grid.window - grid.hop, 0))
    spectrum: Tensor = torch.fft.rfft(padded.unfold(-1, grid.window, grid.hop) * window)
    return spectrum


def waveforms(spectrum: Tensor, grid: FrameGrid) -> Tensor:
    """The inverse of `spectra`: (..., frames, bins), complex, to (..., n), but for the end, which misses frames."""
    hop, length = grid.hop, grid.synthesis_window
    _, window = _windows(grid, spectrum.device)
    segments = torch.fft.irfft(spectrum, grid.window)[..., -length:] * window
    frames = segments.size(-2)
    columns = segments.reshape(-1, frames, length).transpose(1, 2)
    audio = fold(columns, (1, (frames - 1) * hop + length), (1, length), stride=(1, hop))
    return audio.reshape(*spectrum.shape[:-2], -1)[..., length - hop : frames * hop]


def covariance(parts: Tensor) -> Tensor:
    """Power of left, of right, and the real and the imaginary part of left times conjugate right.

    parts: the mix's spectra, (..., 4, bins): real and imaginary part of left, then of right. Returns the same shape.
    """
    crossed = parts * parts.index_select(-2, on(parts.device, CROSSED))
    return on(parts.device, SUMS) @ torch.cat([parts.square(), crossed], dim=-2)


def parts_of(spectrum: Tensor) -> Tensor:
    """What `covariance` takes: (..., 2, bins), complex, to (..., 4, bins)."""
    return torch.stack([spectrum.real, spectrum.imag], dim=-2).flatten(-3, -2)


def input_features(covariances: Tensor, recipe: Recipe, level_before: Tensor) -> tuple[Tensor, Tensor]:
    """What the network sees of a mix, and the level after its last frame.

    Log magnitudes of left, right, middle and side, relative to the level, in about -2..2.
    covariances: of cells, (frames, batch, 4, cells). level_before: (batch, 1); only causal recipes use it.
    Returns features (frames, batch, 4, cells) and the level (batch, 1).
    """
    total = covariances[:, :, :2].sum(dim=(2, 3)).unsqueeze(-1) + 1e-12
    if recipe.causal:
        # What hisses before a song begins is no song: heard as one, it would not be forgotten for seconds.
        level = running_level(total.clamp_min(HUSH), level_before, recipe.grid.sample_rate / recipe.grid.hop)
        last = level[-1]
    else:
        # Of the frames that sound: a chunk at either end of a song is partly silent, and no quieter for that.
        sounding = (total > SILENCE * total.amax(dim=0, keepdim=True)).to(total.dtype)
        level, last = (total * sounding).sum(0, keepdim=True) / sounding.sum(0, keepdim=True), level_before
    power = (on(total.device, VIEWS) @ covariances) / level.unsqueeze(-1)
    return torch.log(power.clamp_min(0) + FLOOR**2) * (0.5 / math.log(10)) + 2, last


def delayed(values: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Values as many frames later as `before` has frames, and what comes before those of the next call.

    values: (frames, ...). before: (lookahead, ...), what the call before returned, or zeros at the start of a song.
    """
    there = torch.cat([before, values])
    frames = before.size(0)
    return there[:-frames], there[-frames:]


def with_ahead(seen: Tensor, lookahead: int) -> Tensor:
    """Return features for a network with look-ahead, from a song's start: (frames, batch, 4, cells) to (..., 8, cells).

    Each frame has the features of the frame `lookahead` frames earlier, whose masks are wanted, and its own.
    """
    if not lookahead:
        return seen
    late, _ = delayed(seen, torch.zeros_like(seen[:1]).expand(lookahead, -1, -1, -1))
    return torch.cat([late, seen], dim=2)
