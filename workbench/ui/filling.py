"""Telling changes of the program from those of a person: controls are filled, or edited."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Filling:
    """True on the thread that fills controls, so that it ignores their changes."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._owner: int | None = None

    def __bool__(self) -> bool:
        return self._owner == threading.get_ident()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            before, self._owner = self._owner, threading.get_ident()
            try:
                yield
            finally:
                self._owner = before
