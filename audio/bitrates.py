"""Turn a bitrate, or a quality from 0 to 10, into the settings of each lossy encoder."""

import io
import struct
from typing import Any

import numpy as np

from ..core.errors import StemBridgeError

_BEST_QUALITY = 10.0
_DEFAULT_QUALITY = 8.0  # of all kinds except MP3, whose default is the best
# Bitrate by quality, for stereo at 44.1 kHz and above. Vorbis has it on average; AAC and Opus aim at it.
_QUALITY_KBPS = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
_OPUS_KINDS = (".opus", ".webm")
_OPUS_SHARE = 0.75  # Opus sounds as good at this share of the bitrate
_OPUS_MAX_KBPS = 510
_AAC_MAX_BITS_PER_SAMPLE = 6  # in each channel
_OPUS_MIN_KBPS, _AAC_MIN_KBPS = 6, 8  # in each channel
# Constant bitrates of MP3. Frames of lower ones have no room for the header with the length.
_MP3_CONSTANT_KBPS = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MAX_LEVEL = 0.999  # libsndfile refuses a compression level of 1.0 for MP3


def check_bitrate(bitrate: float | None, quality: float | None, suffix: str = "", *, is_lossy: bool = True) -> None:
    """Check the choice of a bitrate or quality.

    Args:
        bitrate: In kbit/s, above 0; or None.
        quality: 0 to 10; or None.
        suffix: Suffix of the file, for the error.
        is_lossy: Whether the file is lossy. Only a lossy file may have a bitrate or quality.

    Raises:
        ValueError: One of them does not work, or both are given.
    """
    for name, value in ("bitrate", bitrate), ("encoding quality", quality):
        if value is None:
            continue
        if not is_lossy:
            raise StemBridgeError(f"{suffix} keeps every sample and has no {name} to choose; leave it out")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise StemBridgeError(f"{name} {value!r} does not work; give a number")
    if bitrate is not None and quality is not None:
        raise StemBridgeError("bitrate and encoding quality cannot be combined; choose one of them")
    if quality is not None and not 0 <= quality <= 10:
        raise StemBridgeError(f"encoding quality {quality:g} does not work; give 0 (smallest) to 10 (best)")
    if bitrate is not None and not bitrate > 0:
        raise StemBridgeError(f"bitrate {bitrate:g} does not work; give kbit/s, such as 192")


def lossy_settings(
    kind: str, sample_rate: int, num_channels: int, bitrate: float | None, quality: float | None
) -> dict[str, Any]:
    """Return the arguments that set an encoder's bitrate, for libsndfile (.mp3 and .ogg) or `StreamEncoder`.

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
        return _mp3_settings(sample_rate, bitrate, _BEST_QUALITY if quality is None else quality)
    quality = _DEFAULT_QUALITY if quality is None else quality
    if kind == ".ogg":
        if bitrate is not None:
            quality = _vorbis_quality(bitrate, sample_rate, num_channels)
        return {"compression_level": 1 - quality / 10}
    if bitrate is None:
        share = (_OPUS_SHARE if kind in _OPUS_KINDS else 1) * num_channels / 2 * min(1, sample_rate / 44100)
        return {"kbps": share * float(np.interp(quality, range(11), _QUALITY_KBPS))}
    if kind in _OPUS_KINDS:
        lowest, highest = _OPUS_MIN_KBPS * num_channels, min(_OPUS_MAX_KBPS, 256 * num_channels)
    else:
        lowest, highest = (
            _AAC_MIN_KBPS * num_channels,
            int(_AAC_MAX_BITS_PER_SAMPLE * sample_rate / 1000 * num_channels),
        )
    return {"kbps": _in_range(bitrate, lowest, highest)}


def _mp3_settings(sample_rate: int, bitrate: float | None, quality: float) -> dict[str, Any]:
    if bitrate is None:
        return {"bitrate_mode": "VARIABLE", "compression_level": min(_MAX_LEVEL, 1 - quality / 10)}
    lowest, highest = (32, 320) if sample_rate >= 32000 else (8, 160) if sample_rate >= 16000 else (8, 64)
    level = (highest - _in_range(bitrate, lowest, highest)) / (highest - lowest)
    mode = "CONSTANT" if bitrate in _MP3_CONSTANT_KBPS else "AVERAGE"
    return {"bitrate_mode": mode, "compression_level": min(_MAX_LEVEL, level)}


def _in_range(bitrate: float, lowest: int, highest: int) -> float:
    if lowest <= bitrate <= highest:
        return bitrate
    raise StemBridgeError(
        f"{bitrate:g} kbit/s does not work for this sound; choose a bitrate from {lowest} to {highest} kbit/s"
    )


def _vorbis_quality(bitrate: float, sample_rate: int, num_channels: int) -> float:
    """Return the quality that has a nominal bitrate, because the Vorbis encoder takes only a quality."""
    lowest, highest = (_nominal_kbps(quality, sample_rate, num_channels) for quality in (0, 10))
    if highest <= 0:
        raise StemBridgeError(f".ogg has no bitrates at {sample_rate} Hz; choose an encoding quality from 0 to 10")
    _in_range(bitrate, round(lowest), round(highest))
    low, high = 0.0, 10.0
    for _ in range(10):
        middle = (low + high) / 2
        below = _nominal_kbps(middle, sample_rate, num_channels) < bitrate
        low, high = (middle, high) if below else (low, middle)
    return (low + high) / 2


def _nominal_kbps(quality: float, sample_rate: int, num_channels: int) -> float:
    """Return the nominal bitrate in the header of a Vorbis file of this quality, in kbit/s."""
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
