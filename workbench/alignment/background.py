"""Smooth background of each module: what is left after it is taken away are rings and noise.

It needs no centre, so it cannot pull offsets towards the present ones. Pixels are weighted by
three running means along rows and columns, which is close to a Gaussian of sigma `width` / 2.
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
    passes : the second time the clipped spots no longer pull the background.
    """

    clip_sigmas: float = 4.0
    least_share: float = 0.02
    passes: int = 2


BACKGROUND = BackgroundSettings()


def flattened(
    transformed: NDArray[np.float32],
    good: NDArray[np.bool_],
    width: int,
    settings: BackgroundSettings = BACKGROUND,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Values less the mean of their neighbours, spots pulled in, 0 where not good.

    And the values with the background still in them, spots pulled in.

    Parameters
    ----------
    transformed : float32 ``(modules, rows, columns)``, 0 where not good.
    good : bool ``(modules, rows, columns)``.
    width : of the running means, pixels.
    """
    share = smooth(good.astype(np.float32), width)
    share[share < settings.least_share] = np.inf
    flat = transformed.copy()
    background = np.zeros_like(flat)
    for _ in range(settings.passes):
        mean = smooth(flat, width) / share
        background += mean
        flat -= mean
        flat *= good
        _pull_in(flat, share, width, settings.clip_sigmas)
    flat[~np.isfinite(share)] = 0
    return flat, (flat + background) * good


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
