"""The thread on which pedalboard loads VST3 plugins.

That is JUCE's message thread: the one that loaded the first of the plugins that still exist. If it has ended, no other
thread can load any. So the main thread loads its own, together with plugins of other makers, and one thread that never
ends loads for all others.
"""

import os
import threading
from collections.abc import Callable

from ..engine.background import BackgroundWorker

_loader: BackgroundWorker | None = None


class WrongThreadError(RuntimeError):
    """pedalboard loads plugins on another thread only, which this program has to do itself."""


def load(make: Callable[[], None]) -> None:
    """Call `make`, which loads a plugin, where pedalboard does so. Callers take turns.

    Raises WrongThreadError, in one line, if pedalboard loads neither here nor on our own thread.
    """
    places: list[Callable[[Callable[[], None]], None]] = [_on_loader, _here]
    if threading.current_thread() is threading.main_thread():
        places.reverse()
    for place in places:
        try:
            return place(make)
        except RuntimeError as error:
            if "main thread" not in str(error):
                raise
            refused = error
    raise WrongThreadError(
        "pedalboard loads VST3 plugins only on the thread that loaded the first of those that still exist. "
        "Make it there, or delete those before; then it works on every thread"
    ) from refused


def _here(make: Callable[[], None]) -> None:
    make()


def _on_loader(make: Callable[[], None]) -> None:
    global _loader
    if _loader is None:
        _loader = BackgroundWorker()
    _loader.submit(make)
    try:
        _loader.result()
    finally:
        _loader.discard()  # after Ctrl-C nothing goes on loading


def _forget_loader() -> None:
    global _loader
    _loader = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_loader)  # it did not come along
