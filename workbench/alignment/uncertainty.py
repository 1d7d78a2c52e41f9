"""How well the rings determine the offsets, from the data themselves.

The offsets θ maximise what one radial profile explains, S(θ). Their covariance is that of any
such estimate, ``H⁻¹ V H⁻¹``, H the curvature of S and V the covariance of its gradient (P. J.
Huber, Proc. 5th Berkeley Symp. 1 (1967) 221). Both need care where rings are weak or made of few
grains, because then much of the fitted profile is noise:

* **H** is the observed curvature with its second derivatives. The Gauss-Newton matrix takes the
  slopes of the noise in the profile for information.
* **V** comes from leaving out one ASIC at a time: the profile is fitted again without it and the
  gradient of the rest taken there, exactly. Nothing is assumed about the noise: grains, spots,
  extreme values and wrong strengths all show. If the two ASICs of a sensor err alike (a sensor is
  not where the geometry puts it), their correlation over all sensors widens V.

All of it works on sums per ASIC (`kernels.block_sums`), so it costs one pass over the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.detector import ASICS_PER_QUADRANT, QUADRANTS

SIZE = 2 * QUADRANTS
LEAST_CURVATURE = 0.05
"""Observed curvature below this share of the Gauss-Newton one is taken for this share."""
MOST_LEVERAGE = 0.9


@dataclass(frozen=True)
class BlockSums:
    """Sums of the quadrants that take part; arrays as `kernels.block_sums` fills them.

    Attributes
    ----------
    quadrant : int ``(n,)``, to which quadrant each ASIC belongs.
    profile : float64 ``(k,)``, at which the sums were taken.
    ridge : float64 ``(k,)``, draws the profile towards 0.
    band … own : per ASIC, first axis ``n``; bend_band … squares : per quadrant that takes part.
    """

    quadrant: NDArray[np.int64]
    profile: NDArray[np.float64]
    ridge: NDArray[np.float64]
    band: NDArray[np.float64]
    right: NDArray[np.float64]
    slope: NDArray[np.float64]
    mixed: NDArray[np.float64]
    own: NDArray[np.float64]
    bend_band: NDArray[np.float64]
    bend_cross: NDArray[np.float64]
    bend: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def empty(
        cls, quadrants: list[int], profile: NDArray[np.float64], ridge: NDArray[np.float64]
    ) -> BlockSums:
        """Zeros for these quadrants."""
        q, n, k = len(quadrants), ASICS_PER_QUADRANT * len(quadrants), ridge.size
        return cls(
            np.repeat(quadrants, ASICS_PER_QUADRANT), profile, ridge,
            np.zeros((n, k, 4)), np.zeros((n, k)), np.zeros((n, k, 2)), np.zeros((n, k, 7, 2)),
            np.zeros((n, 2, 2)), np.zeros((q, k, 4)), np.zeros((q, k, 2)), np.zeros((q, 2, 2)),
            np.zeros((q, 2)),
        )  # fmt: skip

    @property
    def quadrants(self) -> list[int]:
        """Quadrants that take part."""
        return [int(q) for q in self.quadrant[::ASICS_PER_QUADRANT]]

    def of(self, place: int) -> tuple[NDArray[np.float64], ...]:
        """Views of the sums of the quadrant at `place`, in the kernel's order."""
        n = slice(place * ASICS_PER_QUADRANT, (place + 1) * ASICS_PER_QUADRANT)
        return (
            self.band[n], self.right[n], self.slope[n], self.mixed[n], self.own[n],
            self.bend_band[place], self.bend_cross[place], self.bend[place], self.squares[place],
        )  # fmt: skip


