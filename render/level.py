"""How loud a rendered song is written: one factor for all files of it."""

import math

FULL_SCALE = 1 - 2**-15  # the largest sample of 16 bits
NORMALIZED_DB = -1.0  # leaves room for what lossy encoders and converters add between the samples


def common_factor(peak: float, *, clips: bool, normalize: bool) -> float:
    """The factor for all files of a song whose largest sample, in any of them, is `peak`.

    clips: the format cannot hold more than full scale. The factor is then at most what prevents clipping, in steps of
    0.01 dB so that two decimals name it exactly. normalize: bring the peak to -1 dBFS, up or down.

    >>> common_factor(0.5, clips=True, normalize=False)
    1.0
    >>> round(common_factor(2.0, clips=True, normalize=False), 4)
    0.4999
    """
    if normalize and peak > 0:
        return 10 ** (NORMALIZED_DB / 20) / peak
    if clips and peak > 1:
        return 10 ** (-math.ceil(2000 * math.log10(peak / FULL_SCALE)) / 100 / 20)
    return 1.0
