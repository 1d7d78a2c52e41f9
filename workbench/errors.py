"""Errors the workbench raises on purpose.

Each message is one sentence for a person: what was expected, what was found, where, and what to
do next. The command line prints it without a traceback; a panel shows it beside the control.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from functools import partial
from os import PathLike
from typing import Any


class WorkbenchError(Exception):
    """Base of every error that is the input's fault, not the program's."""


class RecipeError(WorkbenchError, ValueError):
    """A recipe file or a setting cannot be used."""


class RunNotFoundError(WorkbenchError):
    """Experiment, run or stream files are not where they were looked for."""


class DetectorNotFoundError(WorkbenchError):
    """The run does not contain the detector asked for."""


class NoEventsError(WorkbenchError):
    """A run or a selection of its events is empty."""


class ConstantsError(WorkbenchError):
    """A calibration constant is missing, unreadable or of the wrong size."""


class GeometryError(WorkbenchError):
    """A geometry is incomplete or contradictory."""


class VersionStoreError(WorkbenchError):
    """A version store is in a state in which the operation would lose something."""


class MaskError(WorkbenchError):
    """A mask cannot be made, read or combined."""


class AlignmentError(WorkbenchError):
    """An alignment was asked for with unusable settings."""


class Cancelled(WorkbenchError):
    """The user cancelled a long operation that has nothing valid to return."""


_WHAT_TO_DO = {
    errno.ENOENT: "; check the path",
    errno.EISDIR: "; name a file in it",
    errno.EACCES: "; ask its owner to let you read it",
}


def cannot_read(kind: str, error: OSError) -> str:
    """Sentence for a file of some kind that the system does not read, with what to do next."""
    advice = _WHAT_TO_DO.get(error.errno or 0, "")
    return f"cannot read this {kind} ({error.strerror}){advice}."


def first_line(error: BaseException) -> str:
    """First line of what an exception says, without a full stop; its kind if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def one_line(message: str) -> str:
    """Message in which what a file holds cannot break the line or order the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message)


class FileFormatError(WorkbenchError):
    """A file is not what it should be.

    Parameters
    ----------
    path : path of the file.
    problem : what was expected and what was found.
    offset : byte offset of the place, if known.
    line : one-based line number of the place, if known.
    hint : what to do next.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        problem: str,
        *,
        offset: int | None = None,
        line: int | None = None,
        hint: str = "",
    ) -> None:
        self.path = path
        self.problem = problem
        self.offset = offset
        self.line = line
        self.hint = hint
        place = f", line {line}" if line is not None else ""
        place += f", byte {offset}" if offset is not None else ""
        message = f"{path}{place}: {problem}" + (f" {hint}" if hint else "")
        super().__init__(one_line(message))

    def __reduce__(self) -> tuple[Any, ...]:
        # a worker of a cluster raises it elsewhere: without this it could not be unpickled
        rebuild = partial(type(self), offset=self.offset, line=self.line, hint=self.hint)
        return rebuild, (self.path, self.problem)


def first_few(items: Sequence[object], most: int) -> str:
    """Give the first items and how many more there are, in words: ``0, 1, 2 and 5 more``."""
    text = ", ".join(map(str, items[:most]))
    return f"{text} and {len(items) - most} more" if len(items) > most else text


def enumerated(items: Iterable[object]) -> str:
    """Give items as a list in words: ``0, 1 and 3``."""
    *most, last = [str(item) for item in items] or [""]
    return f"{', '.join(most)} and {last}" if most else last
