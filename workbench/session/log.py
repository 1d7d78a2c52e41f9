"""The log: what happened, what was done as lines of Python, and errors."""

from __future__ import annotations

import functools
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from workbench.errors import Cancelled, WorkbenchError
from workbench.session.notifier import Notifier

Given = ParamSpec("Given")
Result = TypeVar("Result")

CALL = ">>>"
"""Place of an entry that is a line of Python."""


@dataclass(frozen=True)
class Entry:
    """One line of the log.

    Attributes
    ----------
    when : seconds since 1970.
    place : step or part it is about; `CALL` for a line of Python.
    detail : traceback of a bug in the program.
    merges : a later entry with the same text here replaces this one; empty: none does.
    """

    when: float
    place: str
    message: str
    detail: str = ""
    is_error: bool = False
    merges: str = ""

    @property
    def is_call(self) -> bool:
        """Whether it is a line of Python."""
        return self.place == CALL

    def line(self) -> str:
        """``12:30:05 mask: …``; of something done, ``12:30:05 >>> a line of Python``."""
        mark = "" if self.is_call else ":"
        when = time.strftime("%H:%M:%S", time.localtime(self.when))
        return f"{when} {self.place}{mark} {self.message}"


class Log:
    """The latest 500 entries; errors are kept until `raise_unseen`.

    Parameters
    ----------
    notifier : listeners of ``log`` are called for each entry; listeners that fail are logged.
    """

    def __init__(self, notifier: Notifier | None = None) -> None:
        self.entries: deque[Entry] = deque(maxlen=500)
        self._unseen: list[BaseException] = []
        self._notifier = notifier or Notifier()
        self._notifier.on_failure = self.error

    def note(self, place: str, message: str) -> None:
        """Log something that went well."""
        self._add(Entry(time.time(), place, message))

    def call(self, line: str, merges: str = "") -> None:
        """Log the Python line of something done; it replaces a last one with the same `merges`."""
        last = self.entries[-1] if self.entries else None
        if merges and last is not None and last.merges == merges:
            self.entries.pop()
        self._add(Entry(time.time(), CALL, line, merges=merges))

    def error(self, place: str, error: BaseException) -> str:
        """Log an error, with its traceback if it is a bug in the program.

        Returns
        -------
        The sentence for the panel.
        """
        detail = ""
        if isinstance(error, WorkbenchError):
            message = str(error)
        elif isinstance(error, OSError):
            message = f"{error.filename or 'a file'}: {error.strerror or error}."
        else:
            detail = "".join(traceback.format_exception(error))
            message = f"{type(error).__name__}: {error} (a bug in the program; see the log)"
        if not isinstance(error, Cancelled):
            self._unseen.append(error)
        self._add(Entry(time.time(), place, message, detail, is_error=True))
        return message

    def raise_unseen(self) -> None:
        """Raise the first error since the last call, if there was one (for tests and scripts)."""
        unseen, self._unseen = self._unseen, []
        if unseen:
            raise unseen[0]

    def text(self, detail: bool = False) -> str:
        """All entries, the latest last; `detail`: with tracebacks."""
        return "\n".join(
            entry.line() + (f"\n{entry.detail}" if detail and entry.detail else "")
            for entry in list(self.entries)
        )

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._notifier.notify("log")


class Recorder:
    """Logs calls of an object's methods as lines of Python (see `recorded`).

    Parameters
    ----------
    name : what the object is called in these lines.
    """

    def __init__(self, log: Log, name: str = "session") -> None:
        self.log, self.name = log, name
        self._inside = threading.local()

    def run(self, line: str, act: Callable[[], Result], merges: str = "") -> Result:
        """Log a line and do what it says; what is done within it is not logged again."""
        if getattr(self._inside, "call", False):
            return act()
        self._inside.call = True
        try:
            self.log.call(f"{self.name}.{line}", merges)
            return act()
        finally:
            self._inside.call = False


LEFT_OUT = ("origin", "previewed")


class Recorded(Protocol):
    """An object whose calls are logged."""

    recorder: Recorder


Owner = TypeVar("Owner", bound=Recorded)


def recorded(
    method: Callable[Concatenate[Owner, Given], Result],
) -> Callable[Concatenate[Owner, Given], Result]:
    """Log calls of a method of an object with a `recorder`; not those within another such call.

    Keyword arguments ``origin`` (a control) and ``previewed`` are left out; calls with an origin
    replace each other in the log.
    """

    @functools.wraps(method)
    def wrapped(self: Owner, /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        shown = {name: value for name, value in kwargs.items() if name not in LEFT_OUT}
        given = [*map(literal, args), *(f"{name}={literal(v)}" for name, v in shown.items())]
        merges = f"{method.__name__} {args[:1]}" if kwargs.get("origin") is not None else ""
        line = f"{method.__name__}({', '.join(given)})"
        return self.recorder.run(line, lambda: method(self, *args, **kwargs), merges)

    return wrapped


def literal(value: object) -> str:
    """Value as it is written in Python."""
    if isinstance(value, Path):
        return repr(str(value))
    text = repr(value)
    return "…" if text.startswith("<") or len(text) > 2000 else text
