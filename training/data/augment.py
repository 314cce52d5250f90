"""What is done to stems so that little material does not wear out: all on the device where they lie."""

from bisect import bisect

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH_LENGTHS: tuple[int, ...] = tuple(
    sorted(2**a * 3**b * 5**c * 7**d for a in range(1, 22) for b in range(8) for c in range(6) for d in range(4))
)  # whose Fourier transforms are quick


def smooth_length(n: float) -> int:
    """The even number nearest to n that has no prime factor above 7."""
    above = bisect(SMOOTH_LENGTHS, n)
    return min(SMOOTH_LENGTHS[max(0, above - 1) : above + 1], key=lambda length: abs(length - n))


def resampled_spectrum(audio: Tensor, n: int) -> Tensor:
    """The Fourier transform, (..., up to n // 2 + 1), of audio (..., m) played in n samples, faster or slower.

    Ends wrap around.
    """
    spectrum: Tensor = torch.fft.rfft(audio)
    return spectrum[..., : n // 2 + 1] * (n / audio.size(-1))


def placed(stems: Tensor, places: Tensor) -> Tensor:
    """Each stem's two channels through a matrix of its own. stems: (..., 2, n); places: (..., 2 out, 2 in)."""
    return places @ stems


def saturated(stems: Tensor, drive: Tensor) -> Tensor:
    """Overdriven, with peaks where they were. stems: (k, 2, n); drive: (k,), 1 is mild and 10 is harsh."""
    drive = drive[:, None, None]
    peaks = stems.abs().amax(dim=(-2, -1), keepdim=True).clamp_min(1e-6)
    return peaks * torch.tanh(drive * stems / peaks) / torch.tanh(drive)


def reverberant(stems: Tensor, noise: Tensor, seconds: Tensor, wet: Tensor, sample_rate: int) -> Tensor:
    """In a room of decaying noise. stems: (k, 2, n); noise: (k, 2, m); seconds: (k,) to -60 dB; wet: (k,), of the dry.

    The room is as loud as white noise would make it: its energy is one.
    """
    n, m = stems.size(-1), noise.size(-1)
    time = torch.arange(m, device=stems.device) / sample_rate
    room = noise * 10 ** (-3 * time / seconds[:, None, None])
    room = room / room.square().sum(dim=-1, keepdim=True).sqrt().clamp_min(1e-6)
    size = smooth_length(n + m) if smooth_length(n + m) >= n + m else smooth_length(1.05 * (n + m))
    echo: Tensor = torch.fft.irfft(torch.fft.rfft(stems, size) * torch.fft.rfft(room, size), size)[..., :n]
    return stems + wet[:, None, None] * echo


def limited(stems: Tensor, over_db: Tensor, sample_rate: int) -> Tensor:
    """All stems of a mix turned down together where their sum is loud, as mastering does.

    stems: (k, stems, 2, n). over_db: (k,), by how much the mix's peak is above the limit.
    """
    reach = sample_rate // 200  # 5 ms to each side
    loud = stems.sum(dim=1).abs().amax(dim=1)  # (k, n)
    envelope = functional.max_pool1d(loud, 2 * reach + 1, stride=1, padding=reach)
    limit = loud.amax(dim=1, keepdim=True).clamp_min(1e-6) * 10 ** (-over_db[:, None] / 20)
    gain = (limit / envelope.clamp_min(1e-9)).clamp_max(1)
    smooth = functional.avg_pool1d(functional.pad(gain[:, None], (reach, reach), "replicate"), 2 * reach + 1, stride=1)
    return stems * smooth[:, None]
