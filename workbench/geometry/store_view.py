"""Looking at the versions of a deployed geometry; nothing here writes."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from workbench.constants import constants_folder, file_for_run, run_range
from workbench.detector import GROUP_2X2, SENSORS, SHAPE_2X2
from workbench.errors import VersionStoreError, WorkbenchError
from workbench.geometry.checks import overlapping_sensors
from workbench.geometry.compare import GeometryDiff, compare
from workbench.geometry.slac import decode, parse
from workbench.geometry.store_files import digest
from workbench.geometry.store_model import Deployment, State, Switch, Version
from workbench.geometry.tree import Geometry

HISTORY = "HISTORY"
KIND = "geometry"


class StoreView:
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
        return f"<{type(self).__name__} {self.link}>"

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

    def for_range(self, run_range: str) -> Self:
        """Store of another run range of the same detector."""
        return type(self)(self.calib_dir, self.address, run_range)

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

    def preview(self, geometry: Geometry | str | os.PathLike[str]) -> Deployment:
        """What `deploy` would write; writes nothing."""
        content, warnings = self._content(geometry)
        new = parse(decode(content, "new geometry"), "new geometry")
        found = self._found()  # first: a deployment from now on is noticed
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
        for first, second, depth in overlapping_sensors(new):
            warnings.append(
                f"sensor {first % 8} of quadrant {first // 8} and sensor {second % 8} of quadrant "
                f"{second // 8} overlap by {depth:.0f} µm; that cannot be."
            )
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
        writes += [self._side_car(one).name for one in self._unrecorded()]
        return Deployment(
            number, self.folder / names[-1], self.link, adopted, tuple(writes), diff,
            tuple(warnings), content.decode("utf-8", "surrogateescape"),
            found,
        )  # fmt: skip

    # ---- inside ------------------------------------------------------------------------------

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(self.folder)
        except OSError:
            return []
        pattern = re.compile(re.escape(self.link.name) + r"\.v(0|[1-9]\d{0,8})")
        return sorted(int(match[1]) for name in names if (match := pattern.fullmatch(name)))

    def _found(self) -> tuple[int, str]:
        """Newest version (-1: none) and SHA-256 of what psana reads (empty: nothing)."""
        content = self._state().content
        sha256 = "" if content is None else digest(content)
        return max(self._numbers(), default=-1), sha256

    def _path(self, number: int) -> Path:
        return self.folder / f"{self.link.name}.v{number}"

    def _state(self) -> State:
        try:
            content: bytes | None = self.link.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            content = None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return State("dangling", target=os.readlink(self.link))
            raise VersionStoreError(f"{self.link} cannot be read ({error.strerror}).") from error
        if content is None:
            if self.link.is_symlink():
                return State("dangling", target=os.readlink(self.link))
            return State("absent")
        if not self.link.is_symlink():
            for number in self._numbers():  # a plain file that is a version already
                with contextlib.suppress(OSError):
                    if self._path(number).read_bytes() == content:
                        return State("version", number, content)
            return State("plain", None, content)
        target = os.path.realpath(self.link)
        for number in self._numbers():
            if os.path.realpath(self._path(number)) == target:
                return State("version", number, content)
        return State("foreign", None, content, os.readlink(self.link))

    def _to_adopt(self, state: State) -> bool:
        """Whether the present content would be lost if the link were switched."""
        if state.kind == "version" and state.version is not None:
            return self._version(state.version, True).intact is False
        return state.content is not None

    def _version(self, number: int, current: bool) -> Version:
        path = self._path(number)
        try:
            sha256 = digest(path.read_bytes())
        except OSError:
            sha256 = ""
        try:
            record = json.loads(self._side_car(number).read_bytes())
            if not isinstance(record, dict):
                record = {}
        except (OSError, ValueError):
            record = {}

        def text(key: str) -> str:
            return str(record.get(key, ""))

        when = text("when") or self._modified(path)
        return Version(
            number, path, current, sha256, text("sha256"), when, text("user"),
            text("host"), text("comment"), record,
        )  # fmt: skip

    def _content(self, geometry: Geometry | str | os.PathLike[str]) -> tuple[bytes, list[str]]:
        """Bytes to deploy, and what was changed on the way; refuses another detector's geometry."""
        if not isinstance(geometry, Geometry):
            geometry = Geometry.read(geometry)
        small = self.folder.parents[1].name == GROUP_2X2
        expected = SHAPE_2X2[0] if small else SENSORS
        if len(geometry.sensors) != expected:
            raise VersionStoreError(
                f"{geometry.source} has {len(geometry.sensors)} sensors, {self.address} has "
                f"{expected}; nothing was deployed."
            )
        return content_of(geometry)

    def _unrecorded(self) -> list[int]:
        """Versions without a side-car, made by hand."""
        paths = {number: self._side_car(number) for number in self._numbers()}
        return [
            number
            for number, path in paths.items()
            if not os.path.lexists(path) and self._path(number).is_file()
        ]

    def _side_car(self, number: int) -> Path:
        return self.folder / f"{self._path(number).name}.json"

    @staticmethod
    def _modified(path: Path) -> str:
        """Modification time of a file, UTC, ISO 8601; empty where there is none."""
        try:
            moment = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except OSError:
            return ""
        return moment.isoformat(timespec="seconds")

    def _geometry(self, what: int | str | Geometry) -> Geometry:
        if isinstance(what, Geometry):
            return what
        if what == "current":
            geometry = self.geometry()
            if geometry is None:
                raise VersionStoreError(f"{self.link}: {self.state()}; there is nothing current.")
            return geometry
        return self.version(int(what)).geometry()


def content_of(geometry: Geometry) -> tuple[bytes, list[str]]:
    """Bytes to deploy, with sentences on what was changed on the way."""
    warnings = []
    if not geometry.is_in_index_order:
        geometry = geometry.in_index_order()
        warnings.append("its rows were out of index order, which psana would misread; now sorted.")
    text = geometry.to_text()
    content = text.encode("utf-8", "surrogateescape")
    if parse(text, "new geometry") != geometry:
        raise VersionStoreError(f"{geometry.source}: its text does not read back as itself.")
    return content, warnings


def _checked_range(text: str) -> str:
    text = text.removesuffix(".data")
    runs = run_range(f"{text}.data")
    if runs is None or runs[0] > runs[1]:
        raise VersionStoreError(
            f"{text!r} is no range of runs; expected e.g. 0-end, 54-end or 54-80."
        )
    return text
