"""Where a result comes from: a plain, JSON-able dictionary that travels with it."""

from __future__ import annotations

import functools
import getpass
import os
import platform
import socket
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from workbench.files import split_dataset

PACKAGES = ("cspad-workbench", "numpy", "scipy", "numba", "pycbf", "fabio", "h5py")


def unit_of(origin: Mapping[str, Any]) -> str:
    """Unit of the pixel values that a provenance belongs to: ``ADU`` unless it states another."""
    return str(origin.get("unit", "ADU"))


def stated_unit(unit: str) -> dict[str, str]:
    """What a provenance states of a unit, for `unit_of`; nothing for ADU."""
    return {} if unit == "ADU" else {"unit": unit}


def describe_files(paths: Iterable[str | os.PathLike[str]]) -> list[dict[str, Any]]:
    """Path, size in bytes and modification time (UTC) of each file; datasets are left out."""
    described = []
    for path in paths:
        file, _ = split_dataset(path)
        status = os.stat(file)
        described.append(describe_file(file, status.st_size, status.st_mtime))
    return described


def describe_file(path: str | os.PathLike[str], size: int, modified: float) -> dict[str, Any]:
    """Description of a file whose size and time of change (seconds since 1970) are known."""
    return {"path": os.fspath(path), "bytes": size, "modified": _utc(modified)}


def software() -> dict[str, str]:
    """Versions of Python and of the packages that compute; of a checkout also its commit."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError, OSError, KeyError):  # not there, or not to be read now
            versions[package] = _version(package)
    if commit():
        versions["commit"] = commit()
    return versions


@functools.cache
def _version(package: str) -> str:
    """Version of an installed package, read once."""
    return version(package)


@functools.cache
def commit() -> str:
    """Commit of the checkout this package runs from, ``-dirty`` if files were changed since.

    Empty if it is installed otherwise, or git cannot tell.
    """
    root = Path(__file__).absolute().parents[1]
    if not os.path.exists(root / ".git"):
        return ""
    ask = ["git", "-c", f"safe.directory={root}", "-C", str(root), "describe"]
    try:
        answer = subprocess.run(
            [*ask, "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def stamp() -> dict[str, Any]:
    """Who made a result, when (UTC), where and with what."""
    return {
        "when": _utc(datetime.now(UTC).timestamp()),
        "user": user(),
        "host": socket.gethostname(),
        "software": software(),
    }


def user() -> str:
    """Login name, or ``unknown`` where the system has none for this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
