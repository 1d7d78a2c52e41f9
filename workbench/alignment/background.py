"""Smooth background of each module: what is left after it is taken away are rings and noise.

It needs no centre, so it cannot pull offsets towards the present ones. Pixels are weighted by
three running means along rows and columns, which is close to a Gaussian of sigma `width` / 2.

`flattened` takes the weighted mean about each pixel. Where a module ends, or beside masked pixels,
the neighbours lie to one side, and on a slope their mean is not the background at the pixel: a
strong background leaves stripes along all edges, and edges do not turn about the beam.
`LocalPlane` fits a plane to the neighbours instead (local linear regression: J. Fan, I. Gijbels,
Local Polynomial Modelling and Its Applications, 1996, chapter 3), which follows a slope up to the
edge. It takes three times as long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d


@dataclass(frozen=True)
class BackgroundSettings:
    """How the smooth background is found.

    Attributes
    ----------
    clip_sigmas : values farther than this many local standard deviations from the background are
        pulled in.
    least_share : pixels with a smaller share of good neighbours have no background; they become 0.
    slack : added to the spread of the neighbours, in units of the whole kernel's: few of them fit
        no plane.
    passes : the second time the clipped spots no longer pull the background.
    """

    clip_sigmas: float = 4.0
    least_share: float = 0.02
    slack: float = 0.05
    passes: int = 2


BACKGROUND = BackgroundSettings()


def flattened(
    transformed: NDArray[np.float32],
    good: NDArray[np.bool_],
    width: int,
    settings: BackgroundSettings = BACKGROUND,
) -> NDArray[np.float32]:
    """Values less the mean of their neighbours, spots pulled in, 0 where not good.

    Parameters
    ----------
    transformed : float32 ``(modules, rows, columns)``, 0 where not good.
    good : bool ``(modules, rows, columns)``.
    width : of the running means, pixels.
    """
    share = smooth(good.astype(np.float32), width)
    share[share < settings.least_share] = np.inf
    flat = transformed.copy()
    for _ in range(settings.passes):
        flat -= smooth(flat, width) / share
        flat *= good
        _pull_in(flat, share, width, settings.clip_sigmas)
    flat[~np.isfinite(share)] = 0
    return flat


class LocalPlane:
    """Background of some modules as a plane about each pixel.

    Parameters
    ----------
    good : bool ``(modules, rows, columns)``.
    width : of the running means, pixels.
    """

    def __init__(
        self, good: NDArray[np.bool_], width: int, settings: BackgroundSettings = BACKGROUND
    ) -> None:
        rows, columns = good.shape[1:]
        self.good, self.width, self.settings = good, width, settings
        self._x = ((np.arange(columns, dtype=np.float32) - columns / 2) / width)[None, None, :]
        self._y = ((np.arange(rows, dtype=np.float32) - rows / 2) / width)[None, :, None]
        weight = good.astype(np.float32)
        self._share = smooth(weight, width)
        self._share[self._share < settings.least_share] = np.inf
        along, down = weight * self._x, weight * self._y
        self._mean_x, self._mean_y = self._mean(along), self._mean(down)
        spread = settings.slack / 4
        xx = self._mean(along * self._x) - self._mean_x**2 + spread
        yy = self._mean(down * self._y) - self._mean_y**2 + spread
        xy = self._mean(along * self._y) - self._mean_x * self._mean_y
        # The plane at the pixel is the mean less these times the covariances of value and place.
        away_x, away_y = self._mean_x - self._x, self._mean_y - self._y
        determinant = xx * yy - xy * xy
        self._by_x = (away_x * yy - away_y * xy) / determinant
        self._by_y = (away_y * xx - away_x * xy) / determinant
        empty = ~np.isfinite(self._share)
        self._by_x[empty] = self._by_y[empty] = 0

    def flattened(
        self, transformed: NDArray[np.float32], model: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Values less their background, measured beside the rings instead of through them.

        Parameters
        ----------
        transformed : float32 ``(modules, rows, columns)``, 0 where not good.
        model : of the same shape, what the rings contribute. It is taken off before the
            background and the limit for spots are found, and put back.
        """
        rings = model * self.good
        flat = transformed - rings
        for _ in range(self.settings.passes):
            flat -= self._background(flat)
            flat *= self.good
            _pull_in(flat, self._share, self.width, self.settings.clip_sigmas)
        flat += rings
        flat[~np.isfinite(self._share)] = 0
        return flat

    def _background(self, value: NDArray[np.float32]) -> NDArray[np.float32]:
        mean = self._mean(value)
        with_x = self._mean(value * self._x) - mean * self._mean_x
        with_y = self._mean(value * self._y) - mean * self._mean_y
        return np.asarray(mean - self._by_x * with_x - self._by_y * with_y)

    def _mean(self, value: NDArray[np.float32]) -> NDArray[np.float32]:
        return smooth(value, self.width) / self._share


def smooth(array: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Three running means along rows and columns of each module; outside counts as 0."""
    for _ in range(3):
        for axis in (1, 2):
            array = uniform_filter1d(array, width, axis=axis, mode="constant")
    return array


def _pull_in(
    flat: NDArray[np.float32], share: NDArray[np.float32], width: int, sigmas: float
) -> None:
    """Set values beyond `sigmas` local standard deviations to that limit, in place."""
    limit = sigmas * np.sqrt(smooth(flat * flat, width) / share)
    np.clip(flat, -limit, limit, out=flat)
