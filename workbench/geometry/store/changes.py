"""The steps by which versions are made and switched; each is undone if a later one fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.errors import VersionStoreError
from workbench.geometry.store.files import Changes
from workbench.geometry.store.folder import VersionFolder
from workbench.geometry.store.records import (
    HISTORY,
    history_line,
    one_line,
    side_car_bytes,
    side_car_facts,
)


class VersionWriter:
    """Steps in one folder, to be made with its lock held.

    Parameters
    ----------
    versions : the folder.
    changes : what the steps are made through.
    """

    def __init__(self, versions: VersionFolder, changes: Changes) -> None:
        self.versions = versions
        self.changes = changes

    def create(self, content: bytes, record: Mapping[str, Any]) -> int:
        """Make a version, not yet the current one; gives its number."""
        number = self.versions.next_number()
        self._record(number, content, record)
        self.changes.create(self.versions.path(number).name, content)
        return number

    def adopt_present(self) -> None:
        """Make what psana reads now a version, if it is in none."""
        state = self.versions.state()
        if not self.versions.would_lose(state):
            return
        comment = {
            "plain": "found as a plain file",
            "foreign": f"found behind a link to {state.target}",
        }.get(state.kind, f"found in v{state.version}, which was changed after it was deployed")
        content, record = state.content or b"", {"comment": comment, "action": "keep"}
        if state.kind == "plain":
            number = self.versions.next_number()
            self._record(number, content, record)
            self.changes.adopt(self.versions.link, self.versions.path(number).name)
        else:
            number = self.create(content, record)
        self.note("keep", number, comment)

    def switch(self, number: int, action: str, comment: str) -> None:
        """Make a version the current one; the last step."""
        state = self.versions.state()
        if self.versions.link.is_dir():
            raise VersionStoreError(f"{self.versions.link} is a folder; move it away first.")
        if state.kind == "dangling":
            comment = f"{comment} (was a dead link to {state.target})".strip()
        self.note(action, number, comment)
        self.changes.point(self.versions.link, self.versions.path(number).name)

    def put_back(self, number: int, content: bytes) -> None:
        """Give a version the content it was deployed with; the last step."""
        self.note("repair", number, "content put back")
        self.changes.replace(self.versions.path(number), content)

    def note(self, action: str, number: int, comment: str) -> None:
        """Add a line to ``HISTORY``."""
        line = history_line(self.versions.file, action, number, comment)
        self.changes.append(HISTORY, line)

    def record_unrecorded(self) -> None:
        """Record the content of versions made by hand, so that it can be held to from now on."""
        for number in self.versions.unrecorded():
            when = self.versions.modified(number)
            record = {"comment": "found without a record", "when": when}
            self._record(number, self.versions.path(number).read_bytes(), record)

    def note_outside_change(self) -> None:
        """Make HISTORY end with what psana reads, if a killed deployment or a hand changed that."""
        moves = [switch for switch in self.versions.switches() if switch.moved]
        state = self.versions.state()
        if not moves or state.version is None or state.version == moves[-1].version:
            return
        last = moves[-1]
        why = f"after {last.action} of v{last.version} was interrupted or undone by hand"
        self.note("found", state.version, why)

    def _record(self, number: int, content: bytes, record: Mapping[str, Any]) -> None:
        """Write the side-car first, so that every version that exists has one."""
        side_car = self.versions.side_car(number)
        facts = side_car_facts(number, self.versions.file, content, record)
        facts["comment"] = one_line(str(facts.get("comment", "")))
        self.changes.create(side_car.name, side_car_bytes(facts))
