"""Progress of long work: one small protocol; a face on the terminal, one in the notebook."""

from __future__ import annotations

import sys
import time
from typing import Protocol

from workbench.errors import Cancelled


class Progress(Protocol):
    """What long-running functions report to; they never print."""

    @property
    def cancelled(self) -> bool:
        """True once the user wants the work to stop."""
        ...

    def update(self, done: float, total: float | None = None, message: str = "") -> None:
        """`done` of `total` units are finished (total None: not known)."""
        ...


class Silent:
    """Progress nobody watches and nobody can cancel."""

    cancelled = False

    def update(self, done: float, total: float | None = None, message: str = "") -> None:
        """Do nothing."""


LOG_SECONDS = 30
"""Between two lines of progress in a log file."""


class Terminal:
    """Progress as a tqdm bar on standard error; use as a context manager.

    The bar appears only if the work takes longer than half a second. Where standard error is no
    terminal but the log of a batch job, a line is written now and then instead.
    """

    cancelled = False

    def __init__(self, description: str = "", unit: str = "event") -> None:
        from tqdm import tqdm

        self._name, self._unit = description, unit
        self._lines, self._told = not sys.stderr.isatty(), time.monotonic()
        self._bar: tqdm[None] = tqdm(
            desc=description, unit=unit, delay=0.5, leave=False, mininterval=0.2,
            disable=self._lines,
        )  # fmt: skip

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def update(self, done: float, total: float | None = None, message: str = "") -> None:
        """Move the bar to `done` of `total`."""
        if self._lines:
            if time.monotonic() - self._told >= LOG_SECONDS:
                self._told = time.monotonic()
                of = "" if total is None else f" of {total:.0f}"
                note = f" ({message})" if message else ""
                units = self._unit + ("s" if len(self._unit) > 1 else "")
                line = f"{self._name}: {done:.0f}{of} {units}{note}"
                print(line, file=sys.stderr, flush=True)
            return
        if total is not None:
            self._bar.total = total
        if message:
            self._bar.set_postfix_str(message, refresh=False)
        self._bar.update(done - self._bar.n)


def raise_if_cancelled(progress: Progress | None, what: str) -> None:
    """Raise `Cancelled` naming `what` if the user asked to stop."""
    if progress is not None and progress.cancelled:
        raise Cancelled(f"{what} was cancelled; nothing was written.")
