"""Names of the image files of a run (light: no numbers are imported)."""

from __future__ import annotations

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
