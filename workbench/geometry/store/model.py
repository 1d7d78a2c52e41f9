"""What a version store says of itself: versions, switches, and what a deployment would do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from workbench.geometry.compare import GeometryDiff
from workbench.geometry.tree import Geometry


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

    @property
    def moved(self) -> bool:
        """Whether the name led elsewhere afterwards; not so if a version was kept or repaired."""
        return self.action not in ("keep", "repair")


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
    fingerprint : newest version and SHA-256 of what psana reads, when this was made.
    """

    version: int
    path: Path
    link: Path
    adopted: int | None
    writes: tuple[str, ...]
    diff: GeometryDiff | None
    warnings: tuple[str, ...]
    text: str = field(repr=False, default="")
    fingerprint: tuple[int, str] = field(repr=False, default=(-1, ""))

    def __str__(self) -> str:
        lines = [f"new version {self.path.name} in {self.path.parent}"]
        if self.adopted is not None:
            lines.append(f"the present {self.link.name} is kept as v{self.adopted}")
        lines.append(f"{self.link.name} will lead to {self.path.name}")
        if self.diff is not None:
            lines += str(self.diff).splitlines()
        return "\n".join([*lines, *(f"note: {warning}" for warning in self.warnings)])


StateKind: TypeAlias = Literal["absent", "version", "plain", "foreign", "dangling"]


@dataclass(frozen=True)
class State:
    """What the name that psana reads is."""

    kind: StateKind  # foreign: a link to elsewhere
    version: int | None = None
    content: bytes | None = None
    target: str = ""
