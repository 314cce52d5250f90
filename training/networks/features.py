"""Features of a mix: log magnitudes relative to its level, for each cell."""

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import fold, pad

from ...engine.stft import FrameGrid
from ..recipe import Recipe

# How fast the level of a streaming network falls: slowly enough for a pause, and fast enough to recover from a bang.
RELEASE_DB_PER_S = 6.0
MIN_LEVEL_POWER = 1e-6  # the lowest level of a streaming network: a frame of white noise at about -60 dBFS
SILENT_SHARE = 1e-6  # of the loudest frame's power (-60 dB); quieter frames do not count for a chunked network's level
FLOOR_MAGNITUDE = 1e-4  # relative to that level (-80 dB); lower magnitudes look like silence

# Factors of products of (left real, left imaginary, right real, right imaginary), and the sums of these products that
# make a covariance.
FIRST, SECOND = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3], [0, 1, 2, 3, 2, 3, 1, 0]])
SUMS = torch.tensor(
    [[1.0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1, -1]]
)
# From a covariance to the power of left, right, middle and side.
VIEWS = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0.25, 0.25, 0.5, 0], [0.25, 0.25, -0.5, 0]])


@cache
def on(device: torch.device, constant: Tensor) -> Tensor:
    """Return a constant on a device. It is copied only once, because each copy would wait for the card.

    Args:
        device: The device.
        constant: The tensor.
    """
    return constant.to(device)


def frames_of(values: Tensor) -> Tensor:
    """Return 1, 2, ... for the frames of a tensor.

    Args:
        values: Shape (frames, ...), not negative.
    """
    # Counted from the data, because the exporter would make arange or ones_like a constant.
    return torch.cumsum((values.flatten(1)[:, 0] >= 0).to(values.dtype), dim=0)


def decay_of(frames: Tensor, fall: float) -> Tensor:
    """Return the weight of the past in each frame, shape (later, 1 + earlier): exp(-fall) for each frame between.

    The first column is for all that came before the first frame.

    Args:
        frames: As `frames_of` returns.
        fall: Decay in each frame.
    """
    return torch.exp(fall * (pad(frames, (1, 0)) - frames.unsqueeze(1))).tril(1)


def running_level(power: Tensor, before: Tensor, frames_per_second: float, frames: Tensor) -> Tensor:
    """Return the level of a streaming network: the highest power so far, falling by RELEASE_DB_PER_S.

    It is a closed form over the frames of a call, so that frames one by one give the same.

    Args:
        power: Power of each frame, shape (frames, batch, 1).
        before: Level before the first frame, shape (batch, 1).
        frames_per_second: Rate of frames.
        frames: As `frames_of` returns.

    Returns:
        Level after each frame, shape (frames, batch, 1).
    """
    decay = decay_of(frames, RELEASE_DB_PER_S / 10 * math.log(10) / frames_per_second)
    heard = torch.cat([before.unsqueeze(0), power])
    return (decay.unsqueeze(-1).unsqueeze(-1) * heard).amax(dim=1)


@cache
def _windows(grid: FrameGrid, device: torch.device) -> tuple[Tensor, Tensor]:
    scaled = grid.analysis * grid.spectrum_scale, grid.synthesis / grid.spectrum_scale
    analysis, synthesis = (torch.from_numpy(window.astype("float32")).to(device) for window in scaled)
    return analysis, synthesis


def spectra(audio: Tensor, grid: FrameGrid) -> Tensor:
    """Return spectra as engine.stft.Analysis does after silence, for batches.

    Args:
        audio: Shape (..., n).
        grid: Frame grid.

    Returns:
        Complex spectra, shape (..., frames, bins).
    """
    window, _ = _windows(grid, audio.device)
    padded = pad(audio, (grid.window - grid.hop, 0))
    spectrum: Tensor = torch.fft.rfft(padded.unfold(-1, grid.window, grid.hop) * window)
    return spectrum


