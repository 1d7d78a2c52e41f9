"""Time line, versions and differences of the geometry panel, as HTML."""

from __future__ import annotations

import html
from datetime import datetime
from typing import TYPE_CHECKING

from workbench.ui.panels.base import note_text, table

if TYPE_CHECKING:
    from workbench.geometry import Geometry, GeometryDiff, GeometryStore, ObjectKey, Version

FILE_STATE = {True: "file unchanged", False: "file CHANGED since", None: "no record of the file"}


def mean_cc(version: Version) -> str:
    """``CC 0.9717``: mean of the alignment a version was made with; empty if it is not known."""
    quality = version.record.get("quality")
    value = quality.get("mean_cc") if isinstance(quality, dict) else None
    return f"CC {value:.4f}" if isinstance(value, int | float) else ""


def time_line(store: GeometryStore) -> str:
    """Which version psana read from when to when, newest first; empty without HISTORY."""
    # "keep" and "repair" leave the name where it leads
    switches = [switch for switch in store.switches() if switch.action not in ("keep", "repair")]
    if not switches:
        return ""
    versions = {version.number: version for version in store.history()}
    ends = [switch.when for switch in switches[1:]] + [""]
    items = []
    for switch, end in reversed(list(zip(switches, ends, strict=True))):
        name = "no version" if switch.version is None else f"v{switch.version}"
        until = f"to {minute(end)}" if end else "until now"
        version = None if switch.version is None else versions.get(switch.version)
        facts = [switch.comment, "" if version is None else mean_cc(version)]
        items.append(
            f'<li class="cw-turn-{html.escape(switch.action)}{"" if end else " cw-now"}">'
            f"<b>{html.escape(name)}</b> from {html.escape(minute(switch.when))} {until}"
            f" · {html.escape(switch.action)} by {html.escape(switch.user)}"
            f"<div>{html.escape(' · '.join(filter(None, facts)))}</div></li>"
        )
    return (
        '<div class="cw-caption">Which version psana read, and when (local time)</div>'
        f'<ol class="cw-time">{"".join(items)}</ol>'
    )


def version_line(version: Version) -> str:
    """One version: name, time, who, comment, CC, whether its file is as it was deployed."""
    facts = [
        minute(version.when),
        version.user,
        version.comment,
        mean_cc(version),
        FILE_STATE[version.intact],
    ]
    name = f"{version.name}, current" if version.current else version.name
    return f"<b>{html.escape(name)}</b> · {html.escape(' · '.join(filter(None, facts)))}"


def minute(when: str) -> str:
    """Local date and time to the minute of an ISO 8601 time; other text as it is."""
    try:
        return datetime.fromisoformat(when).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return when


def difference_table(diff: GeometryDiff, geometry: Geometry) -> str:
    """How each part moved against its parent.

    Parameters
    ----------
    geometry : one of the two that are compared; names the parts.
    """
    if not diff:
        return note_text("The two geometries are the same.")
    names = part_names(geometry)
    rows = [
        [
            names.get(change.key, str(change.key)),
            ", ".join(f"{value:+.3f}" for value in change.shift_px[:2]),
            ", ".join(f"{value:+.2f}" for value in change.shift_um),
            ", ".join(f"{value:+.5f}" if value else "0" for value in change.rotation_deg),
        ]
        for change in diff.changes
    ]
    rows += [[str(key), "–", "–", "only in the newer geometry"] for key in diff.added]
    rows += [[str(key), "–", "–", "only in the older geometry"] for key in diff.removed]
    head = ["part", "shift x, y (px)", "shift x, y, z (µm)", "rotation about x, y, z (°)"]
    return table(head, rows, "Parts that moved")


def part_names(geometry: Geometry) -> dict[ObjectKey, str]:
    """``Q0``, ``Q0 sensor 3``, …: what the objects of a geometry are called in the panels."""
    detector = geometry.detector
    groups = zip(geometry.quadrants, detector.groups, strict=False)
    names = {part.key: group.name for part, group in groups}
    return names | {
        module.key: detector.module_name(number) for number, module in enumerate(geometry.modules)
    }
