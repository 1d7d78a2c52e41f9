"""Where results come from: input files, hashes and everything else they carry."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from workbench.report.text import Shown, folded, table, together

_HASH_UP_TO = 64_000_000
_SHORT = 90


def shown(provenance: Any) -> Shown:
    """Short table of a provenance; all of it as JSON, folded."""
    told = {key: value for key, value in plain(provenance).items() if key != "recipe"}
    rows = [[key, _short(value)] for key, value in told.items()]
    text = json.dumps(told, indent=1, ensure_ascii=False)
    return together(table(["", ""], rows), folded("All of it, as JSON (not printed)", text))


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} entries"
    if isinstance(value, dict):
        value = ", ".join(f"{key} {_short(inner)}" for key, inner in value.items())
    text = str(value)
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


def files_in(provenance: Any) -> list[dict[str, Any]]:
    """Every described file in a provenance, once, in order."""
    found: dict[str, dict[str, Any]] = {}

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "path" in value and "bytes" in value:
                found.setdefault(str(value["path"]), value)
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                walk(inner)

    walk(provenance)
    return list(found.values())


def hash_of(path: str) -> str:
    """Start of the SHA-256 of a file that is not too large."""
    try:
        if os.stat(path).st_size > _HASH_UP_TO:
            return "–"
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] + "…"
    except OSError:
        return "not there any more"


def sha256(content: Any) -> str:
    """SHA-256 of bytes or of an array."""
    return hashlib.sha256(content).hexdigest()


def plain(value: Any) -> Any:
    """Values as JSON knows them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
