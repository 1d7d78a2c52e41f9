"""A threshold with number box, slider and histogram in one widget."""

from __future__ import annotations

from typing import Any

import anywidget
import numpy as np
import traitlets as t
from numpy.typing import NDArray

from workbench.mask.suggest import pixels_masked
from workbench.ui.widgets.bundles import bundle

BINS = 240


class LimitControl(anywidget.AnyWidget):
    """A limit that follows the mouse: slider, typed number, or the line in the histogram.

    Arrow keys move it by one step, with Shift by ten.
    """

    _esm = t.Unicode(bundle("limit_control.js")).tag(sync=True)
    _css = t.Unicode(bundle("limit_control.css")).tag(sync=True)

    value = t.Float(0.0).tag(sync=True)
    min = t.Float(0.0).tag(sync=True)
    max = t.Float(1000.0, help="end of the slider").tag(sync=True)
    usual_max = t.Float(help="end of the slider that the image needs").tag(sync=True)
    highest = t.Float(None, allow_none=True, help="largest value of the image").tag(sync=True)
    step = t.Float(1.0).tag(sync=True)
    label = t.Unicode().tag(sync=True)
    unit = t.Unicode("ADU").tag(sync=True)
    hint = t.Unicode(help="one sentence shown over the control").tag(sync=True)
    masks = t.Enum(("above", "below"), "above", help="which side is masked").tag(sync=True)
    counts: t.List[float] = t.List(t.Float(), help="histogram of the image").tag(sync=True)
    counts_range: t.List[float] = t.List(t.Float(), default_value=[0.0, 1.0]).tag(sync=True)
    removed: t.List[int] = t.List(
        t.Int(), help="pixels removed if the limit were at each edge of the histogram"
    ).tag(sync=True)
    pixels = t.Int(0, help="pixels of the image").tag(sync=True)
    without = t.Unicode(
        "The histogram follows when there is an image", help="said in place of the histogram"
    ).tag(sync=True)
    note = t.Unicode(help="what the limit removes, in words").tag(sync=True)
    drives: t.List[str] = t.List(t.Unicode(), help="model and trait set in the browser").tag(
        sync=True
    )

    def __init__(self, **traits: object) -> None:
        super().__init__(**traits)
        self._least_max = self.max
        self.usual_max = self.max

    def drive(self, widget: anywidget.AnyWidget, trait: str) -> None:
        """Let a trait of another widget follow in the browser, at once and without the kernel.

        The kernel hears of both several times a second, and of the last value always.
        """
        self.drives = [f"IPY_MODEL_{widget.model_id}", trait]

    def set_image(self, values: NDArray[Any] | None, positive: bool = True) -> None:
        """Show the histogram of an array; the slider reaches as far as the values need.

        Over it lies the curve of pixels masked against the limit: those beyond it, those that are
        not a number, and if `positive` those at or below 0 where the upper side is masked.
        """
        # sorted once, for all that is counted; double, or each count would convert it again
        flat = np.sort(np.asarray([] if values is None else values, np.float32), axis=None)
        flat = flat.astype(np.float64)
        first, last = flat.searchsorted(-np.inf, "right"), flat.searchsorted(np.inf, "left")
        finite = flat[first:last]
        if finite.size == 0:
            self.counts, self.removed, self.highest = [], [], None
            return
        usual = float(finite[int(0.995 * (finite.size - 1))])
        usual_max = nice(max(self._least_max, 1.3 * usual))
        top = nice(max(usual_max, 1.1 * self.value))
        edges = np.linspace(self.min, top, BINS + 1)
        below = finite.searchsorted(edges)
        below[-1] = finite.searchsorted(top, "right")
        above = self.masks == "above"
        masked = pixels_masked(flat, edges, "above" if above else "below", positive and above)
        with self.hold_sync():
            self.usual_max, self.max = usual_max, max(usual_max, self.value)
            self.highest = float(finite[-1])
            self.counts_range = [self.min, top]
            self.counts = np.diff(below).astype(float).tolist()
            self.removed = masked.tolist()
            self.pixels = int(flat.size)


def nice(value: float) -> float:
    """Smallest of 1, 1.5, 2, 3, 4, 5, 6, 8 × 10ⁿ that is at least `value`."""
    if value <= 0 or not np.isfinite(value):
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    return float(next(step for step in steps if step * power >= value * (1 - 1e-12)) * power)
