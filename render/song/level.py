"""Level of a rendered song: measurements, and the factor by which all its files are multiplied."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...audio.loudness import Loudness

FULL_SCALE = 1 - 2**-15  # the largest sample of 16 bits
NORMALIZED_PEAK_DB = -1.0  # below full scale, because lossy encoders and converters may raise peaks
MAX_TRUE_PEAK_DB = -1.0  # the limit of EBU R128


@dataclass(frozen=True)
class Level:
    """Level of a file.

    Attributes:
        lufs: Integrated loudness (EBU R128); None for silence and for less than 0.4 s.
        peak_db: The largest sample in dBFS; None for silence.
        true_peak_db: The largest peak, also between samples, in dBTP; None for silence, and if it was not measured.
    """

    lufs: float | None
    peak_db: float | None
    true_peak_db: float | None = None

    @classmethod
    def measured(cls, meter: "Loudness", *, true_peak: bool = False) -> "Level":
        """Return what a meter measured.

        Args:
            meter: A meter that has received all audio.
            true_peak: Whether it measured the true peak.
        """
        peaks = meter.peak_db(), meter.true_peak_db() if true_peak else -math.inf
        peak_db, true_peak_db = (None if peak == -math.inf else peak for peak in peaks)
        return cls(meter.lufs(), peak_db, true_peak_db)


def loudness_factor(level: Level, lufs: float | None) -> tuple[float, str]:
    """Return the factor that changes the loudness to `lufs`, as far as a true peak of -1 dBTP allows.

    Args:
        level: The level now, with its true peak.
        lufs: The loudness to reach, None if it should be that of silence, which cannot be reached.

    Returns:
        The factor, and a warning if the loudness is not `lufs`, else "".

    >>> loudness_factor(Level(-20.0, -9.5, -9.0), -14.0) == (10 ** (6 / 20), "")
    True
    >>> loudness_factor(Level(-20.0, -4.5, -4.0), -14.0)[1]
    'its loudness is -17.0 LUFS instead of -14.0, 3.0 LU short, because its true peak may not be above -1 dBTP'
    """
    room_db = math.inf if level.true_peak_db is None else MAX_TRUE_PEAK_DB - level.true_peak_db
    if lufs is None or level.lufs is None:
        why = "its loudness was not changed, because silence and audio shorter than 0.4 s have no loudness"
        return 10 ** (min(0.0, room_db) / 20), why
    factor = 10 ** (min(lufs - level.lufs, room_db) / 20)
    short = lufs - level.lufs - room_db
    if short < 0.05:
        return factor, ""
    reached = f"its loudness is {lufs - short:.1f} LUFS instead of {lufs:.1f}, {short:.1f} LU short"
    return factor, f"{reached}, because its true peak may not be above -1 dBTP"


def common_factor(peak: float, *, clips: bool, normalize: bool) -> float:
    """Return the factor for all files of a song.

    Args:
        peak: The largest sample in any of the files; full scale is 1.
        clips: The format cannot hold more than full scale. Then the factor prevents clipping, in steps of 0.01 dB, so
            that a message with two decimals is exact.
        normalize: Set the peak to -1 dBFS, up or down.

    >>> common_factor(0.5, clips=True, normalize=False)
    1.0
    >>> round(common_factor(2.0, clips=True, normalize=False), 4)
    0.4995
    """
    if normalize and peak > 0:
        return 10 ** (NORMALIZED_PEAK_DB / 20) / peak
    if clips and peak > 1:
        return 10 ** (-math.ceil(2000 * math.log10(peak / FULL_SCALE)) / 100 / 20)
    return 1.0
