"""Shadow of the beam stop: a circle fitted to the dark region about the beam."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from workbench.errors import MaskError
from workbench.images import DetectorImage
from workbench.quantities import MAD_TO_SIGMA
from workbench.recipe.mask import CircleLayer

DARK = 0.5
"""A pixel is in the shadow below this part of the median about it."""
WITHIN_MM = 25.0
"""The shadow is looked for this far from the beam."""
THIN_MM = 2.6
"""What is thinner is no beam stop: gaps between sensors, the arm."""
SECTORS = 72
"""Directions in which the edge is looked for."""


def fit_beam_stop(image: DetectorImage) -> CircleLayer:
    """Circle that covers the shadow about the beam.

    Pixels within 25 mm of the beam are dark below half of their median. Dark pixels and gaps
    are joined, what is thinner than 2.6 mm is taken away, and of the regions that remain the one
    that reaches nearest to the beam is the shadow. A circle is fitted to its edge, with one pixel
    more.

    Parameters
    ----------
    image : maximum or average of bright runs, with a geometry.

    Raises
    ------
    MaskError
        If the image has no geometry, or no dark region is there.
    """
    if image.geometry is None:
        raise MaskError("The beam stop is found about the beam; the image needs a geometry.")
    pixel_mm = image.detector.pixel_um / 1000
    picture = image.geometry.snapped()
    rows, columns = (np.arange(size) for size in picture.shape)
    x_mm = picture.origin_um[0] / 1000 + rows * pixel_mm
    y_mm = picture.origin_um[1] / 1000 + columns * pixel_mm
    near_x, near_y = np.abs(x_mm) < WITHIN_MM, np.abs(y_mm) < WITHIN_MM
    index = picture.index[np.ix_(near_x, near_y)]
    x_mm, y_mm = np.meshgrid(x_mm[near_x], y_mm[near_y], indexing="ij")
    values = np.where(index >= 0, image.data.ravel()[index], np.nan)
    typical = float(np.nanmedian(values)) if np.isfinite(values).any() else 0.0
    is_dark = values < DARK * typical
    size = round(THIN_MM / pixel_mm)
    grid = np.hypot(*np.ogrid[-size : size + 1, -size : size + 1]) <= size / 2
    opened = ndimage.binary_opening(is_dark | (index < 0), grid)
    regions, count = ndimage.label(opened)
    dark_in = ndimage.sum_labels(is_dark, regions, np.arange(1, count + 1))
    distance = ndimage.minimum(np.hypot(x_mm, y_mm), regions, np.arange(1, count + 1))
    candidates = [n for n in range(count) if dark_in[n] > grid.sum()]
    if not candidates:
        raise MaskError(
            "No shadow is seen about the beam: no region within 25 mm is below half of the median "
            "there. Choose “circle” and drag it over the beam stop."
        )
    shadow = regions == 1 + min(candidates, key=lambda n: distance[n])
    within = shadow & is_dark
    centre = np.array([x_mm[within].mean(), y_mm[within].mean()])
    seen = index >= 0
    centre, radius_mm = _edge_circle(x_mm[seen], y_mm[seen], is_dark[seen], centre)
    x, y = (round(float(value), 2) for value in centre)
    return CircleLayer(name="beam stop", centre_mm=(x, y), radius_mm=round(radius_mm + pixel_mm, 2))


def _edge_circle(
    x_mm: NDArray[np.float64],
    y_mm: NDArray[np.float64],
    is_dark: NDArray[np.bool_],
    centre: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float]:
    """Circle through the edge of the dark pixels about a centre.

    In each sector the edge is the radius that parts dark from bright pixels best. A circle is
    fitted to the edges by least squares; sectors far from it (the arm) are left out.
    """
    radius = np.hypot(x_mm - centre[0], y_mm - centre[1])
    sector = np.arctan2(y_mm - centre[1], x_mm - centre[0]) * SECTORS / (2 * np.pi)
    sector = np.floor(sector).astype(int) % SECTORS
    edges = []
    for number in range(SECTORS):
        order = np.flatnonzero(sector == number)
        order = order[np.argsort(radius[order])]
        if not order.size:
            continue
        balance = np.cumsum(np.where(is_dark[order], 1, -1))
        edge = radius[order[balance.argmax()]]
        angle = (number + 0.5) * 2 * np.pi / SECTORS
        edges.append(centre + edge * np.array([np.cos(angle), np.sin(angle)]))
    points = np.array(edges)
    keep = np.ones(len(points), dtype=bool)
    for _ in range(4):
        # x² + y² = 2 a x + 2 b y + c, with the radius from c = r² − a² − b²
        matrix = np.column_stack([2 * points[keep], np.ones(keep.sum())])
        (a, b, c), *_ = np.linalg.lstsq(matrix, (points[keep] ** 2).sum(axis=1), rcond=None)
        circle_mm = float(np.sqrt(max(c + a * a + b * b, 0.0)))
        away = np.abs(np.hypot(points[:, 0] - a, points[:, 1] - b) - circle_mm)
        keep = away <= max(3 * MAD_TO_SIGMA * float(np.median(away)), 0.1)
    return np.array([a, b]), circle_mm
