"""Tables of an alignment: offsets, and the measures behind each verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from workbench.alignment import in_words_of
from workbench.quantities import thousands
from workbench.report.text import Shown, known, sentence, signed, table, together

if TYPE_CHECKING:
    from workbench.alignment import Alignment, QuadrantAlignment


def offsets(alignment: Alignment) -> Shown:
    """Offset and uncertainty of each quadrant, correlation before and after, what was applied."""
    rows = []
    for name, quadrant in zip(alignment.names, alignment.quadrants, strict=True):
        x, y = quadrant.offset_px if quadrant.verdict != "not determined" else (math.nan, math.nan)
        before, after = correlations(quadrant)
        rows.append(
            [
                name, signed(x), known(quadrant.sigma_px[0], 2), signed(y),
                known(quadrant.sigma_px[1], 2), known(before, 4), known(after, 4), quadrant.verdict,
                "yes" if quadrant.accepted else "no",
            ]
        )  # fmt: skip
    header = ["", "x (px)", "± σ", "y (px)", "± σ", "CC before", "CC after", "verdict", "applied"]
    return table(header, rows)


def meaning(alignment: Alignment) -> Shown:
    """What the numbers of `offsets` are."""
    detector = alignment.detector
    word = detector.group_word
    return sentence(
        f"{alignment.method_text}; mean of the largest correlations {alignment.mean_cc:.4f}."
        f" The offset is where the {word} sees the centre of the rings in the deployed geometry,"
        f" in pixels of {detector.pixel_um:g} µm along psana x and y; the corrected geometry moves"
        f" the {word} by minus the offset. CC is the correlation of the {word} with itself, turned"
        " about the beam: before, where it is deployed; after, where the corrected geometry has it."
    )


def correlations(quadrant: QuadrantAlignment) -> tuple[float, float]:
    """Correlation of a quadrant in the deployed and in the corrected geometry.

    Read from its map, between trial offsets by cubic interpolation; NaN where the map has no
    value.
    """
    offset = quadrant.offset_px if quadrant.accepted else (0.0, 0.0)
    return quadrant.cc_at((0.0, 0.0)), quadrant.cc_at(offset)


def measures(alignment: Alignment) -> Shown:
    """The numbers behind the verdict on each quadrant, and the width of the rings."""
    rows = [
        [
            name, known(quadrant.measures.second_peak_ratio, 2),
            known(quadrant.measures.sensor_split_px, 2), thousands(quadrant.pairs),
            known(quadrant.measures.ring_significance, 1),
        ]
        for name, quadrant in zip(alignment.names, alignment.quadrants, strict=True)
    ]  # fmt: skip
    header = ["", "second peak / peak", "sensor split (px)", "pixel pairs", "ring significance (σ)"]
    events = [quadrant.measures.event_halves_apart_px for quadrant in alignment.quadrants]
    divided = bool(np.isfinite(events).any())
    word = alignment.detector.group_word
    if divided:
        header.append("event halves apart (px)")
        rows = [[*row, known(apart, 2)] for row, apart in zip(rows, events, strict=True)]
    words = (
        "Second peak: the next largest correlation, as a share of the largest. Sensor split:"
        " distance of the offsets from even and from odd sensors alone. Ring significance:"
        f" agreement with the rings that the other {word}s see."
    )
    if divided:
        split = alignment.settings.halves
        which = "" if split == "none" else f" ({split.replace('-', ' and ')})"
        words += f" Event halves: offsets from one and from the other half of the events{which}."
    if (sharpness := alignment.sharpness) is not None:
        before, after = sharpness.before.width_px, sharpness.after.width_px
        if math.isfinite(before) and math.isfinite(after):
            words += (
                f" Width of the strongest ring of all {word}s together (full width at half"
                f" height): {before:.2f} px before, {after:.2f} px after."
            )
    if alignment.refinement is not None:
        notes = in_words_of(alignment.detector, alignment.refinement.notes())
        words += " " + " ".join(notes)
    if alignment.calibrant_line:
        words += f" {alignment.calibrant_line}"
    if alignment.sensors_line:
        words += f" {alignment.sensors_line}"
    return together(table(header, rows), sentence(words))
