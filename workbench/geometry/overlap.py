"""Modules that lie on one another in the plane of the detector, which cannot be."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from workbench.geometry.tree import Geometry


def overlapping_modules(geometry: Geometry) -> dict[tuple[int, int], float]:
    """Depth in µm by which pairs of modules overlap; pairs that do not are absent.

    Two parallelograms are apart if and only if the direction of one of their edges separates them.
    """
    corners = _corners_um(geometry)
    low, high = corners.min(axis=1), corners.max(axis=1)
    depths: dict[tuple[int, int], float] = {}
    for first, second in combinations(range(len(corners)), 2):
        if (low[first] > high[second]).any() or (low[second] > high[first]).any():
            continue
        pair = corners[[first, second]]
        edges = np.concatenate([pair[:, 1] - pair[:, 0], pair[:, 2] - pair[:, 1]])
        normals = np.column_stack([-edges[:, 1], edges[:, 0]])
        normals /= np.linalg.norm(edges, axis=1, keepdims=True)
        along = pair @ normals.T  # (2 modules, 4 corners, 4 directions)
        top, bottom = along.max(axis=1), along.min(axis=1)
        depth = float(np.minimum(top[0] - bottom[1], top[1] - bottom[0]).min())
        if depth > 0:
            depths[first, second] = depth
    return depths


def _corners_um(geometry: Geometry) -> NDArray[np.float64]:
    """Corners of the modules' pixel areas in lab x, y, ``(modules, 4, 2)``, in order around."""
    x, y = geometry.detector.module_edges_um()
    own = np.array([(x[0], y[-1]), (x[0], y[0]), (x[-1], y[0]), (x[-1], y[-1])])
    frames = [geometry.transform(module) for module in geometry.modules]
    return np.stack([own @ frame.rotation[:2, :2].T + frame.origin_um[:2] for frame in frames])
