"""Sound files of every kind, made with the encoders of other programs."""

import gc
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile as sf

Make = Callable[..., Path]


def _noise(num_frames: int, num_channels: int = 2, seed: int = 0) -> np.ndarray:
    """Make noise, (channels, n), without the upper half of the spectrum, so that lossy encoders keep its shape."""
    white = np.random.default_rng(seed).standard_normal((num_channels, num_frames + 16)) * 0.1
    window = np.hanning(17) / np.hanning(17).sum()
    return np.stack([np.convolve(channel, window, "valid") for channel in white]).astype(np.float32)


def _with_sndfile(path: Path, audio: np.ndarray, sample_rate: int, **kind: object) -> Path:
    with sf.SoundFile(path, "w", sample_rate, len(audio), **kind) as file:
        for start in range(0, audio.shape[1], 4096):
            file.write(audio[:, start : start + 4096].T)
    return path


def _with_ffmpeg(
    path: Path,
    audio: np.ndarray,
    sample_rate: int,
    codec: str,
    format: str | None = None,
    options: dict[str, str] | None = None,
    bit_rate: int | None = None,
    tags: dict[str, str] | None = None,
    sample_format: str | None = None,
    codec_options: dict[str, str] | None = None,
) -> Path:
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(audio)]
    with av.open(str(path), "w", format=format, options=options or {}) as container:
        container.metadata.update(tags or {})
        stream: Any = container.add_stream(codec, rate=sample_rate, layout=layout, options=codec_options or {})
        if sample_format:
            stream.format = sample_format
        if bit_rate:
            stream.bit_rate = bit_rate
        convert = av.AudioResampler(format=stream.format, layout=layout, rate=sample_rate)
        for start in range(0, audio.shape[1], 1024):
            block = np.ascontiguousarray(audio[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = sample_rate, start, Fraction(1, sample_rate)
            for converted in convert.resample(frame):
                container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return path


_KINDS: dict[str, tuple[str, Callable[..., Path], dict[str, object]]] = {
    "wav-u8": (".wav", _with_sndfile, {"subtype": "PCM_U8"}),
    "wav-16": (".wav", _with_sndfile, {"subtype": "PCM_16"}),
    "wav-24": (".wav", _with_sndfile, {"subtype": "PCM_24"}),
    "wav-32": (".wav", _with_sndfile, {"subtype": "PCM_32"}),
    "wav-float": (".wav", _with_sndfile, {"subtype": "FLOAT"}),
    "wav-double": (".wav", _with_sndfile, {"subtype": "DOUBLE"}),
    "wav-rf64": (".wav", _with_sndfile, {"subtype": "PCM_16", "format": "RF64"}),
    "aiff-16": (".aiff", _with_sndfile, {"subtype": "PCM_16"}),
    "aiff-24": (".aiff", _with_sndfile, {"subtype": "PCM_24"}),
    "flac-16": (".flac", _with_sndfile, {"subtype": "PCM_16"}),
    "flac-24": (".flac", _with_sndfile, {"subtype": "PCM_24"}),
    "flac-ffmpeg": (".flac", _with_ffmpeg, {"codec": "flac", "sample_format": "s16"}),
    "wav-64": (".wav", _with_ffmpeg, {"codec": "pcm_s64le", "sample_format": "s64"}),
    "ogg-flac": (".oga", _with_ffmpeg, {"codec": "flac", "format": "ogg", "sample_format": "s16"}),
    "alac": (".m4a", _with_ffmpeg, {"codec": "alac", "sample_format": "s16p", "options": {"movflags": "faststart"}}),
    "mp3-lame": (".mp3", _with_ffmpeg, {"codec": "libmp3lame", "bit_rate": 128000}),
    "mp3-vbr": (".mp3", _with_sndfile, {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "VARIABLE"}),
    "mp3-bare": (".mp3", _with_ffmpeg, {"codec": "libmp3lame", "bit_rate": 128000, "options": {"write_xing": "0"}}),
    "vorbis": (".ogg", _with_sndfile, {"format": "OGG", "subtype": "VORBIS"}),
    "opus": (".opus", _with_ffmpeg, {"codec": "libopus", "bit_rate": 128000}),
    "opus-sndfile": (".opus", _with_sndfile, {"format": "OGG", "subtype": "OPUS"}),
    "aac": (".m4a", _with_ffmpeg, {"codec": "aac", "bit_rate": 96000, "options": {"movflags": "faststart"}}),
    "aac-unedited": (".m4a", _with_ffmpeg, {"codec": "aac", "bit_rate": 96000, "options": {"use_editlist": "0"}}),
    "aac-bare": (".aac", _with_ffmpeg, {"codec": "aac", "format": "adts", "bit_rate": 96000}),
}


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    return _noise


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make(kind, audio, sample_rate=44100, **more) -> path of a file of that kind."""

    def make(kind: str, audio: np.ndarray, sample_rate: int = 44100, **more: object) -> Path:
        suffix, encode, how = _KINDS[kind]
        return encode(tmp_path / f"{kind}{suffix}", audio, sample_rate, **how | more)

    return make


@pytest.fixture
def cut(tmp_path: Path) -> Callable[[Path, float], Path]:
    """cut(path, part) -> a truncated copy of the file; `part` is the fraction of its bytes to keep."""

    def cut(path: Path, part: float) -> Path:
        data = path.read_bytes()
        copy = tmp_path / f"cut{path.suffix}"
        copy.write_bytes(data[: int(len(data) * part)])
        return copy

    return cut


@pytest.fixture
def offset() -> Callable[[np.ndarray, np.ndarray], int]:
    """offset(audio, decoded) -> samples by which the decoded audio is late."""

    def offset(audio: np.ndarray, decoded: np.ndarray) -> int:
        size = 2 * max(audio.shape[1], decoded.shape[1])
        spectrum = np.fft.rfft(decoded[0], size) * np.conj(np.fft.rfft(audio[0], size))
        best = int(np.argmax(np.fft.irfft(spectrum, size)))
        return best if best < size // 2 else best - size

    return offset


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """run_python(code, *arguments) -> the finished process, its output as text."""

    def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.fixture
def ctrl_c_lost():
    """count(work, times) -> interrupts lost during the work, a generator that yields before it begins."""

    class Interrupt(BaseException):
        pass

    def stop(number, frame):
        nonlocal raised
        raised += 1
        raise Interrupt

    def count(work: Callable[[], Iterator[None]], times: int = 300) -> int:
        caught = 0
        for attempt in range(times):
            steps = work()
            next(steps)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.00004 * (attempt % 100))
                next(steps, None)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupt:
                caught += 1
        assert raised > times / 2  # else the test has shown nothing
        return raised - caught

    raised = 0
    before = signal.signal(signal.SIGALRM, stop)
    gc.disable()  # hypothesis calls Python at each garbage collection, where exceptions are lost
    yield count
    gc.enable()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
