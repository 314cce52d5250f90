"""The size of lossy files: a bitrate, or a quality from 0 to 10, in the terms of each encoder."""

import io
import struct
from typing import Any

import numpy as np

_BEST = 10.0
_DEFAULT_QUALITY = 8.0  # 10 for MP3
# kbit/s of stereo at 44.1 kHz and above by quality; what Vorbis has on average, and AAC and Opus aim at.
_QUALITY_KBPS = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
_OPUS = (".opus", ".webm")
_OPUS_SHARE = 0.75  # Opus sounds as good at this share of the bitrate
_OPUS_MAX = 510
_AAC_BITS_PER_SAMPLE = 6  # the most, in each channel
_OPUS_LOWEST, _AAC_LOWEST = 6, 8  # kbit/s in each channel
_MP3_CONSTANT = (
    64,
    80,
    96,
    112,
    128,
    160,
    192,
    224,
    256,
    320,
)  # lower ones leave no room for the header with the length
_LEAST_EFFORT = 0.999  # libsndfile refuses 1.0 for MP3


def check_bitrate(bitrate: float | None, quality: float | None, suffix: str = "", *, is_lossy: bool = True) -> None:
    """Raise ValueError unless at most one is given, to a lossy file: a bitrate above 0, or a quality from 0 to 10."""
    for name, value in ("bitrate", bitrate), ("encoding quality", quality):
        if value is None:
            continue
        if not is_lossy:
            raise ValueError(f"{suffix} keeps every sample and has no {name} to choose; leave it out")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} {value!r} does not work; give a number")
    if bitrate is not None and quality is not None:
        raise ValueError(
            "bitrate and encoding quality both say how much a lossy file is compressed; choose one of them"
        )
    if quality is not None and not 0 <= quality <= 10:
        raise ValueError(f"encoding quality {quality:g} does not work; give 0 (smallest) to 10 (best)")
    if bitrate is not None and not bitrate > 0:
        raise ValueError(f"bitrate {bitrate:g} does not work; give kbit/s, such as 192")


def lossy_settings(
    kind: str, sample_rate: int, num_channels: int, bitrate: float | None, quality: float | None
) -> dict[str, Any]:
    """Return the arguments that set an encoder's bitrate: of libsndfile for .mp3 and .ogg, else of `StreamEncoder`.

    Args:
        kind: ".mp3", ".ogg" (Vorbis), ".opus" or ".webm" (Opus), or another for AAC.
        sample_rate: Sample rate of the file, in Hz.
        num_channels: 1 or 2; for .ogg any number.
        bitrate: In kbit/s, or None.
        quality: 0 to 10, or None for the default.

    Raises:
        ValueError: The file cannot have that bitrate.
    """
    if kind == ".mp3":
        return _mp3_settings(sample_rate, bitrate, _BEST if quality is None else quality)
    quality = _DEFAULT_QUALITY if quality is None else quality
    if kind == ".ogg":
        if bitrate is not None:
            quality = _vorbis_quality(bitrate, sample_rate, num_channels)
        return {"compression_level": 1 - quality / 10}
    if bitrate is None:
        share = (_OPUS_SHARE if kind in _OPUS else 1) * num_channels / 2 * min(1, sample_rate / 44100)
        return {"kbps": share * float(np.interp(quality, range(11), _QUALITY_KBPS))}
    if kind in _OPUS:
        lowest, highest = _OPUS_LOWEST * num_channels, min(_OPUS_MAX, 256 * num_channels)
    else:
        lowest, highest = _AAC_LOWEST * num_channels, int(_AAC_BITS_PER_SAMPLE * sample_rate / 1000 * num_channels)
    return {"kbps": _in_range(bitrate, lowest, highest)}


def _mp3_settings(sample_rate: int, bitrate: float | None, quality: float) -> dict[str, Any]:
    if bitrate is None:
        return {"bitrate_mode": "VARIABLE", "compression_level": min(_LEAST_EFFORT, 1 - quality / 10)}
    lowest, highest = (32, 320) if sample_rate >= 32000 else (8, 160) if sample_rate >= 16000 else (8, 64)
    level = (highest - _in_range(bitrate, lowest, highest)) / (highest - lowest)
    mode = "CONSTANT" if bitrate in _MP3_CONSTANT else "AVERAGE"
    return {"bitrate_mode": mode, "compression_level": min(_LEAST_EFFORT, level)}


def _in_range(bitrate: float, lowest: int, highest: int) -> float:
    if lowest <= bitrate <= highest:
        return bitrate
    raise ValueError(
        f"this sound cannot be held at {bitrate:g} kbit/s; choose a bitrate from {lowest} to {highest} kbit/s"
    )


def _vorbis_quality(bitrate: float, sample_rate: int, num_channels: int) -> float:
    """Return the quality whose nominal bitrate this is: Vorbis has no bitrates of its own."""
    lowest, highest = (_nominal_kbps(quality, sample_rate, num_channels) for quality in (0, 10))
    if highest <= 0:
        raise ValueError(f".ogg has no bitrates at {sample_rate} Hz; choose an encoding quality from 0 to 10")
    _in_range(bitrate, round(lowest), round(highest))
    low, high = 0.0, 10.0
    for _ in range(10):
        middle = (low + high) / 2
        below = _nominal_kbps(middle, sample_rate, num_channels) < bitrate
        low, high = (middle, high) if below else (low, middle)
    return (low + high) / 2


def _nominal_kbps(quality: float, sample_rate: int, num_channels: int) -> float:
    """Return the bitrate that a Vorbis file of this quality gives in its header."""
    import soundfile

    header = io.BytesIO()
    level = 1 - quality / 10
    with soundfile.SoundFile(
        header, "w", sample_rate, num_channels, format="OGG", subtype="VORBIS", compression_level=level
    ) as file:
        file.write(np.zeros((1, num_channels), np.float32))
    data = header.getvalue()
    nominal: int
    (nominal,) = struct.unpack_from("<i", data, data.index(b"\x01vorbis") + 20)
    return nominal / 1000
