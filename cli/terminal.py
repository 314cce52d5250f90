"""Apps that leave the terminal in order, whatever ends them."""

import signal
from typing import Any

from textual.app import App

STOP_SIGNALS = "SIGINT", "SIGTERM", "SIGHUP"


def run_app(app: App[None]) -> None:
    """Show the app until it ends or a signal comes, which is raised again once the terminal is in order."""
    numbers = [getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    caught: list[int] = []

    def stop(number: int, _: Any) -> None:  # first the mixer must restore the terminal
        if caught:  # the mixer hangs
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
