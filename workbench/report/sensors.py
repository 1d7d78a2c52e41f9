"""Statistics of each sensor in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.detector import SENSORS, SENSORS_PER_QUADRANT
from workbench.report.text import Shown, folded, known, sentence, table


def listed(images: Any, good: np.ndarray | None) -> Shown:
    """Medians of the good pixels of each sensor, and how many are masked; folded."""
    kinds = {
        "average (ADU)": images.average,
        "noise (ADU)": images.stddev,
        "maximum (ADU)": images.maximum,
        "bright average (ADU)": images.bright_average,
    }
    present = {name: image.data for name, image in kinds.items() if image is not None}
    if not present:
        return sentence("")
    rows = []
    for sensor in range(SENSORS):
        chosen = slice(None) if good is None else good[sensor]
        row = [f"Q{sensor // SENSORS_PER_QUADRANT} S{sensor % SENSORS_PER_QUADRANT}"]
        row += [known(_median(data[sensor][chosen]), 2) for data in present.values()]
        row.append("–" if good is None else f"{100 * (1 - good[sensor].mean()):.2f}")
        rows.append(row)
    shown = table(["sensor", *present, "masked (%)"], rows)
    return folded("Medians of the good pixels of each sensor, as numbers (not printed)", shown)


def _median(values: Any) -> float | None:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else None
