"""The drivers for sound that miniaudio has on this machine, and the names of their devices."""

from typing import Any

from ..core.errors import LiveError
from ..core.extras import install_extra
from ..core.suggest import did_you_mean
from .sources_sinks import SUFFIXES


def device_names(driver: str | None = None) -> tuple[str, list[str], list[str]]:
    """List the audio devices.

    Args:
        driver: Name of a driver, such as "jack"; by default the first that works.

    Returns:
        The driver's name, the names of input devices, and those of output devices.

    Raises:
        LiveError: No sound system answers, or `driver` is unknown.
    """
    devices = open_devices(driver)
    return devices.backend, *([device["name"] for device in _list(devices, kind)] for kind in ("input", "output"))


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
        raise LiveError(
            f"devices need miniaudio ({error}): {install_extra('live')}, "
            f"or use `none` or a file ({', '.join(SUFFIXES)}) in place of a device"
        ) from error
    enabled = miniaudio.get_enabled_backends() - {miniaudio.Backend.CUSTOM}
    names = sorted(backend.name.lower() for backend in enabled)
    if driver is not None and driver not in names:
        raise LiveError(f"unknown driver {driver!r}{did_you_mean(driver, names)}; choose from {', '.join(names)}")
    return enabled


def open_devices(driver: str | None) -> Any:
    """Return miniaudio's devices of a driver.

    Args:
        driver: Name of the driver, by default the first that works.

    Raises:
        LiveError: No sound system answers, or the driver or miniaudio is missing.
    """
    enabled = check_driver(driver)
    import miniaudio

    # The silent driver only if it is asked for, because otherwise users would wonder why they hear nothing.
    wanted = [backend_named(driver)] if driver else sorted(enabled - {miniaudio.Backend.NULL}, key=lambda b: b.value)
    try:
        return miniaudio.Devices(wanted)
    except miniaudio.MiniaudioError as error:
        raise LiveError(
            f"no sound system answers ({', '.join(b.name.lower() for b in wanted)}); "
            "use a file or `none` in place of a device, or choose another driver with --driver"
        ) from error


def backend_named(name: str) -> Any:
    """Return miniaudio's constant for a driver.

    Args:
        name: Name of the driver, such as "jack".
    """
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


def find_device(devices: Any, kind: str, wanted: str | None) -> Any:
    """Return the id of a device, None for the default device.

    Args:
        devices: From `open_devices`.
        kind: "input" or "output".
        wanted: Name of the device or a part of it, None for the default device.

    Raises:
        LiveError: There is no such device.
    """
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
