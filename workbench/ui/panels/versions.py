"""Time line and tables of the geometry panel."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from workbench.ui.panels.base import note_text, table

if TYPE_CHECKING:
    from workbench.geometry import GeometryDiff, GeometryStore, Version


def quality(record: dict[str, Any]) -> str:
    """Mean correlation of the alignment a version was made with."""
    found = record.get("quality")
    value = found.get("mean_cc") if isinstance(found, dict) else None
    return f"{value:.4f}" if isinstance(value, int | float) else "–"


def time_line(store: GeometryStore) -> str:
    """Which version psana read from when to when, newest first, as HTML; empty without HISTORY."""
    # "keep" and "repair" leave the name where it leads
    turns = [one for one in store.switches() if one.action not in ("keep", "repair")]
    if not turns:
        return ""
    records = {one.number: one.record for one in store.history()}
    ends = [one.when for one in turns[1:]] + [""]
    items = []
    for one, end in reversed(list(zip(turns, ends, strict=True))):
        name = "no version" if one.version is None else f"v{one.version}"
        until = f"to {minute(end)}" if end else "until now"
        cc = quality(records.get(one.version, {}) if one.version is not None else {})
        facts = [one.comment, f"mean CC {cc}" if cc != "–" else ""]
        items.append(
            f'<li class="cw-turn-{html.escape(one.action)}{"" if end else " cw-now"}">'
            f"<b>{html.escape(name)}</b> from {html.escape(minute(one.when))} {until}"
            f" · {html.escape(one.action)} by {html.escape(one.user)}"
            f"<div>{html.escape(' · '.join(filter(None, facts)))}</div></li>"
        )
    return (
        '<div class="cw-caption">Time line: which version psana read (local time)</div>'
        f'<ol class="cw-time">{"".join(items)}</ol>'
    )


def version_table(store: GeometryStore, history: Sequence[Version]) -> str:
    """Table of the versions, newest first."""
    rows = [
        [
            ("▶ " if one.current else "") + one.name,
            minute(one.when) or "–",
            one.user or "–",
            one.comment or "–",
            quality(one.record),
            {True: "as deployed", False: "CHANGED since", None: "no record"}[one.intact],
        ]
        for one in reversed(history)
    ]
    head = ["version", "made", "who", "comment", "mean CC", "content"]
    return table(head, rows, "Versions")


def minute(when: str) -> str:
    """Local date and time to the minute of an ISO 8601 time; other text as it is."""
    try:
        return datetime.fromisoformat(when).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return when


def difference_table(diff: GeometryDiff) -> str:
    """Table of each object's shift and turn."""
    if not diff:
        return note_text("The two geometries are the same.")
    rows = [
        [
            str(one.key),
            ", ".join(f"{value:+.3f}" for value in one.shift_px[:2]),
            ", ".join(f"{value:+.2f}" for value in one.shift_um),
            ", ".join(f"{value:+.5f}" if value else "0" for value in one.rotation_deg),
        ]
        for one in diff.changes
    ]
    rows += [[str(key), "–", "–", "only in the newer geometry"] for key in diff.added]
    rows += [[str(key), "–", "–", "only in the older geometry"] for key in diff.removed]
    head = ["object", "x, y (px)", "x, y, z (µm)", "turn about x, y, z (°)"]
    return table(head, rows, "Shift and turn of each object that moved on its own")
