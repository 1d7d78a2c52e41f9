"""The versions in a folder, as they are; nothing here writes."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from datetime import UTC, datetime
from pathlib import Path

from workbench.constants import served_instead
from workbench.errors import VersionStoreError
from workbench.files import read_regular
from workbench.geometry.slac import decode
from workbench.geometry.store.files import digest, link_target
from workbench.geometry.store.model import State, Switch, Version
from workbench.geometry.store.records import (
    HISTORY,
    Record,
    deployed_content,
    parse_history,
    parse_side_car,
)
from workbench.geometry.tree import Geometry

LARGEST_NUMBER = 999_999
"""A file with a higher number was not numbered by counting; new versions do not follow it."""


class VersionFolder:
    """Versions of one file, e.g. ``0-end.data``, in the folder where psana reads it.

    Parameters
    ----------
    folder : of the detector's geometries.
    file : the name that psana reads.
    """

    def __init__(self, folder: Path, file: str) -> None:
        self.folder = folder
        self.file = file
        self.link = folder / file

    def path(self, number: int) -> Path:
        """File of a version."""
        return self.folder / f"{self.file}.v{number}"

    def side_car(self, number: int) -> Path:
        """File that records a version."""
        return self.folder / f"{self.file}.v{number}.json"

    # ---- numbers -----------------------------------------------------------------------------

    def numbers(self) -> list[int]:
        """Numbers of the versions that are there, ascending."""
        return self._numbered("")

    def missing(self) -> list[int]:
        """Numbers of versions of which only the record is there.

        Such a version was deleted, or its deployment was killed just before it stood.
        """
        return sorted({*self._numbered(r"\.json")} - {*self.numbers()})

    def next_number(self) -> int:
        """Number of the next version: higher than of any there is, was, or is recorded."""
        taken = {*self.numbers(), *self.missing()}
        taken |= {switch.version for switch in self.switches() if switch.version is not None}
        number = 1 + max((used for used in taken if used <= LARGEST_NUMBER), default=-1)
        while os.path.lexists(self.path(number)):
            number += 1
        return number

    def unrecorded(self) -> list[int]:
        """Numbers of versions without a side-car, made by hand."""
        return [
            number
            for number in self.numbers()
            if not os.path.lexists(self.side_car(number)) and self.path(number).is_file()
        ]

    def _numbered(self, end: str) -> list[int]:
        pattern = re.compile(re.escape(self.file) + r"\.v(0|[1-9]\d{0,8})" + end)
        names = self.names()
        return sorted(int(match[1]) for name in names if (match := pattern.fullmatch(name)))

    def names(self) -> list[str]:
        """Names of all files in the folder; none if there is no folder.

        Raises
        ------
        VersionStoreError
            If the folder is there and cannot be listed.
        """
        try:
            return sorted(os.listdir(self.folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise VersionStoreError(
                f"{self.folder}: cannot list the versions ({error.strerror})."
            ) from error

    def read_instead(self) -> dict[str, str]:
        """Sentences about files that psana reads for some of the runs of this one, by their names.

        Of the files that serve a run it reads the one whose range begins last.
        """
        names = self.names()
        sentences = {}
        for name, runs in served_instead(names, self.file).items():
            versions = VersionFolder(self.folder, name)
            unknown = "" if versions.numbers() else ", of which no version was ever deployed here"
            sentences[name] = (
                f"For run{'s' if '-' in runs[0] or len(runs) > 1 else ''} {', '.join(runs)} psana "
                f"reads {name}{unknown}, and not {self.file}."
            )
        return sentences

    # ---- contents ----------------------------------------------------------------------------

    def state(self) -> State:
        """What the name that psana reads leads to.

        Raises
        ------
        VersionStoreError
            If it cannot be read.
        """
        try:
            return self._state()
        except OSError as error:
            raise VersionStoreError(f"{self.link} cannot be read ({error.strerror}).") from error

    def _state(self) -> State:
        target = link_target(self.link)
        try:
            content = read_regular(self.link)
        except (FileNotFoundError, NotADirectoryError):
            return State("absent") if target is None else State("dangling", target=target)
        except OSError as error:
            if error.errno == errno.ELOOP and target is not None:
                return State("dangling", target=target)
            raise
        if target is None:
            for number in self.numbers():  # a plain file that is a version already
                with contextlib.suppress(OSError):
                    if read_regular(self.path(number)) == content:
                        return State("version", number, content)
            return State("plain", None, content)
        status = os.stat(self.link)  # an error is no other answer, as it is for os.path.realpath
        for number in self.numbers():
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(self.path(number)), status):
                    return State("version", number, content)
        return State("foreign", None, content, target)

    def describe(self, state: State) -> str:
        """One clause on what the name that psana reads is."""
        return {
            "absent": f"there is no {self.file}",
            "version": f"{self.file} leads to v{state.version}",
            "plain": f"{self.file} is a plain file and not yet a version",
            "foreign": f"{self.file} leads to {state.target}, which is not a version",
            "dangling": f"{self.file} leads to {state.target}, which does not exist",
        }[state.kind]

    def version(self, number: int, current: int | None) -> Version:
        """One version, of which it is known that it is there; `current` is the current one."""
        path = self.path(number)
        try:
            sha256 = digest(read_regular(path))
        except OSError:
            sha256 = ""
        record = self.record(number)

        def text(key: str) -> str:
            return str(record.get(key, ""))

        return Version(
            number, path, number == current, sha256, text("sha256"),
            text("when") or self.modified(number), text("user"), text("host"), text("comment"),
            record,
        )  # fmt: skip

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        current = self.state().version
        return [self.version(number, current) for number in self.numbers()]

    def record(self, number: int) -> Record:
        """What the side-car of a version says; nothing if it is absent or damaged."""
        try:
            return parse_side_car(read_regular(self.side_car(number)))
        except OSError:
            return {}

    def deployed(self, number: int) -> bytes | None:
        """Content that a version was deployed with, by its record."""
        return deployed_content(self.record(number))

    def modified(self, number: int) -> str:
        """Modification time of a version's file, UTC, ISO 8601; empty where there is none."""
        try:
            seconds = self.path(number).stat().st_mtime
        except OSError:
            return ""
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

    def switches(self) -> list[Switch]:
        """Every recorded deployment and rollback of the file, oldest first."""
        try:
            text = read_regular(self.folder / HISTORY).decode("utf-8", "replace")
        except OSError:
            return []
        return parse_history(text, self.file)

    def geometry(self, state: State) -> Geometry | None:
        """Geometry that psana reads, version or not; None if there is none."""
        if state.content is None:
            return None
        return Geometry.parse(decode(state.content, str(self.link)), str(self.link))

    # ---- comparisons -------------------------------------------------------------------------

    def fingerprint(self) -> tuple[int, str]:
        """Newest version (-1: none) and SHA-256 of what psana reads (empty: nothing)."""
        content = self.state().content
        return max(self.numbers(), default=-1), "" if content is None else digest(content)

    def would_lose(self, state: State) -> bool:
        """Whether the present content is in no version and would be lost by a switch."""
        if state.version is not None:
            return self.version(state.version, None).intact is False
        return state.content is not None
