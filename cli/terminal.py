"""Apps that restore the terminal, even if a signal ends them."""

import signal
from typing import Any

from textual.app import App

STOP_SIGNALS = "SIGINT", "SIGTERM", "SIGHUP"


def run_app(app: App[None]) -> None:
    """Show an app until it ends or a signal arrives. The signal is raised again after the terminal has been restored.

    Args:
        app: The app.
    """
    numbers = [getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    caught: list[int] = []

    def stop(number: int, _: Any) -> None:  # first the app must restore the terminal
        if caught:  # the app hangs
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        caught.append(number)
        app.call_later(app.exit)

    for number in numbers:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        app.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in caught[:1]:  # even if a lost terminal made the mixer fail: the signal is the reason
            signal.raise_signal(number)