@dataclass(frozen=True)
class Uncertainty:
    """Covariance of the offsets, and the pieces that others use.

    Attributes
    ----------
    covariance : float64 ``(m, m)`` over the offsets (x, y) of the quadrants that take part.
    curvature : float64 ``(m, m)``, observed.
    score, information : ``(n, m)``, ``(n, m, m)``: gradient of each ASIC at the fit, the profile
        eliminated, and its Gauss-Newton matrix.
    alike : correlation of the errors of a sensor's two ASICs, 0 … 1.
    """

    covariance: NDArray[np.float64]
    curvature: NDArray[np.float64]
    score: NDArray[np.float64]
    information: NDArray[np.float64]
    alike: float


def uncertainty(sums: BlockSums) -> Uncertainty:
    """Covariance of offsets that maximise the sharpness of the rings."""
    total = sums.band.sum(axis=0)
    total[:, 0] += sums.ridge
    right = sums.right.sum(axis=0)
    mixed = _times_mixed(sums.mixed, sums.profile)
    cross = _spread([-mixed[sums.quadrant == q].sum(axis=0) for q in sums.quadrants])
    response = _solve(total, cross)
    score, information = _each(sums, mixed, response)
    gauss_newton = _lifted(information.sum(axis=0))
    curvature = _observed(sums, gauss_newton)
    changes = _changes(_left_out(sums, total, right), information, gauss_newton, curvature)
    alike = _alike(changes)
    covariance = _shrunk(changes, curvature) * (1 + alike)
    return Uncertainty(covariance, curvature, score, information, alike)


def _observed(sums: BlockSums, gauss_newton: NDArray[np.float64]) -> NDArray[np.float64]:
    """Second derivatives of the robust cost, the profile eliminated, kept positive."""
    band = sums.bend_band.sum(axis=0)
    band[:, 0] += sums.ridge
    cross = _spread(list(sums.bend_cross))
    found = -cross.T @ _solve(band, cross)
    for place in range(len(sums.bend)):
        own = slice(2 * place, 2 * place + 2)
        found[own, own] += sums.bend[place]
    return observed_curvature(found, gauss_newton, LEAST_CURVATURE)


def observed_curvature(
    curved: NDArray[np.float64], gauss_newton: NDArray[np.float64], least: float
) -> NDArray[np.float64]:
    """The curvature `curved`, nowhere below `least` times the Gauss-Newton matrix."""
    lower = np.linalg.cholesky(gauss_newton)
    back = np.linalg.inv(lower)
    share, axes = np.linalg.eigh(back @ curved @ back.T)
    turned = lower @ axes
    return np.asarray(turned * np.maximum(share, least) @ turned.T)


