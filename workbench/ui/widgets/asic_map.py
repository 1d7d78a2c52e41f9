"""A small map of the detector: how much of each ASIC is masked, as SVG text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import Detector
from workbench.ui.widgets.image_view import asic_corners_mm, asic_vectors_mm

DEAD = 0.98
"""An ASIC that loses more than this is dead, for practical purposes."""
_PALE, _STRONG = np.array([255, 247, 220]), np.array([140, 45, 4])
_DEAD_COLOUR = "#000000"
_SIZE = 240


def asic_map(
    detector: Detector, fraction: NDArray[np.float64], positions_um: NDArray[np.float64]
) -> str:
    """SVG of the ASICs in their places, darker the more of them is masked.

    Parameters
    ----------
    fraction : masked fraction of each ASIC, in panel order (any shape).
    positions_um : lab x, y, z of all pixels, ``(modules, rows, columns, 3)``; drawn with x down
        and y to the right, as the detector view does.
    """
    flat, names = fraction.reshape(-1), detector.asic_names()
    corners = asic_corners_mm(detector, asic_vectors_mm(detector, positions_um))
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    scale = _SIZE / float((high - low).max())
    height, width = (high - low) * scale
    top = max(0.01, float(flat[flat < DEAD].max(initial=0.0)))
    pieces = []
    for name, value, corner in zip(names, flat, corners, strict=True):
        at = (corner - low) * scale
        points = " ".join(f"{y:.1f},{x:.1f}" for x, y in at)
        pieces.append(
            f'<polygon points="{points}" fill="{_colour(float(value), top)}" stroke="#777"'
            f' stroke-width="0.5"><title>{name}: {100 * value:.2f} % masked</title></polygon>'
        )
        if value >= DEAD:
            x, y = at.mean(axis=0)
            pieces.append(
                f'<text x="{y:.1f}" y="{x + 3:.1f}" text-anchor="middle" font-size="9" fill="#fff"'
                f' pointer-events="none">{100 * value:.0f}</text>'
            )
    dead = int(np.count_nonzero(flat >= DEAD))
    worst = int(flat.argmax())
    summary = (
        f"{dead} of {flat.size} ASICs masked (black)" if dead else
        f"most in {names[worst]}: {100 * flat[worst]:.2f}\u202f%"
    )  # fmt: skip
    return (
        f'<svg role="img" aria-label="Masked fraction of each ASIC; {summary}" width="{width:.0f}"'
        f' height="{height:.0f}" viewBox="0 0 {width:.1f} {height:.1f}">{"".join(pieces)}</svg>'
        f'<div class="cw-note">Masked per ASIC, pale 0 to dark {100 * top:.3g}\u202f%; '
        f"{summary}</div>"
    )


def _colour(value: float, top: float) -> str:
    if value >= DEAD:
        return _DEAD_COLOUR
    mixed = _PALE + (_STRONG - _PALE) * (min(value / top, 1.0) ** 0.7)
    return "#" + "".join(f"{round(float(part)):02x}" for part in mixed)
