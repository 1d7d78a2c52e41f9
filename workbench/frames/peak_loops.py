"""The compiled loop that finds peaks."""

from __future__ import annotations

from numba import njit

REACH = 3


@njit(cache=True, nogil=True)
def find(values, good, threshold, noise, places, heights):  # type: ignore[no-untyped-def]
    """Count the peaks of ``(modules, rows, columns)``; see `workbench.frames.peaks`.

    As many as there is room for are put into `places` (index in the flattened array) and `heights`
    (the highest threshold that they are above).
    """
    modules, rows, columns = values.shape
    peaks = 0
    for module in range(modules):
        for row in range(1, rows - 1):
            for column in range(1, columns - 1):
                value = values[module, row, column]
                # a NaN is not above the threshold either
                if not value > threshold or not good[module, row, column]:
                    continue
                highest = True
                for near_row in range(row - 1, row + 2):
                    for near in range(column - 1, column + 2):
                        if not good[module, near_row, near]:
                            continue
                        other = values[module, near_row, near]
                        before = near_row < row or (near_row == row and near < column)
                        if other > value or (other == value and before):
                            highest = False
                if not highest:
                    continue
                total, squares, pixels = 0.0, 0.0, 0
                for near_row in range(max(row - REACH, 0), min(row + REACH + 1, rows)):
                    for near in range(max(column - REACH, 0), min(column + REACH + 1, columns)):
                        edge = abs(near_row - row) == REACH or abs(near - column) == REACH
                        if edge and good[module, near_row, near]:
                            other = values[module, near_row, near]
                            if other == other:
                                total += other
                                squares += other * other
                                pixels += 1
                if pixels < 2:
                    continue
                mean = total / pixels
                variance = max(squares / pixels - mean * mean, 0.0)
                height = value - mean
                if height > threshold and height * height > noise * noise * variance:
                    if peaks < places.size:
                        places[peaks] = (module * rows + row) * columns + column
                        heights[peaks] = min(value, height)
                    peaks += 1
    return peaks