def waveforms(spectrum: Tensor, grid: FrameGrid) -> Tensor:
    """Return the inverse of `spectra`, except at the end, where frames are missing.

    Args:
        spectrum: Complex, shape (..., frames, bins).
        grid: Frame grid.

    Returns:
        Audio, shape (..., n).
    """
    hop, length = grid.hop, grid.synthesis_window
    _, window = _windows(grid, spectrum.device)
    segments = torch.fft.irfft(spectrum, grid.window)[..., -length:] * window
    frames = segments.size(-2)
    columns = segments.reshape(-1, frames, length).transpose(1, 2)
    audio = fold(columns, (1, (frames - 1) * hop + length), (1, length), stride=(1, hop))
    return audio.reshape(*spectrum.shape[:-2], -1)[..., length - hop : frames * hop]


def covariance(parts: Tensor) -> Tensor:
    """Return the power of left and of right, and the real and the imaginary part of left times conjugate right.

    Args:
        parts: Spectra of the mix, shape (..., 4, bins): real and imaginary part of left, then of right.

    Returns:
        The same shape.
    """
    first, second = (parts.index_select(-2, on(parts.device, rows)) for rows in (FIRST, SECOND))
    return on(parts.device, SUMS) @ (first * second)


def parts_of(spectrum: Tensor) -> Tensor:
    """Return a spectrum in the form for `covariance`.

    Args:
        spectrum: Complex, shape (..., 2, bins).

    Returns:
        Real and imaginary parts, shape (..., 4, bins).
    """
    return torch.stack([spectrum.real, spectrum.imag], dim=-2).flatten(-3, -2)


def input_features(covariances: Tensor, recipe: Recipe, level_before: Tensor) -> tuple[Tensor, Tensor]:
    """Return the features of a mix: log magnitudes of left, right, middle and side, relative to the level.

    Args:
        covariances: Covariances of cells, shape (frames, batch, 4, cells).
        recipe: Recipe of the network.
        level_before: Level before the first frame, shape (batch, 1); only for causal recipes.

    Returns:
        Features, about -2 to 2, shape (frames, batch, 4, cells), and the level after the last frame, shape (batch, 1).
    """
    total = covariances[:, :, :2].sum(dim=(2, 3)).unsqueeze(-1)
    if recipe.causal:
        # With a minimum, because otherwise hiss before a song would look like a song, and be remembered for seconds.
        frames_per_second = recipe.grid.sample_rate / recipe.grid.hop
        level = running_level(total.clamp_min(MIN_LEVEL_POWER), level_before, frames_per_second, frames_of(covariances))
        last = level[-1]
    else:
        total = total + 1e-12
        # Only over audible frames, because a chunk at the start or end of a song is partly silent.
        sounding = (total > SILENT_SHARE * total.amax(dim=0, keepdim=True)).to(total.dtype)
        level, last = (total * sounding).sum(0, keepdim=True) / sounding.sum(0, keepdim=True), level_before
    power = (on(total.device, VIEWS) @ covariances) / level.unsqueeze(-1)
    return torch.log(power.clamp_min(0) + FLOOR_MAGNITUDE**2) * (0.5 / math.log(10)) + 2, last


def delayed(values: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Return values that are delayed by as many frames as `before` has.

    Args:
        values: Shape (frames, ...).
        before: Last frames of the previous call, which it returned, or zeros at the start of a song; shape
            (lookahead, ...).

    Returns:
        Delayed values, shape (frames, ...), and the last frames for the next call.
    """
    there = torch.cat([before, values])
    frames = before.size(0)
    return there[:-frames], there[-frames:]


def with_ahead(seen: Tensor, lookahead: int) -> Tensor:
    """Return features for a network with look-ahead, from the start of a song.

    Each frame has the features of the frame `lookahead` frames earlier, whose masks the network gives, and its own.

    Args:
        seen: Features, shape (frames, batch, 4, cells).
        lookahead: In frames; 0 returns `seen`.

    Returns:
        Features, shape (frames, batch, 8, cells).
    """
    if not lookahead:
        return seen
    late, _ = delayed(seen, torch.zeros_like(seen[:1]).expand(lookahead, -1, -1, -1))
    return torch.cat([late, seen], dim=2)
