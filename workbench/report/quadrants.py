"""Tables of an alignment: offsets, and the measures behind each verdict."""

from __future__ import annotations

from typing import Any

from workbench.report.text import Shown, count, known, sentence, signed, table, together


def offsets(alignment: Any) -> Shown:
    """Offset and uncertainty of each quadrant, and what was applied."""
    rows = [
        [
            f"Q{number}", signed(one.offset_px[0]), known(one.sigma_px[0], 2),
            signed(one.offset_px[1]), known(one.sigma_px[1], 2), f"{one.cc:.4f}",
            one.verdict, "yes" if one.accepted else "no",
        ]
        for number, one in enumerate(alignment.quadrants)
    ]  # fmt: skip
    return together(
        table(["", "x (px)", "± σ", "y (px)", "± σ", "correlation", "verdict", "applied"], rows),
        sentence(
            f"Method {alignment.method}; mean correlation {alignment.mean_cc:.4f}. The offset"
            " is where the quadrant sees the centre of the rings in the deployed geometry, in"
            " pixels of 109.92 µm along psana x and y; the corrected geometry moves the"
            " quadrant by minus the offset."
        ),
    )


def measures(alignment: Any) -> Shown:
    """The numbers behind the verdict on each quadrant, and the width of the rings."""
    rows = [
        [
            f"Q{number}", known(one.measures.get("second_peak_ratio"), 2),
            known(one.measures.get("halves_apart_px"), 2), count(one.pairs),
            known(one.measures.get("ring_evidence_sigmas"), 1),
        ]
        for number, one in enumerate(alignment.quadrants)
    ]  # fmt: skip
    header = ["", "second peak / peak", "halves apart (px)", "pixel pairs", "ring evidence (σ)"]
    words = "Halves: offsets from even and from odd sensors alone."
    widths = alignment.details.get("ring_sharpness")
    if widths:
        before, after = (known(widths[when]["width_px"], 2) for when in ("before", "after"))
        words += (
            f" Width of the strongest ring of all quadrants together (full width at half height):"
            f" {before} px before, {after} px after."
        )
    return together(table(header, rows), sentence(words))
