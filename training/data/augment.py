"""Random changes of stems, so that a network can learn from little material. All run on the stems' device."""

from bisect import bisect

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH_LENGTHS: tuple[int, ...] = tuple(
    sorted(2**a * 3**b * 5**c * 7**d for a in range(1, 22) for b in range(8) for c in range(6) for d in range(4))
)  # lengths with fast Fourier transforms


def smooth_length(n: float) -> int:
    """Return the even number nearest to n that has no prime factor above 7.

    Args:
        n: A length in samples.
    """
    above = bisect(SMOOTH_LENGTHS, n)
    return min(SMOOTH_LENGTHS[max(0, above - 1) : above + 1], key=lambda length: abs(length - n))


def resampled_spectrum(audio: Tensor, n: int) -> Tensor:
    """Return the Fourier transform of audio that is played faster or slower. The ends wrap around.

    Args:
        audio: Shape (..., m).
        n: Number of samples in which it is played.

    Returns:
        Complex spectrum, shape (..., k), k up to n // 2 + 1.
    """
    spectrum: Tensor = torch.fft.rfft(audio)
    return spectrum[..., : n // 2 + 1] * (n / audio.size(-1))


def panned(stems: Tensor, matrices: Tensor) -> Tensor:
    """Return stems whose channels are mixed by a matrix for each stem.

    Args:
        stems: Shape (..., 2, n).
        matrices: Shape (..., 2 outputs, 2 inputs).
    """
    return matrices @ stems


def saturated(stems: Tensor, drive: Tensor) -> Tensor:
    """Return overdriven stems with the same peaks.

    Args:
        stems: Shape (k, 2, n).
        drive: Shape (k,); 1 is mild, 10 is harsh.
    """
    drive = drive[:, None, None]
    peaks = stems.abs().amax(dim=(-2, -1), keepdim=True).clamp_min(1e-6)
    return peaks * torch.tanh(drive * stems / peaks) / torch.tanh(drive)


def reverberant(stems: Tensor, noise: Tensor, seconds: Tensor, wet: Tensor, sample_rate: int) -> Tensor:
    """Return stems with reverb, made of decaying noise with an energy of 1.

    Args:
        stems: Shape (k, 2, n).
        noise: Shape (k, 2, m).
        seconds: Time until the noise has fallen by 60 dB, shape (k,).
        wet: Gain of the reverb, compared with the dry sound, shape (k,).
        sample_rate: In Hz.
    """
    n, m = stems.size(-1), noise.size(-1)
    time = torch.arange(m, device=stems.device) / sample_rate
    room = noise * 10 ** (-3 * time / seconds[:, None, None])
    room = room / room.square().sum(dim=-1, keepdim=True).sqrt().clamp_min(1e-6)
    size = smooth_length(n + m) if smooth_length(n + m) >= n + m else smooth_length(1.05 * (n + m))
    echo: Tensor = torch.fft.irfft(torch.fft.rfft(stems, size) * torch.fft.rfft(room, size), size)[..., :n]
    return stems + wet[:, None, None] * echo


def limited(stems: Tensor, over_db: Tensor, sample_rate: int) -> Tensor:
    """Return mixes whose stems are turned down together where their sum is loud, as in mastering.

    Args:
        stems: Shape (k, stems, 2, n).
        over_db: Peak of each mix above the limit, shape (k,).
        sample_rate: In Hz.
    """
    reach = sample_rate // 200  # 5 ms to each side
    loud = stems.sum(dim=1).abs().amax(dim=1)  # (k, n)
    envelope = functional.max_pool1d(loud, 2 * reach + 1, stride=1, padding=reach)
    limit = loud.amax(dim=1, keepdim=True).clamp_min(1e-6) * 10 ** (-over_db[:, None] / 20)
    gain = (limit / envelope.clamp_min(1e-9)).clamp_max(1)
    smooth = functional.avg_pool1d(functional.pad(gain[:, None], (reach, reach), "replicate"), 2 * reach + 1, stride=1)
    return stems * smooth[:, None]
