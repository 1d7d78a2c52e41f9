"""Explaining drawings of the documentation; `generate.py` makes SVG files of them.

Each function gives a figure that carries its alternative text. Colours and fonts are those of
`workbench.figures`.
"""

from drawings.detector import frames, layouts, sensor, tree
from drawings.house import floors, versions, workflow
from drawings.methods import raw_value, self_correlation, thresholds

DRAWINGS = {
    one.__name__.replace("_", "-"): one
    for one in (
        workflow, floors, sensor, raw_value, layouts, frames, tree, self_correlation, versions,
        thresholds,
    )
}  # fmt: skip
"""Name of the SVG file → function that draws it."""
