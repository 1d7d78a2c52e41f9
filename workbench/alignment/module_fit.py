"""Shifts of the modules within their groups, fitted together with the offsets of the groups.

It is the model of ring_fit.py with an offset for each module: the offset of its group and a shift
of its own. How far modules are off is one normal distribution whose width the image tells (D. J.
C. MacKay, Neural Comput. 4 (1992) 415), so modules that are in their place stay there, and what the
rings say little of stays near 0: along the rings a module's shift looks like its turn, and a module
that sees no ring says nothing at all. A group's offset is then that of the middle of its modules;
with only the group free, one module that sees more of the rings than the others would pull the
group along and hide its own shift.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.ring_fit import AsicEquations, RingFit


@dataclass(frozen=True)
class ModuleFitSettings:
    """How the modules are fitted.

    Attributes
    ----------
    usual_px, least_px, most_px : usual shift of a module before anything is known, and limits.
    most_rounds, settled : rounds that find the usual shift, at most; it has settled once it
        changes by less than this share.
    most_steps : limit of the steps.
    small_px : a step below this is the last one.
    """

    usual_px: float = 0.3
    least_px: float = 0.05
    most_px: float = 0.5
    most_rounds: int = 100
    settled: float = 0.01
    most_steps: int = 6
    small_px: float = 0.01


MODULE_FIT = ModuleFitSettings()


@dataclass(frozen=True)
class ModuleShifts:
    """Shifts of the modules.

    Attributes
    ----------
    offset_px, sigma_px : float64 ``(modules, 2)``, how far outwards from the beam, and along the
        rings (anticlockwise), each module sees the centre of the rings beside its group, which is
        where the mean of its modules is; and the standard deviation, to which this mean adds. NaN
        for modules that took no part.
    supported_px : float64 ``(modules, 2)``, lab x and y, the same beside the offset of the group as
        it was fitted without shifts, each part d known to s shortened to ``d (1 - s²/d²)`` or to
        nothing; 0 for modules that took no part.
    """

    offset_px: NDArray[np.float64]
    sigma_px: NDArray[np.float64]
    supported_px: NDArray[np.float64]


def module_shifts(
    fit: RingFit, outward_sigma_px: NDArray[np.float64], settings: ModuleFitSettings = MODULE_FIT
) -> ModuleShifts:
    """Fit shifts of the modules at the end of a fit of the groups, which must not go on.

    Parameters
    ----------
    outward_sigma_px : float64 ``(modules,)``, deviation of each module's shift if all else stays,
        from dividing its pixels; NaN where a module says nothing.
    """
    detector = fit.detector
    nothing = np.full((detector.modules, 2), np.nan)
    if all(len(group.modules) == 1 for group in detector.groups):
        return ModuleShifts(nothing, nothing, np.zeros_like(nothing))
    parts = _by_modules(fit)
    modules, start = parts.free, parts.offsets.copy()
    terms = _terms(fit, modules)
    groups, size = terms.shape[1] - len(terms), len(terms)
    total, usual = np.zeros(size), settings.usual_px
    excess: NDArray[np.float64] | None = None
    for _ in range(settings.most_steps):
        of_asics = parts.of_asics()
        solved = parts._factored(parts.together(of_asics)).plain()
        if excess is None:
            excess = _excess(parts, of_asics, outward_sigma_px)
        curvature = solved.matrix / np.sqrt(np.outer(excess, excess))
        right = terms.T @ curvature @ (total + np.linalg.solve(solved.matrix, solved.right))
        curvature = terms.T @ curvature @ terms
        for _ in range(settings.most_rounds):
            widths = np.r_[np.full(groups, fit.settings.widest_px), np.full(size, usual)]
            covariance = np.linalg.inv(curvature + np.diag(widths**-2))
            answer = covariance @ right
            shifts, variance = answer[groups:], np.diag(covariance)[groups:]
            counted = float(np.maximum(1 - variance / usual**2, 0.0).sum())
            width = float(np.sqrt(shifts @ shifts / max(counted, 1e-9)))
            before, usual = usual, float(np.clip(width, settings.least_px, settings.most_px))
            if abs(usual - before) < settings.settled * before:
                break
        step = terms @ answer - total
        longest = float(np.abs(step).max())
        step *= min(fit.settings.most_step_px / max(longest, 1e-12), 1.0)
        total = total + step
        parts.offsets[modules] = start[modules] + total.reshape(-1, 2)
        parts.profile = solved.profile - solved.response @ step
        parts._pull_in()
        if longest < settings.small_px:
            break
    offset, sigma, supported = nothing.copy(), nothing.copy(), np.zeros_like(nothing)
    together = terms @ covariance @ terms.T
    own = covariance[groups:, groups:]
    for place, module in enumerate(modules):
        both = slice(2 * place, 2 * place + 2)
        out = fit.module_outwards[module]
        axes = np.array([out, [-out[1], out[0]]])
        offset[module] = axes @ answer[groups:][both]
        sigma[module] = np.sqrt(np.diag(axes @ own[both, both] @ axes.T))
        apart, known = axes @ total[both], np.diag(axes @ together[both, both] @ axes.T)
        share = 1 - np.minimum(known / np.maximum(apart**2, 1e-12), 1.0)
        supported[module] = (apart * share) @ axes
    return ModuleShifts(offset, sigma, supported)


def _by_modules(fit: RingFit) -> RingFit:
    """The same fit in which each module is a group."""
    each = fit.detector.asics_per_module
    parts = copy.copy(fit)
    parts.asics = [dataclasses.replace(asic, group=asic.number // each) for asic in fit.asics]
    parts.groups = parts.free = sorted({asic.group for asic in parts.asics})
    parts.offsets = fit.detector.by_module(fit.offsets).astype(np.float64)
    return parts


def _terms(fit: RingFit, modules: list[int]) -> NDArray[np.float64]:
    """Offsets of the modules from those of the free groups and their own shifts, a matrix."""
    group = fit.detector.by_module(np.arange(len(fit.detector.groups)))
    of_groups = np.zeros((len(modules), 2, len(fit.free), 2))
    for place, module in enumerate(modules):
        if group[module] in fit.free:
            of_groups[place, :, fit.free.index(int(group[module]))] = np.eye(2)
    size = 2 * len(modules)
    return np.hstack([of_groups.reshape(size, -1), np.eye(size)])


def _excess(
    parts: RingFit, of_asics: list[AsicEquations], outward_sigma_px: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Variance of each module's shift over that for independent pixels, at least 1, two each."""
    information = np.zeros(len(outward_sigma_px))
    for asic, equations in zip(parts.asics, of_asics, strict=True):
        n, out = len(equations.right) - 2, parts.module_outwards[asic.group]
        information[asic.group] += out @ equations.matrix[n:, n:] @ out
    excess = np.maximum(outward_sigma_px**2 * information, 1.0)[parts.free]
    return np.repeat(np.nan_to_num(excess, nan=1.0), 2)
