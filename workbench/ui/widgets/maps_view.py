"""The correlation maps of the detector's groups, to click into."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets as t
from numpy.typing import ArrayLike

from workbench.detectors import DETECTORS, Detector
from workbench.ui.widgets.bundles import bundle

if TYPE_CHECKING:
    from workbench.alignment import Alignment
    from workbench.alignment.result import QuadrantAlignment


class MapsView(anywidget.AnyWidget):
    """Correlation maps with the peak (white, at half height a contour) and the offset in force
    (orange, 1 σ ellipse).

    Maps are drawn and stand as the detector is: offset x downwards, y to the right. Beside each map
    its cross-sections through the peak: x solid blue, y dashed orange.
    """

    _esm = t.Unicode(bundle("maps_view.js")).tag(sync=True)
    _css = t.Unicode(bundle("maps_view.css")).tag(sync=True)
    maps: t.List[dict[str, Any]] = t.List(help="one entry per group").tag(sync=True)
    groups: t.List[str] = t.List(t.Unicode(), help="names of the detector's groups").tag(sync=True)
    places: t.List[tuple[int, int]] = t.List(help="row and column of each group, from 1").tag(
        sync=True
    )

    def __init__(self, detector: Detector = DETECTORS[0], **traits: object) -> None:
        super().__init__(**{"groups": [group.name for group in detector.groups], **traits})
        self._acts: dict[str, Callable[[int, float, float], None]] = {}
        self.on_msg(self._received)

    def show(self, alignment: Alignment | None) -> None:
        """Show the maps of an alignment (None: nothing)."""
        if alignment is None:
            self.maps = []
            return
        named = zip(alignment.names, alignment.quadrants, strict=True)
        with self.hold_sync():
            self.groups = list(alignment.names)
            self.places = [(row + 1, column + 1) for row, column in alignment.places]
            self.maps = [entry(quadrant, name) for name, quadrant in named]

    def on_offset(self, kind: str, act: Callable[[int, float, float], None]) -> None:
        """Call ``act(quadrant, x, y)``: `kind` ``set`` (offset), ``move`` (the same, dragged on),
        ``nudge`` (step) or ``found``.
        """
        self._acts[kind] = act

    def _received(self, _: object, content: Mapping[str, Any], __: object) -> None:
        act = self._acts.get(str(content.get("type")))
        if act is not None:
            act(int(content["quadrant"]), float(content["x"]), float(content["y"]))


def entry(quadrant: QuadrantAlignment, name: str) -> dict[str, Any]:
    """What the front end draws of one quadrant, e.g. of ``Q0``."""
    values = np.asarray(quadrant.map, dtype=float)
    return {
        "title": title(quadrant, name),
        "trials": [float(v) for v in quadrant.trials_px],
        "values": [[round(float(v), 6) if np.isfinite(v) else None for v in row] for row in values],
        "peak": finite(quadrant.peak_px),
        "offset": finite(quadrant.offset_px) if quadrant.verdict != "not determined" else None,
        "ellipse": ellipse(quadrant.covariance_px2),
    }


def ellipse(covariance_px2: ArrayLike) -> list[float] | None:
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


def title(quadrant: QuadrantAlignment, name: str) -> str:
    """Three lines: verdict, offset in x and y, correlation; short, the maps may be narrow."""
    if quadrant.verdict == "not determined":
        return f"{name} not determined\n–\nCC {quadrant.cc:.4f}"
    x, y = quadrant.offset_px
    kept = "" if quadrant.accepted else ", left in place"
    first = f"{name} {quadrant.verdict}{kept}"
    x, y = (round(offset, 2) + 0.0 for offset in (x, y))  # no minus before zero
    return f"{first}\n{x:+.2f}, {y:+.2f} px\n{correlation(quadrant)}"


def correlation(quadrant: QuadrantAlignment) -> str:
    """Correlation of the map at the offset; where a person set it, the largest too."""
    here = quadrant.cc_at(quadrant.offset_px)
    if quadrant.verdict != "overruled":
        return f"CC {here if np.isfinite(here) else quadrant.cc:.4f}"
    text = f"{here:.4f}" if np.isfinite(here) else "–"
    return f"CC {text} of {quadrant.cc:.4f}"


def finite(pair: Iterable[float]) -> list[float] | None:
    """Two finite numbers, or None."""
    values = [float(v) for v in pair]
    return values if np.isfinite(values).all() else None
