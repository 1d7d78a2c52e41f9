"""The four correlation maps, to click into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets as t

HERE = Path(__file__).parent


class MapsView(anywidget.AnyWidget):
    """Correlation maps with the peak (white, at half height a contour) and the offset in force
    (orange, 1 σ ellipse).

    Maps are drawn as the detector is: offset x downwards, y to the right. Below each map its
    cross-sections through the peak: x solid blue, y dashed orange.
    """

    _esm = t.Unicode((HERE / "maps_view.js").read_text(encoding="utf-8")).tag(sync=True)
    _css = t.Unicode((HERE / "maps_view.css").read_text(encoding="utf-8")).tag(sync=True)
    maps: t.List = t.List(help="one entry per quadrant").tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._acts: dict[str, Callable[[int, float, float], None]] = {}
        self.on_msg(self._received)

    def show(self, alignment: Any) -> None:
        """Show the maps of an alignment (None: nothing)."""
        self.maps = [] if alignment is None else [entry(one) for one in alignment.quadrants]

    def on_offset(self, kind: str, act: Callable[[int, float, float], None]) -> None:
        """Call ``act(quadrant, x, y)``: `kind` ``set`` (offset), ``move`` (the same, dragged on),
        ``nudge`` (step) or ``found``.
        """
        self._acts[kind] = act

    def _received(self, _: Any, content: Mapping[str, Any], __: Any) -> None:
        act = self._acts.get(str(content.get("type")))
        if act is not None:
            act(int(content["quadrant"]), float(content["x"]), float(content["y"]))


def entry(one: Any) -> dict[str, Any]:
    """What the front end draws of one quadrant."""
    values = np.asarray(one.map, dtype=float)
    return {
        "title": title(one),
        "trials": [float(v) for v in one.trials_px],
        "values": [[round(float(v), 6) if np.isfinite(v) else None for v in row] for row in values],
        "peak": finite(one.peak_px),
        "offset": finite(one.offset_px) if one.verdict != "not determined" else None,
        "ellipse": ellipse(one.covariance_px2),
    }


def ellipse(covariance_px2: Any) -> list[float] | None:
    """One standard deviation about an offset: two half axes in pixels, and the angle of the first.

    The angle is that of the drawing: radians from the y axis (right) towards the x axis (down).
    """
    covariance = np.asarray(covariance_px2, dtype=float)
    if covariance.shape != (2, 2) or not np.isfinite(covariance).all():
        return None
    squares, directions = np.linalg.eigh(covariance)
    long, short = np.sqrt(np.maximum(squares[::-1], 0))
    x, y = directions[:, 1]
    return [float(long), float(short), float(np.arctan2(x, y))]


def title(one: Any) -> str:
    """Three lines: verdict, offset in x and y, correlation; short, the maps may be narrow."""
    if one.verdict == "not determined":
        return f"Q{one.quadrant} not determined\n–\nCC {one.cc:.4f}"
    x, y = one.offset_px
    kept = "" if one.accepted else ", left in place"
    return f"Q{one.quadrant} {one.verdict}{kept}\n{x:+.2f}, {y:+.2f} px\n{correlation(one)}"


def correlation(one: Any) -> str:
    """Largest correlation; where a person set the offset, that of the map at this place too."""
    here = one.measures.cc_here
    if here is None:
        return f"CC {one.cc:.4f}"
    told = f"{here:.4f}" if np.isfinite(here) else "–"
    return f"CC {told} of {one.cc:.4f}"


def finite(pair: Any) -> list[float] | None:
    """Two finite numbers, or None."""
    values = [float(v) for v in pair]
    return values if np.isfinite(values).all() else None
