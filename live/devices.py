"""Audio devices, through miniaudio: ALSA, PulseAudio, JACK, and the sound systems of other platforms."""

import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import LiveError
from ..core.extras import install_extra
from ..core.suggest import did_you_mean
from .sources_sinks import SUFFIXES, Sink, Source

if TYPE_CHECKING:
    from .block_callback import BlockCallback
    from .settings import Settings

PERIODS = 2  # blocks that a device buffers, the minimum
DEVICE_TIMEOUT_S = 2.0  # a device that asks for no block for so long counts as lost
RETRY_INTERVAL_S = 1.0  # between two attempts to find a lost device
POLL_INTERVAL_S = 0.1
# A driver without a clock, such as ALSA's null, asks for blocks as fast as it gets them, and would use a whole core. So
# no device may run further ahead of this computer's clock.
MAX_AHEAD_S = 0.5
CLOCK_TOLERANCE = 0.01  # a device's clock may be faster than this computer's by this share


def device_names(driver: str | None = None) -> tuple[str, list[str], list[str]]:
    """List the audio devices.

    Args:
        driver: Name of a driver, such as "jack"; by default the first that works.

    Returns:
        The driver's name, the names of input devices, and those of output devices.

    Raises:
        LiveError: No sound system answers, or `driver` is unknown.
    """
    devices = _devices(driver)
    return devices.backend, *([device["name"] for device in _list(devices, kind)] for kind in ("input", "output"))


def play_through_devices(
    settings: "Settings",
    source: Source | None,
    sink: Sink | None,
    work: "BlockCallback",
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
        settings: "Settings",
        source: Source | None,
        sink: Sink | None,
        work: "BlockCallback",
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
        devices = _devices(settings.driver)
        options: dict[str, Any] = {
            "sample_rate": settings.sample_rate,
            "buffersize_msec": max(1, round(1000 * settings.block / settings.sample_rate)),
            "callback_periods": PERIODS,
            "backends": [_backend(devices.backend)],
            "app_name": "StemBridge",
        }
        kind, sample_format, channels = None, miniaudio.SampleFormat.FLOAT32, settings.num_channels
        if self._source is None:
            capture = _found(devices, "input", settings.input)
            kind, options = miniaudio.CaptureDevice, options | {"input_format": sample_format, "device_id": capture}
        if self._sink is None:
            playback = _found(devices, "output", settings.output)
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


def check_driver(driver: str | None) -> Any:
    """Return miniaudio's drivers on this machine.

    Args:
        driver: Name of a driver that must be among them.

    Raises:
        LiveError: The driver or miniaudio is missing.
    """
    try:
        import miniaudio
    except ImportError as error:
        raise LiveError(f"devices need miniaudio ({error}): {install_extra('live')}") from error
    enabled = miniaudio.get_enabled_backends() - {miniaudio.Backend.CUSTOM}
    names = sorted(backend.name.lower() for backend in enabled)
    if driver is not None and driver not in names:
        raise LiveError(f"unknown driver {driver!r}{did_you_mean(driver, names)}; choose from {', '.join(names)}")
    return enabled


def _devices(driver: str | None) -> Any:
    enabled = check_driver(driver)
    import miniaudio

    # The silent driver only if it is asked for, because otherwise users would wonder why they hear nothing.
    wanted = [_backend(driver)] if driver else sorted(enabled - {miniaudio.Backend.NULL}, key=lambda b: b.value)
    try:
        return miniaudio.Devices(wanted)
    except miniaudio.MiniaudioError as error:
        raise LiveError(
            f"no sound system answers ({', '.join(b.name.lower() for b in wanted)}); "
            "use a file or `none` in place of a device, or choose another driver with --driver"
        ) from error


def _backend(name: str) -> Any:
    import miniaudio

    return miniaudio.Backend[name.upper().replace(" ", "")]


def _list(devices: Any, kind: str) -> list[dict[str, Any]]:
    """Return the devices for "input" or "output"."""
    import miniaudio

    try:
        found: list[dict[str, Any]] = devices.get_captures() if kind == "input" else devices.get_playbacks()
        return found
    except miniaudio.MiniaudioError:  # raised by ALSA if there is no sound card
        return []


def _found(devices: Any, kind: str, wanted: str | None) -> Any:
    """Return the id of a device by its name or a part of it, None for the default device."""
    ids = {device["name"]: device["id"] for device in _list(devices, kind)}
    if not ids:
        raise LiveError(f"no {kind} device was found; plug one in, or use a file or `none`")
    if wanted is None:
        return None
    for name in [name for name in ids if name == wanted] + [name for name in ids if wanted.lower() in name.lower()]:
        return ids[name]
    file = "an existing file" if kind == "input" else f"a file name that ends in {', '.join(SUFFIXES)}"
    meant = did_you_mean(wanted, ids)
    raise LiveError(f"{wanted!r} is neither an {kind} device nor {file}{meant}; the devices are {', '.join(ids)}")


def _reason(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