def _changes(
    gradients: NDArray[np.float64],
    information: NDArray[np.float64],
    gauss_newton: NDArray[np.float64],
    curvature: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Change of the offsets ``(n, m)`` by leaving out each ASIC, about their mean.

    The curvature of the rest is smaller by the ASIC's share of the Gauss-Newton matrix.
    """
    back = np.linalg.inv(np.linalg.cholesky(gauss_newton))
    lower = np.linalg.cholesky(curvature)
    changes = np.empty_like(gradients)
    for k, gradient in enumerate(gradients):
        share, axes = np.linalg.eigh(back @ information[k] @ back.T)
        rest = 1 / (1 - np.clip(share, 0.0, MOST_LEVERAGE))
        white = np.linalg.solve(lower, gradient)
        changes[k] = np.linalg.solve(lower.T, axes @ (rest * (axes.T @ white)))
    return np.asarray(changes - changes.mean(axis=0))


def _alike(changes: NDArray[np.float64]) -> float:
    """Correlation of the two ASICs of a sensor over all sensors and combinations, 0 … 1."""
    white = np.linalg.pinv(changes.T @ changes, rcond=1e-10, hermitian=True)
    both = np.einsum("ki,ij,kj->", changes[0::2], white, changes[1::2])
    alone = np.einsum("ki,ij,kj->", changes, white, changes) / 2
    return float(np.clip(both / max(alone, 1e-30), 0.0, 1.0))


def _shrunk(changes: NDArray[np.float64], curvature: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance of the offsets ``(m, m)`` from the changes by leaving out each ASIC.

    Few ASICs decide about each offset, so the plain sum of squares exaggerates the differences
    between combinations of offsets. It is drawn towards a multiple of the inverse curvature as
    far as its own scatter asks for (O. Ledoit, M. Wolf, J. Multivar. Anal. 88 (2004) 365).
    """
    n, m = changes.shape
    lower = np.linalg.cholesky(curvature)
    white = changes @ lower * np.sqrt(n - 1)  # unit covariance if the noise is what H says
    plain = white.T @ white / n
    level = np.trace(plain) / m
    scatter = np.mean(np.sum(white**2, axis=1) ** 2) - np.sum(plain**2)
    apart = np.sum((plain - level * np.eye(m)) ** 2)
    weight = float(np.clip(scatter / n / max(apart, 1e-30), 0.0, 1.0))
    drawn = (1 - weight) * plain + weight * level * np.eye(m)
    back = np.linalg.inv(lower)
    return np.asarray(back.T @ drawn @ back)


def _left_out(
    sums: BlockSums, total: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Gradient ``(n, m)`` of what the other ASICs explain, for each ASIC left out."""
    from workbench.alignment.kernels import quadratic

    quadrants = sums.quadrants
    own = [sums.quadrant == q for q in quadrants]
    slope = [sums.slope[part].sum(axis=0) for part in own]
    mixed = [sums.mixed[part].sum(axis=0) for part in own]
    found = np.zeros((len(sums.quadrant), 2 * len(quadrants)))
    for k in range(len(found)):
        p = _solve(total - sums.band[k], right - sums.right[k])
        for place in range(len(quadrants)):
            gradient = quadratic(slope[place], mixed[place], p)
            if own[place][k]:
                gradient -= quadratic(sums.slope[k], sums.mixed[k], p)
            found[k, 2 * place : 2 * place + 2] = gradient
    return found


def _each(
    sums: BlockSums,
    mixed: NDArray[np.float64],
    response: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score and Gauss-Newton matrix of each ASIC, the profile eliminated."""
    size = response.shape[1]
    score = np.zeros((len(sums.quadrant), size))
    information = np.zeros((len(sums.quadrant), size, size))
    for k in range(len(score)):
        place = 2 * (k // ASICS_PER_QUADRANT)
        own = slice(place, place + 2)
        residual = sums.right[k] - _times_band(sums.band[k], sums.profile)
        score[k] = -response.T @ residual
        score[k, own] += sums.profile @ (mixed[k] - sums.slope[k])
        both = response.T @ -mixed[k]
        information[k] = response.T @ _times_band(sums.band[k], response)
        information[k, :, own] -= both
        information[k, own, :] -= both.T
        information[k, own, own] += sums.own[k]
    return score, information


def _spread(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Columns of each quadrant side by side, ``(k, m)``."""
    return np.concatenate(parts, axis=1)


def _lifted(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same with a trace of its size on the diagonal, so that it can be inverted."""
    return np.asarray(matrix + (1e-9 * np.trace(matrix) + 1e-12) * np.eye(len(matrix)))


def _solve(band: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve with a symmetric matrix given as ``band[j, o]`` = entry (j, j + o)."""
    from scipy.linalg import solveh_banded

    return np.asarray(solveh_banded(band.T, right, lower=True))


def _times_band(band: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Product of such a matrix with ``(k,)`` or ``(k, m)``."""
    p2 = p.reshape(len(p), -1)
    found = band[:, :1] * p2
    for o in range(1, 4):
        found[:-o] += band[:-o, o : o + 1] * p2[o:]
        found[o:] += band[:-o, o : o + 1] * p2[:-o]
    return found.reshape(p.shape)


def _times_mixed(mixed: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """``E p`` of `mixed` ``(n, k, 7, 2)``: ``(n, k, 2)``."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(p, 3), 7)  # p[j + o - 3]
    return np.einsum("njoc,jo->njc", mixed, windows, optimize=False)
