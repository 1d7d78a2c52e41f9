"""Versions of a deployed geometry, kept so that none can be lost.

In ``calib/<group>/<address>/geometry`` the name that psana reads, e.g. ``0-end.data``, is a
relative symbolic link to the current one of the versions ``0-end.data.v0``, ``.v1``, … Beside
each version stands ``….json``, which says who deployed it, when, why and from what, its SHA-256
and its text; each switch of the link is a line of ``HISTORY``. psana reads names that end in
``.data`` only, so none of these is in its way.

A version is never changed and never removed. The link is switched by a rename: at every moment
there is a readable ``0-end.data``, the old or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.constants import constants_folder, file_for_run, run_range
from workbench.errors import VersionStoreError, WorkbenchError
from workbench.geometry.compare import GeometryDiff, compare
from workbench.geometry.slac import decode, parse
from workbench.geometry.store_files import (
    Changes,
    digest,
    locked,
    make_folders,
    remove_leftovers,
)
from workbench.geometry.tree import Geometry
from workbench.provenance import describe_files, software, user

HISTORY = "HISTORY"
KIND = "geometry"


@dataclass(frozen=True)
class Version:
    """One version of a geometry.

    Attributes
    ----------
    number : N of ``.vN``.
    path : its file.
    current : True if the name psana reads leads to it.
    sha256 : of the file's content as it is now; empty if it cannot be read.
    recorded_sha256 : of the content when it was deployed; empty for a version without a record.
    when, user, host, comment : of its deployment (``when`` is UTC, ISO 8601).
    record : everything in the side-car file: ``recipe_sha256``, ``inputs``, ``quality``, …
    """

    number: int
    path: Path
    current: bool
    sha256: str
    recorded_sha256: str = ""
    when: str = ""
    user: str = ""
    host: str = ""
    comment: str = ""
    record: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def intact(self) -> bool | None:
        """Whether the content is still the one deployed; None if that was not recorded."""
        if not self.sha256:
            return False
        return self.sha256 == self.recorded_sha256 if self.recorded_sha256 else None

    @property
    def name(self) -> str:
        """``v3`` for version 3."""
        return f"v{self.number}"

    def geometry(self) -> Geometry:
        """Geometry of this version."""
        return Geometry.read(self.path)


@dataclass(frozen=True)
class Switch:
    """One line of ``HISTORY`` about the name of this store."""

    when: str
    action: str
    version: int | None
    user: str
    comment: str
    line: str


@dataclass(frozen=True)
class Deployment:
    """What a deployment would write, for a person to look at before it is done.

    Attributes
    ----------
    version : number of the new version.
    path : its file.
    link : the name psana reads.
    adopted : number that the present content gets first, because it is not yet a version.
    writes : every file that will be made or changed.
    diff : against what is current; None if nothing (readable) is.
    warnings : sentences about what is odd.
    text : content of the new version.
    """

    version: int
    path: Path
    link: Path
    adopted: int | None
    writes: tuple[str, ...]
    diff: GeometryDiff | None
    warnings: tuple[str, ...]
    text: str = field(repr=False, default="")

    def __str__(self) -> str:
        lines = [f"new version {self.path.name} in {self.path.parent}"]
        if self.adopted is not None:
            lines.append(f"the present {self.link.name} is kept as v{self.adopted}")
        lines.append(f"{self.link.name} will lead to {self.path.name}")
        if self.diff is not None:
            lines += str(self.diff).splitlines()
        return "\n".join([*lines, *(f"note: {warning}" for warning in self.warnings)])


@dataclass(frozen=True)
class _State:
    """What is found under the name psana reads."""

    kind: str  # absent, version, plain, foreign (link to elsewhere), dangling
    version: int | None = None
    content: bytes | None = None
    target: str = ""


class GeometryStore:
    """Versions of the geometry of one detector in a calibration directory.

    Parameters
    ----------
    calib_dir : calibration directory, e.g. ``/…/cxim1416/calib``.
    address : detector, e.g. ``CxiDs1.0:Cspad.0``.
    run_range : which runs the geometry is for: ``0-end``, ``54-80``, … Each range has versions of
        its own.

    Raises
    ------
    VersionStoreError
        If the range is not one psana knows.
    """

    def __init__(
        self, calib_dir: str | os.PathLike[str], address: str, run_range: str = "0-end"
    ) -> None:
        self.folder = constants_folder(calib_dir, address, KIND)
        self.calib_dir = Path(calib_dir)
        self.address = address
        self.run_range = _checked_range(run_range)
        self.link = self.folder / f"{self.run_range}.data"

    def __repr__(self) -> str:
        return f"<GeometryStore {self.link}>"

    # ---- looking -----------------------------------------------------------------------------

    def history(self) -> list[Version]:
        """All versions, oldest first; empty if none was ever deployed."""
        current = self._state().version
        return [self._version(number, number == current) for number in self._numbers()]

    def current(self) -> Version | None:
        """Version that psana reads; None if the name leads to no version (see `state`)."""
        number = self._state().version
        return None if number is None else self._version(number, True)

    def geometry(self) -> Geometry | None:
        """Geometry that psana reads under this name, version or not; None if there is none."""
        state = self._state()
        if state.content is None:
            return None
        return parse(decode(state.content, str(self.link)), str(self.link))

    def state(self) -> str:
        """One sentence on what the name psana reads is."""
        state = self._state()
        return {
            "absent": f"there is no {self.link.name}",
            "version": f"{self.link.name} leads to v{state.version}",
            "plain": f"{self.link.name} is a plain file and not yet a version",
            "foreign": f"{self.link.name} leads to {state.target}, which is no version",
            "dangling": f"{self.link.name} leads to {state.target}, which does not exist",
        }[state.kind]

    def version(self, number: int) -> Version:
        """One version.

        Raises
        ------
        VersionStoreError
            If there is no such version.
        """
        numbers = self._numbers()
        if number not in numbers:
            there = ", ".join(f"v{one}" for one in numbers) or "none"
            raise VersionStoreError(f"{self.link}: there is no v{number} (there: {there}).")
        return self._version(number, number == self._state().version)

    def diff(
        self, older: int | str | Geometry, newer: int | str | Geometry = "current"
    ) -> GeometryDiff:
        """How `newer` differs from `older`: version numbers, ``"current"``, or geometries."""
        return compare(self._geometry(older), self._geometry(newer))

    def switches(self) -> list[Switch]:
        """Every recorded deployment and rollback under this name, oldest first."""
        try:
            lines = (self.folder / HISTORY).read_text("utf-8", "replace").splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            match = re.fullmatch(
                rf"(\S+) file:{re.escape(self.link.name)} action:(\S+) version:(\S+) "
                r"user:(\S+) host:(\S+)(?: comment:(.*))?",
                line,
            )
            if match:
                when, action, version, who, _, comment = match.groups()
                number = int(version[1:]) if re.fullmatch(r"v\d{1,9}", version) else None
                found.append(Switch(when, action, number, who, comment or "", line))
        return found

    def ranges(self) -> list[str]:
        """Run ranges with a file in the folder, e.g. ``["0-end", "54-80"]``."""
        with contextlib.suppress(OSError):
            names = sorted(os.listdir(self.folder))
            return [name.removesuffix(".data") for name in names if run_range(name)]
        return []

    def file_for_run(self, run: int) -> Path | None:
        """File that psana reads for a run, whatever its range; None if there is none."""
        return file_for_run(self.folder, run)

    def for_range(self, run_range: str) -> GeometryStore:
        """Store of another run range of the same detector."""
        return GeometryStore(self.calib_dir, self.address, run_range)

    def verify(self) -> list[str]:
        """Everything that is not as it was deployed, one sentence each; empty if all is well."""
        problems = []
        state = self._state()
        if state.kind != "version" and (state.kind != "absent" or self._numbers()):
            problems.append(f"{self.state()}.")
        for version in self.history():
            if not version.sha256:
                problems.append(f"{version.path.name} cannot be read.")
            elif version.intact is False:
                problems.append(
                    f"{version.path.name} was changed after it was deployed"
                    f"{' (and psana reads it)' if version.current else ''}; "
                    "`repair` puts the deployed content back and keeps the changed one."
                )
            elif version.intact is None:
                problems.append(f"{version.path.name} has no record of its content.")
            with contextlib.suppress(WorkbenchError):
                version.geometry()
                continue
            problems.append(f"{version.path.name} is not a usable geometry.")
        switches = self.switches()
        if switches and switches[-1].version is not None and state.kind == "version":
            last = switches[-1]
            if last.version != state.version:
                problems.append(
                    f"HISTORY ends with {last.action} of v{last.version}, "
                    f"but {self.link.name} leads to v{state.version}."
                )
        return problems

    # ---- changing ----------------------------------------------------------------------------

    def preview(self, geometry: Geometry | str | os.PathLike[str]) -> Deployment:
        """What `deploy` would write; writes nothing."""
        content, warnings = _content(geometry)
        new = parse(decode(content, "new geometry"), "new geometry")
        state = self._state()
        numbers = self._numbers()
        adopted = None if not self._to_adopt(state) else max(numbers, default=-1) + 1
        number = max([*numbers, -1 if adopted is None else adopted]) + 1
        diff = None
        if state.content is not None:
            try:
                diff = compare(parse(decode(state.content, str(self.link)), str(self.link)), new)
                if not diff:
                    warnings.append(f"it is the same geometry as the present {self.link.name}.")
            except WorkbenchError as error:
                warnings.append(f"the present {self.link.name} is unusable: {error}")
        if state.kind == "dangling":
            warnings.append(f"{self.state()}.")
        if state.version is not None and adopted is not None:
            warnings.append(f"v{state.version} was changed after it was deployed.")
        served = [name for name in self.ranges() if name != self.run_range]
        if served:
            warnings.append(f"runs in {', '.join(served)} may be served by those files instead.")
        names = [f"{self.link.name}.v{number}"]
        if adopted is not None:
            names.insert(0, f"{self.link.name}.v{adopted}")
        writes = [*(name + end for name in names for end in (".json", "")), HISTORY, self.link.name]
        return Deployment(
            number, self.folder / names[-1], self.link, adopted, tuple(writes), diff,
            tuple(warnings), content.decode("utf-8", "surrogateescape"),
        )  # fmt: skip

    def deploy(
        self,
        geometry: Geometry | str | os.PathLike[str],
        comment: str = "",
        *,
        recipe_sha256: str = "",
        inputs: Sequence[str | os.PathLike[str]] = (),
        quality: Mapping[str, Any] | None = None,
    ) -> Version:
        """Make a new version the current one.

        Parameters
        ----------
        geometry : a geometry or a file of one (SLAC files are deployed byte for byte, unless
            their rows are out of index order, which psana would misread).
        comment : why, one line.
        recipe_sha256, inputs, quality : what it was made with and how good it is; recorded.

        Raises
        ------
        VersionStoreError
            If it cannot be done; then everything is as it was.
        """
        content, warnings = _content(geometry)
        record: dict[str, Any] = {"comment": " ".join(comment.split()), "warnings": warnings}
        if recipe_sha256:
            record["recipe_sha256"] = recipe_sha256
        if inputs:
            record["inputs"] = describe_files(inputs)
        if quality:
            record["quality"] = dict(quality)
        with self._changing() as changes:
            number = self._adopt_present(changes)
            number = max(self._numbers(), default=-1) + 1
            self._create(changes, number, content, record | {"action": "deploy"})
            self._switch(changes, number, "deploy", comment)
        return self.version(number)

    def rollback(self, number: int, comment: str = "") -> Version:
        """Make an earlier version the current one again; itself recorded, nothing is removed.

        Raises
        ------
        VersionStoreError
            If there is no such version, or its content is not the one deployed.
        """
        with self._changing() as changes:
            version = self.version(number)
            if version.intact is False:
                raise VersionStoreError(
                    f"{version.path.name} is not as it was deployed; repair the store first."
                )
            self._adopt_present(changes)
            self._switch(changes, number, "rollback", comment)
        return self.version(number)

    def repair(self) -> list[str]:
        """Put back the deployed content of versions that were changed; says what was done.

        The changed content is kept as a new version (not made current).
        """
        done = []
        with self._changing() as changes:
            for version in self.history():
                text = version.record.get("text")
                if version.intact is not False or not isinstance(text, str):
                    continue
                original = text.encode("utf-8", "surrogateescape")
                if digest(original) != version.recorded_sha256:
                    done.append(f"{version.path.name}: its record is damaged as well; left alone.")
                    continue
                if version.sha256:
                    number = max(self._numbers()) + 1
                    found = version.path.read_bytes()
                    comment = f"content found in {version.path.name}"
                    self._create(changes, number, found, {"comment": comment, "action": "keep"})
                    done.append(f"{version.path.name}: changed content kept as v{number}.")
                spare = f"{version.path.name}.restored"
                changes.create(spare, original)
                os.replace(self.folder / spare, version.path)
                changes.append(HISTORY, self._line("repair", version.number, "content put back"))
                done.append(f"{version.path.name}: deployed content put back.")
        return done

    # ---- inside ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Changes]:
        """Lock, and take everything back if something fails."""
        undo_folders = None
        try:
            undo_folders = make_folders(self.folder)
            with locked(self.folder):
                remove_leftovers(self.folder)
                with Changes(self.folder) as changes:
                    self._note_outside_change(changes)
                    yield changes
        except OSError as error:
            if undo_folders is not None:
                with contextlib.suppress(OSError):
                    if os.listdir(self.folder) == [".workbench.lock"]:
                        os.unlink(self.folder / ".workbench.lock")
                undo_folders()
            raise VersionStoreError(
                f"{self.folder}: nothing was deployed, everything is as it was "
                f"({error.strerror or error})."
            ) from error

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(self.folder)
        except OSError:
            return []
        pattern = re.compile(re.escape(self.link.name) + r"\.v(0|[1-9]\d{0,8})")
        return sorted(int(match[1]) for name in names if (match := pattern.fullmatch(name)))

    def _path(self, number: int) -> Path:
        return self.folder / f"{self.link.name}.v{number}"

    def _state(self) -> _State:
        try:
            content: bytes | None = self.link.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            content = None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return _State("dangling", target=os.readlink(self.link))
            raise VersionStoreError(f"{self.link} cannot be read ({error.strerror}).") from error
        if content is None:
            if self.link.is_symlink():
                return _State("dangling", target=os.readlink(self.link))
            return _State("absent")
        if not self.link.is_symlink():
            for number in self._numbers():  # a plain file that is a version already
                with contextlib.suppress(OSError):
                    if self._path(number).read_bytes() == content:
                        return _State("version", number, content)
            return _State("plain", None, content)
        target = os.path.realpath(self.link)
        for number in self._numbers():
            if os.path.realpath(self._path(number)) == target:
                return _State("version", number, content)
        return _State("foreign", None, content, os.readlink(self.link))

    def _to_adopt(self, state: _State) -> bool:
        """Whether the present content would be lost if the link were switched."""
        if state.kind == "version" and state.version is not None:
            return self._version(state.version, True).intact is False
        return state.content is not None

    def _adopt_present(self, changes: Changes) -> int | None:
        """Make what psana reads now a version, if it is not one."""
        state = self._state()
        if not self._to_adopt(state):
            return None
        number = max(self._numbers(), default=-1) + 1
        comment = {
            "plain": "found as a plain file",
            "foreign": f"found behind a link to {state.target}",
        }.get(state.kind, f"found in v{state.version}, which was changed after it was deployed")
        record = {"comment": comment, "action": "keep"}
        content = state.content or b""
        self._create_record(changes, number, content, record)
        name = self._path(number).name
        if state.kind == "plain":
            changes.adopt(self.link, name)
        else:
            changes.create(name, content)
        changes.append(HISTORY, self._line("keep", number, comment))
        return number

    def _create(
        self, changes: Changes, number: int, content: bytes, record: Mapping[str, Any]
    ) -> None:
        self._create_record(changes, number, content, record)
        changes.create(self._path(number).name, content)

    def _create_record(
        self, changes: Changes, number: int, content: bytes, record: Mapping[str, Any]
    ) -> None:
        """Write the side-car first, so that every version that exists has one."""
        side_car = self._path(number).with_name(self._path(number).name + ".json")
        if os.path.lexists(side_car):  # of a deployment that was killed before its version stood
            os.unlink(side_car)
        facts = {
            "version": number,
            "file": self.link.name,
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "user": user(),
            "host": socket.gethostname(),
            "software": _software(),
            **record,
            "sha256": digest(content),
            "text": content.decode("utf-8", "surrogateescape"),
        }
        changes.create(side_car.name, json.dumps(facts, indent=1, default=str).encode() + b"\n")

    def _switch(self, changes: Changes, number: int, action: str, comment: str) -> None:
        state = self._state()
        if self.link.is_dir():
            raise VersionStoreError(f"{self.link} is a folder; move it away first.")
        if state.kind == "dangling":
            comment = f"{comment} (was a dead link to {state.target})".strip()
        changes.append(HISTORY, self._line(action, number, comment))
        changes.point(self.link, self._path(number).name)

    def _note_outside_change(self, changes: Changes) -> None:
        """Make HISTORY end with what psana reads, if a killed deployment or a hand changed that."""
        last = next((one for one in reversed(self.switches()) if one.action != "keep"), None)
        state = self._state()
        if last is None or state.version is None or state.version == last.version:
            return
        why = f"after {last.action} of v{last.version} was interrupted or undone by hand"
        changes.append(HISTORY, self._line("found", state.version, why))

    def _line(self, action: str, number: int, comment: str) -> str:
        when = datetime.now().astimezone().isoformat(timespec="seconds")
        line = f"{when} file:{self.link.name} action:{action} version:v{number}"
        line += f" user:{user()} host:{socket.gethostname()}"
        comment = " ".join(comment.split())
        return line + (f" comment:{comment}" if comment else "")

    def _version(self, number: int, current: bool) -> Version:
        path = self._path(number)
        try:
            sha256 = digest(path.read_bytes())
        except OSError:
            sha256 = ""
        try:
            record = json.loads(path.with_name(path.name + ".json").read_bytes())
            if not isinstance(record, dict):
                record = {}
        except (OSError, ValueError):
            record = {}

        def text(key: str) -> str:
            return str(record.get(key, ""))

        return Version(
            number, path, current, sha256, text("sha256"), text("when"), text("user"),
            text("host"), text("comment"), record,
        )  # fmt: skip

    def _geometry(self, what: int | str | Geometry) -> Geometry:
        if isinstance(what, Geometry):
            return what
        if what == "current":
            geometry = self.geometry()
            if geometry is None:
                raise VersionStoreError(f"{self.link}: {self.state()}; there is nothing current.")
            return geometry
        return self.version(int(what)).geometry()


def _content(geometry: Geometry | str | os.PathLike[str]) -> tuple[bytes, list[str]]:
    """Bytes to deploy, with sentences on what was changed on the way."""
    warnings = []
    if not isinstance(geometry, Geometry):
        geometry = Geometry.read(geometry)
    if not geometry.is_in_index_order:
        geometry = geometry.in_index_order()
        warnings.append("its rows were out of index order, which psana would misread; now sorted.")
    text = geometry.to_text()
    content = text.encode("utf-8", "surrogateescape")
    if parse(text, "new geometry") != geometry:
        raise VersionStoreError(f"{geometry.source}: its text does not read back as itself.")
    return content, warnings


_software = functools.cache(software)  # looks into the metadata of every package


def _checked_range(text: str) -> str:
    text = text.removesuffix(".data")
    runs = run_range(f"{text}.data")
    if runs is None or runs[0] > runs[1]:
        raise VersionStoreError(
            f"{text!r} is no range of runs; expected e.g. 0-end, 54-end or 54-80."
        )
    return text
