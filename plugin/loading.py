"""Load VST3 plugins on a thread on which pedalboard can load them.

pedalboard loads plugins only on JUCE's message thread: the thread that loaded the first plugin that still exists. If
that thread has ended, no thread can load plugins. So plugins made on the main thread are loaded there, like other
makers' plugins. All others are loaded on one background thread that never ends.
"""

import os
import threading
from collections.abc import Callable

from ..core.background import BackgroundWorker

_loader: BackgroundWorker | None = None


class WrongThreadError(RuntimeError):
    """pedalboard can load plugins only on another thread, which StemBridge does not control."""


def load(make: Callable[[], None]) -> None:
    """Call `make` on a thread on which pedalboard can load plugins.

    Args:
        make: Loads a plugin.

    Raises:
        WrongThreadError: That is neither this thread nor the background thread.
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
        "pedalboard loads VST3 plugins only on the thread that loaded the first of those that still exist; "
        "make this one on that thread, or delete the others first"
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
        _loader.discard()  # after Ctrl-C, wait until loading has ended


def _forget_loader() -> None:
    global _loader
    _loader = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_loader)  # a forked process has no such thread
