"""A small map of the detector: how much of each ASIC is masked, as SVG text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.detector import ASICS_PER_SENSOR, ROWS, SENSORS, SENSORS_PER_QUADRANT
from workbench.ui.widgets.image_view import ASIC_COLUMNS, asic_vectors_mm

DEAD = 0.98
"""An ASIC that loses more than this is dead, for practical purposes."""
_PALE, _STRONG = np.array([255, 247, 220]), np.array([140, 45, 4])
_DEAD_COLOUR = "#000000"
_SIZE = 240


def asic_map(fraction: NDArray[np.float64], positions_um: NDArray[np.float64]) -> str:
    """SVG of the 64 ASICs in their places, darker the more of them is masked.

    Parameters
    ----------
    fraction : masked fraction ``(4, 8, 2)``: quadrant, sensor, ASIC.
    positions_um : lab x, y, z of all pixels, ``(32, 185, 388, 3)``; drawn with x down and y to the
        right, as the detector view does.
    """
    flat = fraction.reshape(-1)
    corners = _corners(positions_um)
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    scale = _SIZE / float((high - low).max())
    height, width = (high - low) * scale
    top = max(0.01, float(flat[flat < DEAD].max(initial=0.0)))
    pieces = []
    for asic, (value, corner) in enumerate(zip(flat, corners, strict=True)):
        at = (corner - low) * scale
        points = " ".join(f"{y:.1f},{x:.1f}" for x, y in at)
        pieces.append(
            f'<polygon points="{points}" fill="{_colour(float(value), top)}" stroke="#777"'
            f' stroke-width="0.5"><title>{_name(asic)}: {100 * value:.2f} % masked</title>'
            "</polygon>"
        )
        if value >= DEAD:
            x, y = at.mean(axis=0)
            pieces.append(
                f'<text x="{y:.1f}" y="{x + 3:.1f}" text-anchor="middle" font-size="9" fill="#fff"'
                f' pointer-events="none">{100 * value:.0f}</text>'
            )
    dead = int(np.count_nonzero(flat >= DEAD))
    worst = int(flat.argmax())
    told = (
        f"{dead} of 64 ASICs masked (black)" if dead else
        f"most in {_name(worst)}: {100 * flat[worst]:.2f} %"
    )  # fmt: skip
    return (
        f'<svg role="img" aria-label="Masked fraction of each ASIC; {told}" width="{width:.0f}"'
        f' height="{height:.0f}" viewBox="0 0 {width:.1f} {height:.1f}">{"".join(pieces)}</svg>'
        f'<div class="cw-note">Masked per ASIC, pale 0 to dark {100 * top:.3g} %; {told}</div>'
    )


def _name(asic: int) -> str:
    sensor, half = divmod(asic, ASICS_PER_SENSOR)
    quadrant, section = divmod(sensor, SENSORS_PER_QUADRANT)
    return f"Q{quadrant} sensor {section} ASIC {half}"


def _corners(positions_um: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lab x, y of the four corners of each ASIC: ``(64, 4, 2)``, mm."""
    vectors = asic_vectors_mm(positions_um).reshape(SENSORS * ASICS_PER_SENSOR, 3, 2)
    origin, fast, slow = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    ends = [(-0.5, -0.5), (ASIC_COLUMNS - 0.5, -0.5), (ASIC_COLUMNS - 0.5, ROWS - 0.5),
            (-0.5, ROWS - 0.5)]  # fmt: skip
    return np.stack([origin + i * fast + j * slow for i, j in ends], axis=1).astype(np.float64)


def _colour(value: float, top: float) -> str:
    if value >= DEAD:
        return _DEAD_COLOUR
    mixed = _PALE + (_STRONG - _PALE) * (min(value / top, 1.0) ** 0.7)
    return "#" + "".join(f"{round(float(part)):02x}" for part in mixed)
