"""Hand values from any thread to one thread that uses them."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..core.errors import error_text
from ..core.log import report_safely

Key = tuple[str, str | None]  # kind and stem of a change; a preset has no stem

USE_INTERVAL_S = 0.001  # least time between two uses, so that a flood of values is used in a few batches
CLOSE_TIMEOUT_S = 2.0  # longest time to wait at the end for a use that is under way


class Mailbox:
    """Keeps the latest value of each key until a thread uses them all together.

    The thread does this at most a thousand times a second. However fast values come, there is one for each key.

    Args:
        use: Called in the thread with a table of values. If it raises an error, these values are lost, and the thread
            goes on.
        name: Name of the thread.
        report: Called with a line about the first error of each type from `use`.
    """

    def __init__(self, use: Callable[[dict[Key, Any]], None], name: str, report: Callable[[str], None]) -> None:
        self._use, self._name, self._report = use, name, report
        self._reported: set[type] = set()
        self._table: dict[Key, Any] = {}
        self._in_use: dict[Key, Any] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, values: Mapping[Key, Any]) -> None:
        """Hand over values, without waiting for their use.

        Args:
            values: Key to value. They replace values of the same keys that were not used yet.
        """
        with self._changed:
            if not self._table:
                self._changed.notify()
            self._table.update(values)

    @property
    def pending(self) -> dict[Key, Any]:
        """Values that were not used yet or are being used now."""
        with self._changed:
            return self._in_use | self._table

    def close(self) -> None:
        """Wait until the thread has used all values, and end it."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._table or self._closed)
                self._in_use, self._table = self._table, {}
            if not self._in_use:
                return
            try:
                self._use(self._in_use)
            except Exception as error:
                if type(error) not in self._reported:
                    self._reported.add(type(error))
                    report_safely(self._report, f"{self._name}: an error was ignored ({error_text(error)})")
            with self._changed:
                self._in_use = {}
            time.sleep(USE_INTERVAL_S)
