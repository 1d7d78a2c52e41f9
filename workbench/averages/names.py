"""Names of the image files of a run (light: no numbers are imported)."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Any

from workbench.errors import WorkbenchError

BASE_NAMES: dict[str, str] = {
    "average": "{experiment!l}_avg-r{run:04d}",
    "stddev": "{experiment!l}_stddev-r{run:04d}",
    "maximum": "{experiment!l}_max-r{run:04d}",
    "minimum": "{experiment!l}_min-r{run:04d}",
}
"""Names of the files without extension, as ``cxi.mpi_average`` gives them."""

FRAME_NAMES: dict[str, str] = {
    kind: base.replace("-r{run:04d}", "") for kind, base in BASE_NAMES.items()
}
"""The same for frames that belong to no run."""

HALVES: dict[str, tuple[str, str]] = {"odd-even": ("odd", "even"), "first-last": ("first", "last")}
"""How the events of a run are divided in two, and what the halves are called."""

_HALF = re.compile(rf"(^|_)({'|'.join(half for pair in HALVES.values() for half in pair)})-")


class _Formatter(string.Formatter):
    """Formatter with the conversions ``!l`` and ``!u``."""

    def convert_field(self, value: Any, conversion: Any) -> Any:
        if conversion == "l":
            return str(value).lower()
        if conversion == "u":
            return str(value).upper()
        return super().convert_field(value, conversion)


def format_name(base: str, fields: Mapping[str, Any]) -> str:
    """Fill fields such as ``{experiment!l}`` and ``{run:04d}`` into a base name."""
    try:
        return _Formatter().vformat(base, (), fields)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        known = ", ".join(fields)
        raise WorkbenchError(
            f"The file name {base!r} cannot be filled in ({error}); known fields: {known}."
        ) from error


def half_name(name: str, half: str) -> str:
    """Name of an image of one half of the events: ``x_avg-r0074`` gives ``x_odd-avg-r0074``.

    Patterns that gather the images of runs (``*_max-r*.cbf``, ``*_max*.cbf``) do not find it.
    """
    head, bar, tail = name.rpartition("_")
    return f"{head}{bar}{half}-{tail}"


def is_half(name: str) -> bool:
    """Whether a file's name is that of an image of one half of the events."""
    return _HALF.search(name.lower()) is not None
