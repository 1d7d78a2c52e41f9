"""Compiled inner loops of the alignment."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def deposit(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    value: NDArray[np.float32],
    good: NDArray[np.bool_],
    turn: NDArray[np.float64],
    origin: NDArray[np.float64],
    values: NDArray[np.float32],
    weights: NDArray[np.float32],
) -> None:
    """Add turned pixels to a grid with bilinear weights; `values`, `weights` are ``(rows, cols)``.

    A pixel at p goes to ``turn @ p - origin``; what falls outside the grid is left out.
    """
    rows, columns = values.shape
    for i in range(x.size):
        if not good[i]:
            continue
        u = turn[0, 0] * x[i] + turn[0, 1] * y[i] - origin[0]
        v = turn[1, 0] * x[i] + turn[1, 1] * y[i] - origin[1]
        row, column = int(np.floor(u)), int(np.floor(v))
        if row < 0 or column < 0 or row >= rows - 1 or column >= columns - 1:
            continue
        a, b = np.float32(u - row), np.float32(v - column)
        one = np.float32(1)
        w00, w01, w10, w11 = (one - a) * (one - b), (one - a) * b, a * (one - b), a * b
        weights[row, column] += w00
        weights[row, column + 1] += w01
        weights[row + 1, column] += w10
        weights[row + 1, column + 1] += w11
        values[row, column] += w00 * value[i]
        values[row, column + 1] += w01 * value[i]
        values[row + 1, column] += w10 * value[i]
        values[row + 1, column + 1] += w11 * value[i]
