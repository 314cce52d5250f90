"""What a network sees of a mix: level-normalised log magnitudes, per cell."""

import math

import torch
from torch import Tensor
from torch.nn.functional import fold, pad

from ..engine.stft import FrameGrid
from .recipe import Recipe

# Per second: how fast the level a streaming network measures its input against falls. Slow enough for a pause, fast
# enough to recover from a bang.
RELEASE_DB = 6.0
SILENCE = 1e-6  # of the loudest frame's power (-60 dB): what is below does not count for a chunked network's level
FLOOR = 1e-4  # relative to that level: what lies lower (-80 dB) looks like silence


def running_level(power: Tensor, before: Tensor, frames_per_second: float) -> Tensor:
    """The level a causal network measures against: the highest power so far, falling by RELEASE_DB a second.

    power: (frames, batch, 1) of each frame; before: (batch, 1) the level before. Returns the shape of `power`.
    A closed form over the frames of a call, so that frames one by one give the same.
    """
    fall = RELEASE_DB / 10 * math.log(10) / frames_per_second
    # 1, 2, ...: counted from the data, because the exporter would take arange or ones_like for a constant.
    frames = torch.cumsum((power[:, 0, 0] >= 0).to(power.dtype), dim=0)
    age = frames.unsqueeze(1) - frames.unsqueeze(0)  # (now, then)
    decay = torch.exp(-fall * age.clamp_min(0)) * (age >= 0)
    level = (decay.unsqueeze(-1).unsqueeze(-1) * power).amax(dim=1)
    gone = torch.exp(-fall * frames).unsqueeze(-1).unsqueeze(-1)
    return torch.maximum(level, gone * before)


def spectra(audio: Tensor, grid: FrameGrid) -> Tensor:
    """What engine.stft.Analysis gives from silence, for batches: (..., n) to (..., frames, bins), complex."""
    window = torch.from_numpy((grid.analysis * grid.spectrum_scale).astype("float32")).to(audio.device)
    padded = pad(audio, (grid.window - grid.hop, 0))
    return torch.fft.rfft(padded.unfold(-1, grid.window, grid.hop) * window)


def waveforms(spectrum: Tensor, grid: FrameGrid) -> Tensor:
    """The inverse of `spectra`: (..., frames, bins), complex, to (..., n), but for the end, which misses frames."""
    hop, length = grid.hop, grid.synthesis_window
    window = torch.from_numpy((grid.synthesis / grid.spectrum_scale).astype("float32")).to(spectrum.device)
    segments = torch.fft.irfft(spectrum, grid.window)[..., -length:] * window
    frames = segments.size(-2)
    columns = segments.reshape(-1, frames, length).transpose(1, 2)
    audio = fold(columns, (1, (frames - 1) * hop + length), (1, length), stride=(1, hop))
    return audio.reshape(*spectrum.shape[:-2], -1)[..., length - hop : frames * hop]


def log_magnitudes(left: Tensor, right: Tensor, cross: Tensor, level: Tensor) -> Tensor:
    """What the network sees: log magnitudes of left, right, mid and side, relative to the level.

    left, right: power (..., cells); cross: real part of left times conjugate right; level: power (..., 1).
    Returns (..., 4, cells) in about -2..2.
    """
    mid, side = (left + right) / 4 + cross / 2, (left + right) / 4 - cross / 2
    power = torch.stack([left, right, mid, side], dim=-2) / level.unsqueeze(-2)
    return 0.5 * torch.log10(power.clamp_min(0) + FLOOR**2) + 2


def input_features(spectrum_real: Tensor, spectrum_imag: Tensor, recipe: Recipe, level_before: Tensor) -> tuple:
    """What the network sees of a mix, and the level after its last frame.

    spectrum_real, spectrum_imag: (frames, batch, 2, bins). level_before: (batch, 1); only causal recipes use it.
    Returns features (frames, batch, 4, cells) and the level (batch, 1).
    """
    power = recipe.bands.pool(spectrum_real.square() + spectrum_imag.square())
    cross = spectrum_real[:, :, 0] * spectrum_real[:, :, 1] + spectrum_imag[:, :, 0] * spectrum_imag[:, :, 1]
    total = power.sum(dim=(2, 3)).unsqueeze(-1) + 1e-12
    if recipe.causal:
        level = running_level(total, level_before, recipe.grid.sample_rate / recipe.grid.hop)
        last = level[-1]
    else:
        # Of the frames that sound: a chunk at either end of a song is partly silent, and no quieter for that.
        sounding = (total > SILENCE * total.amax(dim=0, keepdim=True)).to(total.dtype)
        level, last = (total * sounding).sum(0, keepdim=True) / sounding.sum(0, keepdim=True), level_before
    return log_magnitudes(power[:, :, 0], power[:, :, 1], recipe.bands.pool(cross), level), last
