"""Devices for sound, through miniaudio: ALSA, PulseAudio, JACK and what other systems have."""

import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import LiveError
from ..core.extras import install_extra
from .sources_sinks import FILES, Sink, Source

if TYPE_CHECKING:
    from .block_callback import BlockCallback
    from .settings import Settings

PERIODS = 2  # blocks that a device holds, the least there can be
PATIENCE = 2.0  # s without a block after which a device counts as gone
RETRY = 1.0  # s
LOOK = 0.1  # s
# A driver without a clock, such as ALSA's null, asks for blocks as fast as it gets them, and would take all the time of
# the processor: none is let run further ahead of ours than this.
AHEAD = 0.5  # s
FASTER = 0.01  # how much faster than ours a device's clock may be for ever


def device_names(driver: str | None = None) -> tuple[str, list[str], list[str]]:
    """The driver's name, and the names of devices to listen to and to play to. Raises LiveError."""
    devices = _devices(driver)
    return devices.backend, *([device["name"] for device in _list(devices, what)] for what in ("input", "output"))


def play_through_devices(
    settings: "Settings",
    source: Source | None,
    sink: Sink | None,
    work: "BlockCallback",
    stopped: threading.Event,
    report: Callable[[str], None],
    ready: Callable[[], None],
) -> None:
    """Play until `stopped`. A device that vanishes is told of, looked for every second, and taken up again.

    source, sink: what there is in place of a device; one of them is None. work: (channels, n) -> (channels, n).
    Raises LiveError if the devices cannot be used at first, and what source, sink or work raise.
    """
    stream = _Stream(settings, source, sink, work, stopped)
    stream.open()
    try:
        ready()
        while not stopped.wait(LOOK):
            if stream.is_gone():
                report(f"lost {stream.name}; looking for it every second")
                stream.close()
                while not stopped.wait(RETRY):
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
    """One or two devices, open and running or not."""

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
        """Find the devices and let them run. Raises LiveError."""
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
                "--devices lists which there are, and a file or `none` can take the place of one"
            ) from error

    def is_gone(self) -> bool:
        """Whether the device has stopped by itself, or gives no blocks any more."""
        return self._lost or time.monotonic() - self._heard > PATIENCE

    def close(self) -> None:
        """Stop and close; a driver that hangs is left behind."""
        device, self._device = self._device, None
        if device is not None:
            closing = threading.Thread(target=device.close, daemon=True)
            closing.start()
            closing.join(PATIENCE)

    def _lose(self) -> None:
        self._lost = True

    def _blocks(self) -> Generator[bytes, Any, None]:
        """What the device's thread calls: it sends what was captured, or how many samples it wants."""
        channels = self._settings.num_channels
        out = b""
        try:
            due = 0.0
            while True:
                given = yield out
                self._heard = now = time.monotonic()
                if self._stopped.is_set():  # a device goes on until it is closed
                    time.sleep(LOOK)
                    out = b""
                    continue
                time.sleep(max(0.0, due - now))
                if self._source is not None:
                    block = self._source.read(given)
                else:
                    block = np.frombuffer(given, np.float32).reshape(-1, channels).T
                lasts = (given if block is None else block.shape[-1]) / self._settings.sample_rate
                due = max(due, now - AHEAD) + (1 - FASTER) * lasts
                if block is None:
                    self._work.rest(lasts)
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
    """Return miniaudio's drivers on this machine. Raises LiveError if `driver` or miniaudio is missing."""
    try:
        import miniaudio
    except ImportError as error:
        raise LiveError(f"devices need miniaudio ({error}): {install_extra('live')}") from error
    enabled = miniaudio.get_enabled_backends() - {miniaudio.Backend.CUSTOM}
    names = sorted(backend.name.lower() for backend in enabled)
    if driver is not None and driver not in names:
        raise LiveError(f"no driver {driver!r}; there are {', '.join(names)}")
    return enabled


def _devices(driver: str | None) -> Any:
    enabled = check_driver(driver)
    import miniaudio

    # The silent one only if it is asked for: nobody should wonder why nothing is heard.
    wanted = [_backend(driver)] if driver else sorted(enabled - {miniaudio.Backend.NULL}, key=lambda b: b.value)
    try:
        return miniaudio.Devices(wanted)
    except miniaudio.MiniaudioError as error:
        raise LiveError(
            f"no sound system answers ({', '.join(b.name.lower() for b in wanted)}); "
            "use a file or `none` in place of a device, or choose one with --driver"
        ) from error


def _backend(name: str) -> Any:
    import miniaudio

    return miniaudio.Backend[name.upper().replace(" ", "")]


def _list(devices: Any, what: str) -> list[dict[str, Any]]:
    """The devices for "input" or "output"."""
    import miniaudio

    try:
        found: list[dict[str, Any]] = devices.get_captures() if what == "input" else devices.get_playbacks()
        return found
    except miniaudio.MiniaudioError:  # so ALSA says that there is no sound card
        return []


def _found(devices: Any, what: str, wanted: str | None) -> Any:
    """The id of a device by its name or a part of it; None for the default one."""
    ids = {device["name"]: device["id"] for device in _list(devices, what)}
    if not ids:
        raise LiveError(f"there is no {what} device; plug one in, or use a file or `none`")
    if wanted is None:
        return None
    for name in [name for name in ids if name == wanted] + [name for name in ids if wanted.lower() in name.lower()]:
        return ids[name]
    files = "audio file" if what == "input" else f"name of a new file that ends in {', '.join(FILES)}"
    raise LiveError(f"{wanted!r} is no {what} device, and no {files}; the devices are {', '.join(ids)}")


def _reason(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
