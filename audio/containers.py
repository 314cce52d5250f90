"""The sample formats, channels and rates that each kind of audio or video file can hold, by suffix."""

from typing import NamedTuple

# The rates of MP3. AAC also has higher rates, but would spend its bits there on sound that nobody hears.
_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
LOSSY = "lossy"  # stands for a sample format in files that have none
SAMPLE_BYTES = {"int16": 2, "int24": 3, "float32": 4}
_FINE_RATE = 44100  # Hz; a rate above a lossy container's highest is not reduced below this


class Container(NamedTuple):
    """The sound that a kind of audio file can hold.

    Attributes:
        sample_formats: Formats of samples that are stored as they are or coded without loss, coarsest first.
        is_lossy: Whether it is coded with loss unless one of `sample_formats` is asked for.
        max_channels: The most channels.
        sample_rates: In Hz. A lossy file has its sound resampled to one of these; without loss it has any rate.
        max_bytes: The most bytes of samples, or None if there is no limit.
    """

    sample_formats: tuple[str, ...]
    is_lossy: bool
    max_channels: int
    sample_rates: range | tuple[int, ...]
    max_bytes: int | None = None

    def check(self, suffix: str, sample_rate: int, num_channels: int, sample_format: str) -> None:
        """Raise ValueError if a file of this kind cannot hold this; a lossy file can be resampled."""
        if sample_format != LOSSY and sample_format not in self.sample_formats:
            formats = " or ".join(self.sample_formats)
            raise ValueError(f"{suffix} cannot hold {sample_format} samples; use {formats}, or write .wav")
        is_free = self.is_lossy and isinstance(self.sample_rates, tuple) and sample_rate > 0
        if sample_rate not in self.sample_rates and not is_free:
            rates = self._rates_text()
            raise ValueError(f"{suffix} cannot hold a sample rate of {sample_rate} Hz ({rates}); use .wav or .flac")
        if not 1 <= num_channels <= self.max_channels:
            raise ValueError(f"{suffix} cannot hold {num_channels} channels (1 to {self.max_channels}); use .wav")

    def nearest_rate(self, sample_rate: int) -> int:
        """Return the rate at which a lossy file holds sound of this rate.

        >>> CONTAINERS[".opus"].nearest_rate(44100), CONTAINERS[".mp3"].nearest_rate(88200)
        (48000, 44100)
        """
        if sample_rate in self.sample_rates:
            return sample_rate
        if higher := [rate for rate in self.sample_rates if rate > sample_rate]:
            return min(higher)
        fine = [rate for rate in self.sample_rates if rate >= _FINE_RATE and sample_rate % rate == 0]
        return max(fine or self.sample_rates)

    def _rates_text(self) -> str:
        if isinstance(self.sample_rates, range):
            return f"{self.sample_rates[0]} to {self.sample_rates[-1]} Hz"
        *most, last = (f"{rate / 1000:g}" for rate in self.sample_rates)
        return f"{', '.join(most)} or {last} kHz" if most else f"{last} kHz"


CONTAINERS: dict[str, Container] = {
    ".wav": Container(("int16", "int24", "float32"), False, 65535, range(1, 2**31)),
    ".flac": Container(("int16", "int24"), False, 8, range(1, 655351)),
    ".aiff": Container(("int16", "int24", "float32"), False, 65535, range(1, 2**31), 2**32 - 2**16),
    ".mp3": Container((), True, 2, _MPEG_RATES),
    ".ogg": Container((), True, 255, range(1, 200001)),  # libsndfile crashes at higher rates
    ".opus": Container((), True, 2, (48000,)),
    ".m4a": Container(("int16", "int24"), True, 2, _MPEG_RATES),
}
VIDEO_CONTAINERS: dict[str, Container] = {
    ".mp4": Container(("int16", "int24"), True, 2, _MPEG_RATES),
    ".mov": Container(("int16", "int24"), True, 2, _MPEG_RATES),
    ".mkv": Container(("int16", "int24"), True, 2, _MPEG_RATES),
    ".webm": Container((), True, 2, (48000,)),
}
ALIASES = {".aif": ".aiff", ".m4v": ".mp4"}


def kind_of(suffix: str) -> str:
    """Return the key in `CONTAINERS` or `VIDEO_CONTAINERS` for a suffix, or the suffix itself in lower case.

    >>> kind_of(".AIF"), kind_of(".mp3"), kind_of(".xyz")
    ('.aiff', '.mp3', '.xyz')
    """
    return ALIASES.get(suffix.lower(), suffix.lower())
