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

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.constants import constants_folder, file_for_run, run_range
from workbench.detectors import device_name, find
from workbench.errors import VersionStoreError
from workbench.geometry.compare import GeometryDiff, compare
from workbench.geometry.store import preview, verify
from workbench.geometry.store.changes import VersionWriter
from workbench.geometry.store.files import Changes, locked_folder
from workbench.geometry.store.folder import VersionFolder
from workbench.geometry.store.model import Deployment, Switch, Version
from workbench.geometry.store.records import deployment_record
from workbench.geometry.tree import Geometry

KIND = "geometry"


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
        self.detector = find(address)
        self.run_range = _checked_range(run_range)
        self.link = self.folder / f"{self.run_range}.data"
        self._versions = VersionFolder(self.folder, self.link.name)

    def __repr__(self) -> str:
        return f"<GeometryStore {self.link}>"

    # ---- looking -----------------------------------------------------------------------------

    def history(self) -> list[Version]:
        """All versions, oldest first; empty if none was ever deployed."""
        return self._versions.versions()

    def current(self) -> Version | None:
        """Version that psana reads; None if the name leads to no version (see `state`)."""
        number = self._versions.state().version
        return None if number is None else self._versions.version(number, number)

    def geometry(self) -> Geometry | None:
        """Geometry that psana reads under this name, version or not; None if there is none."""
        return self._versions.geometry(self._versions.state())

    def state(self) -> str:
        """One clause on what the name psana reads is."""
        return self._versions.describe(self._versions.state())

    def version(self, number: int) -> Version:
        """One version.

        Raises
        ------
        VersionStoreError
            If there is no such version.
        """
        numbers = self._versions.numbers()
        if number not in numbers:
            existing_versions = ", ".join(f"v{existing}" for existing in numbers) or "none"
            raise VersionStoreError(
                f"{self.link}: there is no v{number} (existing versions: {existing_versions})."
            )
        return self._versions.version(number, self._versions.state().version)

    def diff(
        self, older: int | str | Geometry, newer: int | str | Geometry = "current"
    ) -> GeometryDiff:
        """How `newer` differs from `older`: version numbers, ``"current"``, or geometries."""
        return compare(self._geometry(older), self._geometry(newer))

    def switches(self) -> list[Switch]:
        """Every recorded deployment and rollback under this name, oldest first."""
        return self._versions.switches()

    def ranges(self) -> list[str]:
        """Run ranges with a file in the folder, e.g. ``["0-end", "54-80"]``."""
        return [name.removesuffix(".data") for name in self._versions.names() if run_range(name)]

    def file_for_run(self, run: int) -> Path | None:
        """File that psana reads for a run, whatever its range; None if there is none."""
        return file_for_run(self.folder, run)

    def read_instead(self) -> list[str]:
        """Files that psana reads for some of these runs instead, one sentence each."""
        return list(self._versions.read_instead().values())

    def for_range(self, run_range: str) -> GeometryStore:
        """Store of another run range of the same detector."""
        return GeometryStore(self.calib_dir, self.address, run_range)

    def verify(self) -> list[str]:
        """Everything that is not as it was deployed, one sentence each; empty if all is well."""
        return verify.problems(self._versions)

    def preview(self, geometry: Geometry | str | os.PathLike[str]) -> Deployment:
        """What `deploy` would write; writes nothing."""
        return preview.preview(self._versions, self._of_this_detector(geometry))

    # ---- changing ----------------------------------------------------------------------------

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
        content, warnings = preview.content_of(self._of_this_detector(geometry))
        warnings += self.read_instead()
        record = deployment_record(comment, warnings, recipe_sha256, inputs, quality)
        with locked_folder(self.folder), Changes(self.folder) as changes:
            writer = self._prepared(changes)
            if previewed is not None and self._versions.fingerprint() != previewed.fingerprint:
                raise VersionStoreError(
                    f"{self.link}: somebody else has changed it since the preview was shown "
                    f"(now {self.state()}); nothing was deployed, look at the preview again."
                )
            writer.adopt_present()
            number = writer.create(content, record)
            version = self._versions.version(number, number)
            writer.switch(number, "deploy", comment)
        return version

    def rollback(self, number: int, comment: str = "") -> Version:
        """Make an earlier version the current one again; itself recorded, nothing is removed.

        Raises
        ------
        VersionStoreError
            If there is no such version, or its content is not the one deployed.
        """
        with locked_folder(self.folder), Changes(self.folder) as changes:
            writer = self._prepared(changes)
            version = self.version(number)
            if version.intact is False:
                raise VersionStoreError(
                    f"{version.path.name} is not as it was deployed; repair the store first."
                )
            writer.adopt_present()
            writer.switch(number, "rollback", comment)
        return dataclasses.replace(version, current=True)

    def repair(self) -> list[str]:
        """Put back the deployed content of versions that were changed or deleted.

        The changed content is kept as a new version (not made current). Each version is repaired
        on its own: if one cannot be, those before it are.

        Returns
        -------
        What was done, and what could not be, one sentence each.

        Raises
        ------
        VersionStoreError
            If the folder cannot be written; the version it happened at is as it was, and the
            message says what was done before.
        """
        done: list[str] = []
        with locked_folder(self.folder):
            try:
                self._repair(done)
            except OSError as error:
                if not done:
                    raise
                raise VersionStoreError(
                    f"{self.folder}: {' '.join(done)} The next version could not be repaired "
                    f"({error.strerror or error}); repair again."
                ) from error
        return done

    # ---- inside ------------------------------------------------------------------------------

    def _prepared(self, changes: Changes) -> VersionWriter:
        """Writer in a folder in which everything that is there is recorded."""
        writer = VersionWriter(self._versions, changes)
        writer.note_outside_change()
        writer.record_unrecorded()
        return writer

    def _repair(self, done: list[str]) -> None:
        """Repair what needs it, and add what was done to `done`."""
        with Changes(self.folder) as changes:
            self._prepared(changes)
        changed = [version for version in self.history() if version.intact is False]
        for number in self._versions.missing():
            with Changes(self.folder) as changes:
                done.append(self._restore(VersionWriter(self._versions, changes), number))
        for version in changed:
            with Changes(self.folder) as changes:
                done += self._put_back(VersionWriter(self._versions, changes), version)

    def _restore(self, writer: VersionWriter, number: int) -> str:
        name = self._versions.path(number).name
        content = self._versions.deployed(number)
        if content is None:
            return f"{name}: its record does not say what it was; left alone."
        writer.put_back(number, content)
        return f"{name}: put back from its record."

    def _put_back(self, writer: VersionWriter, version: Version) -> list[str]:
        name = version.path.name
        original = self._versions.deployed(version.number)
        if original is None:
            return [f"{name}: its record is damaged as well; left alone."]
        if not version.sha256:
            return [f"{name}: it cannot be read, so it could not be kept; left alone."]
        record = {"comment": f"content found in {name}", "action": "keep"}
        kept_version = writer.create(version.path.read_bytes(), record)
        writer.put_back(version.number, original)
        return [
            f"{name}: changed content kept as v{kept_version}.",
            f"{name}: deployed content put back.",
        ]

    def _of_this_detector(self, geometry: Geometry | str | os.PathLike[str]) -> Geometry:
        """Geometry to deploy; refuses another detector's."""
        if not isinstance(geometry, Geometry):
            geometry = Geometry.read(geometry)
        if geometry.detector.device != self.detector.device:  # several sizes may share one
            raise VersionStoreError(
                f"{geometry.source} has {geometry.detector.modules} sensors "
                f"({geometry.detector.name}), but {self.address} is a "
                f"{device_name(self.address) or self.detector.name}; nothing was deployed."
            )
        return geometry

    def _geometry(self, what: int | str | Geometry) -> Geometry:
        if isinstance(what, Geometry):
            return what
        if what == "current":
            geometry = self.geometry()
            if geometry is None:
                raise VersionStoreError(f"{self.link}: {self.state()}; there is nothing current.")
            return geometry
        return self.version(int(what)).geometry()


def _checked_range(text: str) -> str:
    text = text.removesuffix(".data")
    runs = run_range(f"{text}.data")
    if runs is None or runs[0] > runs[1]:
        raise VersionStoreError(
            f"{text!r} is not a range of runs; expected e.g. 0-end, 54-end or 54-80."
        )
    return text
