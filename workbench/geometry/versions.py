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
import functools
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from workbench.errors import VersionStoreError
from workbench.geometry.store_files import (
    LOCK,
    Changes,
    digest,
    locked,
    make_folders,
    remove_leftovers,
)
from workbench.geometry.store_model import Deployment, Version
from workbench.geometry.store_view import HISTORY, StoreView
from workbench.geometry.tree import Geometry
from workbench.provenance import describe_files, software, user

_software = functools.cache(software)  # looks into the metadata of every package


class GeometryStore(StoreView):
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

    def deploy(
        self,
        geometry: Geometry | str | os.PathLike[str],
        comment: str = "",
        *,
        recipe_sha256: str = "",
        inputs: Sequence[str | os.PathLike[str]] = (),
        quality: Mapping[str, Any] | None = None,
        previewed: Deployment | None = None,
    ) -> Version:
        """Make a new version the current one.

        Parameters
        ----------
        geometry : a geometry or a file of one (SLAC files are deployed byte for byte, unless
            their rows are out of index order, which psana would misread).
        comment : why, one line.
        recipe_sha256, inputs, quality : what it was made with and how good it is; recorded.
        previewed : what `preview` gave; refused if the store has changed since.

        Raises
        ------
        VersionStoreError
            If it cannot be done; then everything is as it was.
        """
        content, warnings = self._content(geometry)
        record: dict[str, Any] = {"comment": " ".join(comment.split()), "warnings": warnings}
        if recipe_sha256:
            record["recipe_sha256"] = recipe_sha256
        if inputs:
            record["inputs"] = [_described(path) for path in inputs]
        if quality:
            record["quality"] = dict(quality)
        with self._changing() as changes:
            if previewed is not None and self._found() != previewed.found:
                raise VersionStoreError(
                    f"{self.link}: somebody else has changed it since the preview was shown "
                    f"(now {self.state()}); nothing was deployed, look at the preview again."
                )
            self._adopt_present(changes)
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
                    self._record_found(changes)
                    yield changes
        except BaseException as error:
            if undo_folders is not None:
                with contextlib.suppress(OSError):
                    if os.listdir(self.folder) == [LOCK]:
                        os.unlink(self.folder / LOCK)
                undo_folders()
            if isinstance(error, OSError):
                raise VersionStoreError(
                    f"{self.folder}: nothing was deployed, everything is as it was "
                    f"({error.strerror or error})."
                ) from error
            raise

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
        side_car = self._side_car(number)
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

    def _record_found(self, changes: Changes) -> None:
        """Record the content of versions made by hand, so that it can be held to from now on."""
        for number in self._unrecorded():
            path = self._path(number)
            found = {"comment": "found without a record", "when": self._modified(path)}
            self._create_record(changes, number, path.read_bytes(), found)

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
        line += f" user:{'_'.join(user().split())} host:{socket.gethostname()}"
        comment = " ".join(comment.split())
        return line + (f" comment:{comment}" if comment else "")


def _described(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Facts of an input file; its name alone if it is not there any more."""
    try:
        return describe_files([path])[0]
    except OSError:
        return {"path": os.fspath(path)}
