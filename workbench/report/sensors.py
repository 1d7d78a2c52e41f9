"""Statistics of each sensor in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import find
from workbench.pipeline import ImageSet
from workbench.report.text import Shown, folded, known, sentence, table


def sensor_table(images: ImageSet, good: NDArray[np.bool_] | None) -> Shown:
    """Medians of the good pixels of each sensor, and how many are masked; folded."""
    kinds = {
        "average": images.average,
        "noise": images.stddev,
        "maximum": images.maximum,
        "bright average": images.bright_average,
    }
    present = {
        f"{name} ({image.unit})": image.data for name, image in kinds.items() if image is not None
    }
    if not present:
        return sentence("")
    detector = find(next(iter(present.values())).shape)
    rows = []
    for sensor in range(detector.modules):
        chosen = slice(None) if good is None else good[sensor]
        row = [detector.module_name(sensor)]
        row += [known(_median(data[sensor][chosen]), 2) for data in present.values()]
        row.append("–" if good is None else f"{100 * (1 - good[sensor].mean()):.2f}")
        rows.append(row)
    title = "Medians of the good pixels of each sensor, as numbers (not printed)"
    return folded(title, table(["sensor", *present, "masked (%)"], rows))


def _median(values: NDArray[Any]) -> float | None:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else None
