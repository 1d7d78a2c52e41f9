"""An image as sorted codes: exact answers to "which, and how many, are above this limit?".

An image is held as one ``uint16`` code per pixel, a non-decreasing function of its value. A limit
has a code too: pixels with a smaller or larger code are decided by comparing codes; only the few
with the limit's own code are compared as float64. The outcome is that of float64 throughout,
while a quarter of the memory is read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.detector import COLUMNS, ROWS, SENSORS
from workbench.mask.kernels import TOP, encode, flip
from workbench.mask.planes import WORDS, Plane, pack


class CodedImage:
    """One image, ready for quick comparison with any limit.

    Parameters
    ----------
    values : float64, any shape; not-a-number is neither above nor below a limit.
    above : True if pixels above a limit are asked for, False for those below.

    Attributes
    ----------
    codes : uint16, flat; larger values never have smaller codes.
    """

    def __init__(self, values: NDArray[np.float64], above: bool) -> None:
        self.values = np.ascontiguousarray(values, dtype=np.float64).reshape(-1)
        self.above = above
        sample = self.values[::31]
        sample = sample[np.isfinite(sample)]
        low, high = np.quantile(sample, [0.0005, 0.9995]) if sample.size else (0.0, 1.0)
        width = max(high - low, abs(low) * 1e-9, 1e-9)
        self._low, self._scale = float(low - 0.02 * width), float(TOP / (1.04 * width))
        self._nan_code = 0 if above else TOP
        self.codes = np.empty(self.values.size, np.uint16)
        encode(self.values, self._low, self._scale, self._nan_code, self.codes)
        self._order = np.argsort(self.codes, kind="stable").astype(np.int32)
        self._starts = np.zeros(TOP + 2, np.int64)
        np.cumsum(np.bincount(self.codes, minlength=TOP + 1), out=self._starts[1:])
        self._numbers = int(self.values.size - np.count_nonzero(np.isnan(self.values)))
        self._bins: dict[int, tuple[NDArray[np.float64], NDArray[np.int32]]] = {}

    def code_of(self, limit: float) -> int:
        """Code of a limit, by the very arithmetic of the pixels."""
        code = np.empty(1, np.uint16)
        encode(np.array([limit], np.float64), self._low, self._scale, self._nan_code, code)
        return int(code[0])

    def undecided(self, limit: float) -> NDArray[np.int32]:
        """Flat indices of pixels with the limit's code that are above (or below) the limit."""
        values, order = self._bin(self.code_of(limit))
        if self.above:
            return order[np.searchsorted(values, limit, side="right") :]
        return order[: np.searchsorted(values, limit, side="left")]

    def plane(self, limit: float) -> Plane:
        """Pixels of a full detector that are above (or below) the limit, as a plane."""
        compare = np.greater if self.above else np.less
        found = compare(self.codes, np.uint16(self.code_of(limit)))
        plane = pack(found.reshape(-1, COLUMNS))
        flip(plane, self.undecided(limit), COLUMNS)
        return plane.reshape(SENSORS, ROWS, WORDS)

    def removed(self, limits: NDArray[np.float64] | float) -> NDArray[np.int64]:
        """How many pixels are above (or below) each limit, exactly."""
        limits = np.atleast_1d(np.asarray(limits, dtype=np.float64))
        counts = np.empty(limits.size, np.int64)
        for place, limit in enumerate(limits):
            code = self.code_of(float(limit))
            own = self.undecided(float(limit)).size
            if self.above:
                counts[place] = self.values.size - self._starts[code + 1] + own
            else:
                counts[place] = self._starts[code] + own
        return counts

    def quantile(self, fraction: float) -> float:
        """Value below which about `fraction` of the pixels lie (lower of the two around it)."""
        if self._numbers == 0:
            return float("nan")
        rank = min(int(fraction * self._numbers), self._numbers - 1)
        if self.above:  # what is not a number has code 0 and comes first
            rank += self.values.size - self._numbers
        code = int(np.searchsorted(self._starts, rank, side="right")) - 1
        values, _ = self._bin(code, with_nan=True)
        return float(values[rank - self._starts[code]])

    def _bin(
        self, code: int, with_nan: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Values with one code, sorted, and their flat indices (kept: a slider comes back)."""
        if code not in self._bins:
            if len(self._bins) > 4096:
                self._bins.clear()
            order = self._order[self._starts[code] : self._starts[code + 1]]
            values = self.values[order]
            sort = np.argsort(values, kind="stable")
            self._bins[code] = values[sort], order[sort]
        values, order = self._bins[code]
        if code != self._nan_code:
            return values, order
        numbers = int(values.size - np.count_nonzero(np.isnan(values)))
        if with_nan and self.above:  # numpy sorts not-a-number last; here it counts as smallest
            return np.roll(values, values.size - numbers), order
        if with_nan:
            return values, order
        return values[:numbers], order[:numbers]
