"""Sample formats, channels and rates that each kind of audio or video file can hold, by suffix."""

from typing import NamedTuple

from ..core.errors import StemBridgeError

# The rates of MP3. AAC also has higher rates, but would spend its bits on inaudible sound there.
_MPEG_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
LOSSY = "lossy"  # the sample format of lossy files, which have no other
SAMPLE_BYTES = {"int16": 2, "int24": 3, "float32": 4}
_FINE_RATE_HZ = 44100  # rates above the highest of a lossy container are not reduced below this


class Container(NamedTuple):
    """The sound that a kind of audio file can hold.

    Attributes:
        sample_formats: Sample formats that are stored without loss, coarsest first.
        is_lossy: Whether the sound is lossy unless one of `sample_formats` is chosen.
        max_channels: Highest number of channels.
        sample_rates: In Hz. Sound for a lossy file is resampled to one of these; other files must have one of these.
        max_bytes: Highest number of bytes of samples, or None if there is no limit.
    """

    sample_formats: tuple[str, ...]
    is_lossy: bool
    max_channels: int
    sample_rates: range | tuple[int, ...]
    max_bytes: int | None = None

    def check(self, suffix: str, sample_rate: int, num_channels: int, sample_format: str) -> None:
        """Check that a file of this kind can hold some sound. For a lossy file, sound can be resampled.

        Args:
            suffix: Suffix of the file, for the error.
            sample_rate: In Hz.
            num_channels: Number of channels.
            sample_format: "int16", "int24", "float32" or "lossy".

        Raises:
            ValueError: The file cannot hold it; the error says which file can.
        """
        if sample_format != LOSSY and sample_format not in self.sample_formats:
            formats = " or ".join(self.sample_formats)
            raise StemBridgeError(f"{suffix} cannot hold {sample_format} samples; use {formats}, or write .wav")
        is_free = self.is_lossy and isinstance(self.sample_rates, tuple) and sample_rate > 0
        if sample_rate not in self.sample_rates and not is_free:
            rates = self._rates_text()
            raise StemBridgeError(
                f"{suffix} cannot hold a sample rate of {sample_rate} Hz ({rates}); use .wav or .flac"
            )
        if not 1 <= num_channels <= self.max_channels:
            raise StemBridgeError(f"{suffix} cannot hold {num_channels} channels (1 to {self.max_channels}); use .wav")

    def nearest_rate(self, sample_rate: int) -> int:
        """Return the rate to which sound is resampled for a lossy file.

        Args:
            sample_rate: Sample rate of the sound, in Hz.

        >>> CONTAINERS[".opus"].nearest_rate(44100), CONTAINERS[".mp3"].nearest_rate(88200)
        (48000, 44100)
        """
        if sample_rate in self.sample_rates:
            return sample_rate
        if higher := [rate for rate in self.sample_rates if rate > sample_rate]:
            return min(higher)
        fine = [rate for rate in self.sample_rates if rate >= _FINE_RATE_HZ and sample_rate % rate == 0]
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
    ".mp3": Container((), True, 2, _MPEG_RATES_HZ),
    ".ogg": Container((), True, 255, range(1, 200001)),  # libsndfile crashes at higher rates
    ".opus": Container((), True, 2, (48000,)),
    ".m4a": Container(("int16", "int24"), True, 2, _MPEG_RATES_HZ),
}
VIDEO_CONTAINERS: dict[str, Container] = {
    ".mp4": Container(("int16", "int24"), True, 2, _MPEG_RATES_HZ),
    ".mov": Container(("int16", "int24"), True, 2, _MPEG_RATES_HZ),
    ".mkv": Container(("int16", "int24"), True, 2, _MPEG_RATES_HZ),
    ".webm": Container((), True, 2, (48000,)),
}
ALIASES = {".aif": ".aiff", ".m4v": ".mp4"}


def kind_of(suffix: str) -> str:
    """Return the key in `CONTAINERS` or `VIDEO_CONTAINERS` for a suffix, or the suffix itself if there is none.

    Args:
        suffix: In upper or lower case.

    >>> kind_of(".AIF"), kind_of(".mp3"), kind_of(".xyz")
    ('.aiff', '.mp3', '.xyz')
    """
    return ALIASES.get(suffix.lower(), suffix.lower())
