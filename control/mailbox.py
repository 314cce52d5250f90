"""Values handed from any thread to one that uses them."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from .listener import named, tell

Key = tuple[str, str | None]  # kind and stem of a change; a preset has no stem

REST = 0.001  # seconds between two uses, so that what comes in a flood is used in few of them
PATIENCE = 2.0  # seconds to wait for whoever uses the values to come back


class Mailbox:
    """A table of the latest value of each key, and a thread that takes all there are as soon as there are any.

    It does so a thousand times a second at most, and the table is as large as there are keys, however fast values come.

    Args:
        use: Called with the table. If it raises an error, these values are lost, and the thread goes on.
        name: The thread's name.
        report: Called with a line for the first error of each type from `use`.
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
        """Hand over values; those that were not taken yet are replaced. Never waits for their use."""
        with self._changed:
            if not self._table:
                self._changed.notify()
            self._table.update(values)

    @property
    def pending(self) -> dict[Key, Any]:
        """The values that are not used yet or are being used now."""
        with self._changed:
            return self._in_use | self._table

    def close(self) -> None:
        """Let the thread take what there is, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(PATIENCE)

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
                    tell(self._report, f"{self._name}: an error was ignored ({named(error)})")
            with self._changed:
                self._in_use = {}
            time.sleep(REST)
