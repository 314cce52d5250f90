"""Audio devices, through miniaudio: ALSA, PulseAudio, JACK, and the sound systems of other platforms."""

import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from ..core.errors import LiveError
from .block_callback import BlockCallback
from .drivers import backend_named, find_device, open_devices
from .settings import Settings
from .sources_sinks import Sink, Source

PERIODS = 2  # blocks that a device buffers, the minimum
DEVICE_TIMEOUT_S = 2.0  # a device that asks for no block for so long counts as lost
RETRY_INTERVAL_S = 1.0  # between two attempts to find a lost device
POLL_INTERVAL_S = 0.1
# A driver without a clock, such as ALSA's null, asks for blocks as fast as it gets them, and would use a whole core. So
# no device may run further ahead of this computer's clock.
MAX_AHEAD_S = 0.5
CLOCK_TOLERANCE = 0.01  # a device's clock may be faster than this computer's by this share


def play_through_devices(
    settings: Settings,
    source: Source | None,
    sink: Sink | None,
    work: BlockCallback,
    stopped: threading.Event,
    report: Callable[[str], None],
    ready: Callable[[], None],
) -> None:
    """Play until `stopped` is set. If a device disappears, report it, look for it every second, and use it again.

    Args:
        settings: The devices, and how to use them.
        source: In place of an input device; None for a device.
        sink: In place of an output device; None for a device. At least one of the two is None.
        work: Processes blocks, shape (channels, n).
        stopped: Ends the sound; also set when source, sink or work raise an exception.
        report: Called with a line when a device disappears or returns.
        ready: Called when the devices run.

    Raises:
        LiveError: The devices cannot be used at the start.
        Exception: Whatever source, sink or work raised.
    """
    stream = _Stream(settings, source, sink, work, stopped)
    stream.open()
    try:
        ready()
        while not stopped.wait(POLL_INTERVAL_S):
            if stream.is_gone():
                report(f"lost {stream.name}; looking for it every second")
                stream.close()
                while not stopped.wait(RETRY_INTERVAL_S):
                    try:
                        stream.open()
                    except LiveError:
                        continue
                    report(f"found {stream.name} again")
                    break
    finally:
        stream.close()
    if stream.error is not None:
        raise stream.error


class _Stream:
    """One or two devices, which may be open and running or not."""

    def __init__(
        self,
        settings: Settings,
        source: Source | None,
        sink: Sink | None,
        work: BlockCallback,
        stopped: threading.Event,
    ) -> None:
        self._settings, self._source, self._sink, self._work, self._stopped = settings, source, sink, work, stopped
        self._device: Any = None
        self._lost = False
        self._heard = 0.0
        self.error: Exception | None = None
        wanted = dict.fromkeys([settings.input] * (source is None) + [settings.output] * (sink is None))
        self.name = " and ".join(f"device {name}" if name else "the default device" for name in wanted)

    def open(self) -> None:
        """Find the devices and start them. Raises LiveError."""
        import miniaudio

        settings = self._settings
        devices = open_devices(settings.driver)
        options: dict[str, Any] = {
            "sample_rate": settings.sample_rate,
            "buffersize_msec": max(1, round(1000 * settings.block / settings.sample_rate)),
            "callback_periods": PERIODS,
            "backends": [backend_named(devices.backend)],
            "app_name": "StemBridge",
        }
        kind, sample_format, channels = None, miniaudio.SampleFormat.FLOAT32, settings.num_channels
        if self._source is None:
            capture = find_device(devices, "input", settings.input)
            kind, options = miniaudio.CaptureDevice, options | {"input_format": sample_format, "device_id": capture}
        if self._sink is None:
            playback = find_device(devices, "output", settings.output)
            if kind is None:
                kind = miniaudio.PlaybackDevice
                options |= {"output_format": sample_format, "device_id": playback}
            else:
                kind = miniaudio.DuplexStream
                del options["input_format"], options["device_id"]
                options |= {"capture_format": sample_format, "capture_channels": channels, "capture_device_id": capture}
                options |= {"playback_format": sample_format, "playback_device_id": playback}
                options |= {"playback_channels": channels}
        if kind is not miniaudio.DuplexStream:
            options["nchannels"] = channels
        assert kind is not None
        self._lost, self._heard = False, time.monotonic()
        blocks = self._blocks()
        next(blocks)
        try:
            self._device = kind(**options)
            self._device.stop_callback = self._lose
            self._device.start(blocks)
        except miniaudio.MiniaudioError as error:
            self.close()
            raise LiveError(
                f"{self.name} cannot be opened at {settings.sample_rate} Hz: {_reason(error)}; "
                "choose another device (--devices lists them), or use a file or `none`"
            ) from error

    def is_gone(self) -> bool:
        """Return whether a device has stopped by itself, or does not ask for blocks any more."""
        return self._lost or time.monotonic() - self._heard > DEVICE_TIMEOUT_S

    def close(self) -> None:
        """Stop and close the devices. If a driver hangs, do not wait for it."""
        device, self._device = self._device, None
        if device is not None:
            closing = threading.Thread(target=device.close, daemon=True)
            closing.start()
            closing.join(DEVICE_TIMEOUT_S)

    def _lose(self) -> None:
        self._lost = True

    def _blocks(self) -> Generator[bytes, Any, None]:
        """Process blocks in the device's thread. It sends captured samples, or the number of samples that it needs."""
        channels = self._settings.num_channels
        out = b""
        try:
            due = 0.0
            while True:
                given = yield out
                self._heard = now = time.monotonic()
                if self._stopped.is_set():  # a device asks for blocks until it is closed
                    time.sleep(POLL_INTERVAL_S)
                    out = b""
                    continue
                time.sleep(max(0.0, due - now))
                if self._source is not None:
                    block = self._source.read(given)
                else:
                    block = np.frombuffer(given, np.float32).reshape(-1, channels).T
                lasts = (given if block is None else block.shape[-1]) / self._settings.sample_rate
                due = max(due, now - MAX_AHEAD_S) + (1 - CLOCK_TOLERANCE) * lasts
                if block is None:
                    self._work.idle(lasts)
                    out = bytes(4 * channels * given)
                    continue
                done = self._work(block)
                if self._sink is not None:
                    self._sink.write(done)
                else:
                    out = np.ascontiguousarray(done.T).tobytes()
        except Exception as error:
            self.error = error
            self._stopped.set()


def _reason(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
