"""Stopping a long command so that what it has done so far is kept."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from workbench.progress import Terminal

Handler = Callable[[int, FrameType | None], object] | int | None
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruptible(Terminal):
    """Progress bar that Ctrl-C (or SIGTERM, as batch systems send it) cancels; a context manager.

    The first signal lets the work finish with what it has; a second one stops at once.

    Attributes
    ----------
    signal : the signal that came, or None.
    """

    def __init__(self, description: str) -> None:
        super().__init__(description, "event")
        self.signal: int | None = None
        self._before: dict[int, Handler] = {}

    def __enter__(self) -> Interruptible:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._stop) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: object) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        self.cancelled = True
        sys.stderr.write(
            "\nStopping; what is done so far is kept. Press Ctrl-C again to stop at once.\n"
        )

    @property
    def status(self) -> int:
        """Exit status: 0, or 128 + the signal (130 after Ctrl-C, 143 after SIGTERM)."""
        return 0 if self.signal is None else 128 + self.signal
