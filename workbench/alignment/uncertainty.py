"""How well the rings determine the offsets, from the data themselves.

The offsets θ maximise what one radial profile explains, S(θ). Their covariance is that of any
such estimate, ``H⁻¹ V H⁻¹``, H the curvature of S and V the covariance of its gradient (P. J.
Huber, Proc. 5th Berkeley Symp. 1 (1967) 221). Both need care where rings are weak or made of few
grains, because then much of the fitted profile is noise:

* **H** is the observed curvature with its second derivatives. The Gauss-Newton matrix takes the
  slopes of the noise in the profile for information.
* **V** comes from leaving out one ASIC at a time: the profile is fitted again without it and the
  gradient of the rest taken there, exactly. Nothing is assumed about the noise: grains, spots,
  extreme values and wrong strengths all show. If the ASICs of a module err alike (a module is
  not where the geometry puts it), their correlation over all modules widens V.

All of it works on sums per ASIC (`correlation_loops.block_sums`): one pass over the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from workbench.alignment.correlation_loops import AsicSums, quadratic


@dataclass(frozen=True)
class UncertaintySettings:
    """How the covariance is computed.

    Attributes
    ----------
    least_curvature : observed curvature below this share of the Gauss-Newton one is taken for it.
    most_leverage : an ASIC counts as having at most this share of the curvature.
    """

    least_curvature: float = 0.05
    most_leverage: float = 0.9


UNCERTAINTY = UncertaintySettings()


@dataclass(frozen=True)
class BlockSums:
    """Sums of the groups that take part.

    Attributes
    ----------
    groups : the groups that take part.
    place : int ``(n,)``, to which of these each ASIC belongs.
    asics_per_module : number of ASICs of a module.
    profile : float64 ``(k,)``, at which the sums were taken.
    ridge : float64 ``(k,)``, draws the profile towards 0.
    sums : as `correlation_loops.AsicSums` says; the first axis of ``band`` … ``own`` are the ASICs
        ``n`` of all groups, that of ``bend_band`` … ``squares`` the groups.
    """

    groups: tuple[int, ...]
    place: NDArray[np.int64]
    asics_per_module: int
    profile: NDArray[np.float64]
    ridge: NDArray[np.float64]
    sums: AsicSums

    @classmethod
    def empty(
        cls,
        asics: dict[int, int],
        asics_per_module: int,
        profile: NDArray[np.float64],
        ridge: NDArray[np.float64],
    ) -> BlockSums:
        """Zeros for groups with these numbers of ASICs."""
        g, n, k = len(asics), sum(asics.values()), ridge.size
        sums = AsicSums(
            np.zeros((n, k, 4)), np.zeros((n, k)), np.zeros((n, k, 2)), np.zeros((n, k, 7, 2)),
            np.zeros((n, 2, 2)), np.zeros((g, k, 4)), np.zeros((g, k, 2)), np.zeros((g, 2, 2)),
            np.zeros((g, 2)),
        )  # fmt: skip
        place = np.repeat(np.arange(g), list(asics.values()))
        return cls(tuple(asics), place, asics_per_module, profile, ridge, sums)

    def of(self, group: int) -> AsicSums:
        """Views of the sums of one group."""
        place = self.groups.index(group)
        own = np.flatnonzero(self.place == place)
        n = slice(int(own[0]), int(own[-1]) + 1)
        sums = self.sums
        return AsicSums(
            sums.band[n], sums.right[n], sums.slope[n], sums.mixed[n], sums.own[n],
            sums.bend_band[place], sums.bend_cross[place], sums.bend[place], sums.squares[place],
        )  # fmt: skip


@dataclass(frozen=True)
class Uncertainty:
    """Covariance of the offsets, and the pieces that others use.

    Attributes
    ----------
    covariance : float64 ``(m, m)`` over the offsets (x, y) of the groups that take part.
    curvature : float64 ``(m, m)``, observed.
    score, information : ``(n, m)``, ``(n, m, m)``: gradient of each ASIC at the fit, the profile
        eliminated, and its Gauss-Newton matrix.
    alike : correlation of the errors of a module's ASICs, 0 … 1.
    """

    covariance: NDArray[np.float64]
    curvature: NDArray[np.float64]
    score: NDArray[np.float64]
    information: NDArray[np.float64]
    alike: float


def uncertainty(blocks: BlockSums, settings: UncertaintySettings = UNCERTAINTY) -> Uncertainty:
    """Covariance of offsets that maximise the sharpness of the rings."""
    sums = blocks.sums
    total = sums.band.sum(axis=0)
    total[:, 0] += blocks.ridge
    right = sums.right.sum(axis=0)
    mixed = _times_mixed(sums.mixed, blocks.profile)
    places = range(len(blocks.groups))
    cross = _spread([-mixed[blocks.place == place].sum(axis=0) for place in places])
    response = _solve(total, cross)
    score, information = _each(blocks, mixed, response)
    gauss_newton = _lifted(information.sum(axis=0))
    curvature = _observed(blocks, gauss_newton, settings)
    left_out = _left_out(blocks, total, right)
    changes = _changes(left_out, information, gauss_newton, curvature, settings)
    alike = _alike(changes, blocks.asics_per_module)
    covariance = _shrunk(changes, curvature) * (1 + (blocks.asics_per_module - 1) * alike)
    return Uncertainty(covariance, curvature, score, information, alike)


def _observed(
    blocks: BlockSums, gauss_newton: NDArray[np.float64], settings: UncertaintySettings
) -> NDArray[np.float64]:
    """Second derivatives of the robust cost, the profile eliminated, kept positive."""
    sums = blocks.sums
    band = sums.bend_band.sum(axis=0)
    band[:, 0] += blocks.ridge
    cross = _spread(list(sums.bend_cross))
    curved = -cross.T @ _solve(band, cross)
    for place in range(len(sums.bend)):
        own = slice(2 * place, 2 * place + 2)
        curved[own, own] += sums.bend[place]
    return observed_curvature(curved, gauss_newton, settings.least_curvature)


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
    settings: UncertaintySettings,
) -> NDArray[np.float64]:
    """Change of the offsets ``(n, m)`` by leaving out each ASIC, about their mean.

    The curvature of the rest is smaller by the ASIC's share of the Gauss-Newton matrix.
    """
    back = np.linalg.inv(np.linalg.cholesky(gauss_newton))
    lower = np.linalg.cholesky(curvature)
    changes = np.empty_like(gradients)
    for k, gradient in enumerate(gradients):
        share, axes = np.linalg.eigh(back @ information[k] @ back.T)
        rest = 1 / (1 - np.clip(share, 0.0, settings.most_leverage))
        white = np.linalg.solve(lower, gradient)
        changes[k] = np.linalg.solve(lower.T, axes @ (rest * (axes.T @ white)))
    return np.asarray(changes - changes.mean(axis=0))


def _alike(changes: NDArray[np.float64], each: int) -> float:
    """Correlation of a module's `each` ASICs over all modules and combinations, 0 … 1."""
    if each < 2:
        return 0.0
    white = np.linalg.pinv(changes.T @ changes, rcond=1e-10, hermitian=True)
    both = np.mean(
        [
            np.einsum("ki,ij,kj->", changes[a::each], white, changes[b::each])
            for a, b in combinations(range(each), 2)
        ]
    )
    alone = np.einsum("ki,ij,kj->", changes, white, changes) / each
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
    blocks: BlockSums, total: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Gradient ``(n, m)`` of what the other ASICs explain, for each ASIC left out."""
    sums, places = blocks.sums, range(len(blocks.groups))
    own = [blocks.place == place for place in places]
    slope = [sums.slope[part].sum(axis=0) for part in own]
    mixed = [sums.mixed[part].sum(axis=0) for part in own]
    gradients = np.zeros((len(blocks.place), 2 * len(places)))
    for k in range(len(gradients)):
        p = _solve(total - sums.band[k], right - sums.right[k])
        for place in places:
            gradient = quadratic(slope[place], mixed[place], p)
            if own[place][k]:
                gradient -= quadratic(sums.slope[k], sums.mixed[k], p)
            gradients[k, 2 * place : 2 * place + 2] = gradient
    return gradients


def _each(
    blocks: BlockSums,
    mixed: NDArray[np.float64],
    response: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score and Gauss-Newton matrix of each ASIC, the profile eliminated."""
    sums, size = blocks.sums, response.shape[1]
    score = np.zeros((len(blocks.place), size))
    information = np.zeros((len(blocks.place), size, size))
    for k, place in enumerate(blocks.place):
        own = slice(2 * place, 2 * place + 2)
        residual = sums.right[k] - _times_band(sums.band[k], blocks.profile)
        score[k] = -response.T @ residual
        score[k, own] += blocks.profile @ (mixed[k] - sums.slope[k])
        both = response.T @ -mixed[k]
        information[k] = response.T @ _times_band(sums.band[k], response)
        information[k, :, own] -= both
        information[k, own, :] -= both.T
        information[k, own, own] += sums.own[k]
    return score, information


def _spread(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Columns of each group side by side, ``(k, m)``."""
    return np.concatenate(parts, axis=1)


def _lifted(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same with a trace of its size on the diagonal, so that it can be inverted."""
    return np.asarray(matrix + (1e-9 * np.trace(matrix) + 1e-12) * np.eye(len(matrix)))


def _solve(band: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve with a symmetric matrix given as ``band[j, o]`` = entry (j, j + o)."""
    return np.asarray(solveh_banded(band.T, right, lower=True))


def _times_band(band: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Product of such a matrix with ``(k,)`` or ``(k, m)``."""
    p2 = p.reshape(len(p), -1)
    product = band[:, :1] * p2
    for o in range(1, 4):
        product[:-o] += band[:-o, o : o + 1] * p2[o:]
        product[o:] += band[:-o, o : o + 1] * p2[:-o]
    return product.reshape(p.shape)


def _times_mixed(mixed: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """``E p`` of `mixed` ``(n, k, 7, 2)``: ``(n, k, 2)``."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(p, 3), 7)  # p[j + o - 3]
    return np.asarray(np.einsum("njoc,jo->njc", mixed, windows, optimize=False))
