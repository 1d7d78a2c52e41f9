"""Rotation matrices from angles and back."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def rotation_matrix(x: float, y: float, z: float) -> NDArray[np.float64]:
    """``Rx(x) · Ry(y) · Rz(z)`` for angles in degrees, shape (3, 3).

    Multiples of 90° give exact zeros and ones.
    """
    (cx, sx), (cy, sy), (cz, sz) = _cos_sin(x), _cos_sin(y), _cos_sin(z)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_x @ about_y @ about_z)


def _cos_sin(degrees: float) -> tuple[float, float]:
    quarter, rest = divmod(degrees, 90.0)
    cosine, sine = np.cos(np.radians(rest)), np.sin(np.radians(rest))
    for _ in range(int(quarter) % 4):
        cosine, sine = -sine, cosine
    return float(cosine), float(sine)


def axis_and_angle(rotation: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Unit axis and angle (degrees, 0 to 180) of a rotation matrix; axis z for no rotation."""
    from scipy.spatial.transform import Rotation

    vector = Rotation.from_matrix(np.array(rotation)).as_rotvec()
    angle = float(np.linalg.norm(vector))
    if angle < 1e-14:
        return np.array([0.0, 0.0, 1.0]), 0.0
    return vector / angle, math.degrees(angle)


def about_axis(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Rotation matrix for `angle` degrees about the unit vector `axis` (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    radians = math.radians(angle)
    rotation = np.eye(3) + math.sin(radians) * cross + (1 - math.cos(radians)) * (cross @ cross)
    return np.asarray(rotation)


def angles_deg(rotation: NDArray[np.float64]) -> tuple[float, float, float]:
    """Angles (x, y, z), degrees, for which ``Rx · Ry · Rz`` is the rotation."""
    y = math.asin(max(-1.0, min(1.0, rotation[0, 2])))
    if abs(rotation[0, 2]) < 1 - 1e-12:
        x = math.atan2(-rotation[1, 2], rotation[2, 2])
        z = math.atan2(-rotation[0, 1], rotation[0, 0])
    else:  # x and z turn about the same axis: all of it is z
        x, z = 0.0, math.atan2(rotation[1, 0], rotation[1, 1])
    return math.degrees(x), math.degrees(y), math.degrees(z)
