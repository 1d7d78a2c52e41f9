"""What looks wrong with a mask or the images it is made from, as sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from workbench.mask.images import MaskImages
from workbench.mask.reasons import Removal
from workbench.mask.rules import IMAGES, RULES
from workbench.quantities import MAD_TO_SIGMA

TOO_MANY = 0.05
"""A single rule that masks more than this fraction is worth a look."""
POSITION_TOLERANCE_UM = 1.0
_STEP = 7  # medians of every seventh pixel are good enough here


def mix_ups(images: MaskImages) -> list[str]:
    """Signs that the images are swapped, so that no mask made of them can be right."""
    average, stddev = (_median(image.reshape(-1)[::_STEP]) for image in images.arrays[:2])
    warnings = []
    if stddev > 10 * max(average, 1.0) and not _mostly_not_positive(images):
        warnings.append("The average is far smaller than the stddev: are the two swapped?")
    if _signal(images) == (False, True):
        warnings.append(
            "The stddev shows light and the maximum shows none: dark and bright seem swapped."
        )
    return [*warnings, *_kinds(images)]


def image_warnings(images: MaskImages) -> list[str]:
    """Implausible images: pedestal-subtracted dark, of different runs or geometry."""
    return [*_levels(images), *_runs(images), *_geometries(images)]


def count_warnings(removals: Sequence[Removal], pixels: int) -> list[str]:
    """Rules and layers that remove implausibly many of all pixels."""
    warnings = []
    for removal in removals:
        fraction = removal.counts.total / pixels
        if fraction > TOO_MANY:
            rule = f"“{RULES[removal.rule].text}”"
            name = rule if removal.layer is None else removal.label
            warnings.append(
                f"{name[0].upper()}{name[1:]} removes {100 * fraction:.1f} % of the pixels."
            )
    return warnings


def _mostly_not_positive(images: MaskImages) -> float:
    """Fraction of the average that is not above 0, if that is too much; else 0."""
    fraction = np.count_nonzero(images.average <= 0) / images.average.size
    return fraction if fraction > 0.25 else 0.0


def _levels(images: MaskImages) -> list[str]:
    warnings = []
    not_positive = _mostly_not_positive(images)
    if not_positive:
        warnings.append(
            f"{100 * not_positive:.0f} % of the average are not above 0: was the pedestal "
            "subtracted from the dark run? Average it raw."
        )
    lit, noisy = _signal(images)
    if lit is not False and noisy:
        warnings.append(
            "Bonded pixels are much noisier than unbonded ones: is the dark run really dark?"
        )
    elif lit is False and not noisy:
        warnings.append(
            "In the maximum, bonded pixels are no brighter than unbonded ones: was there light "
            "in the bright run?"
        )
    return warnings


def _signal(images: MaskImages) -> tuple[bool | None, bool]:
    """Is there light in the maximum (None: cannot tell), and in the dark run's noise?

    Unbonded pixels see no photons: light shows as a difference from them.
    """
    unbonded = images.unbonded
    lit: bool | None = None
    blind, seeing = _split(images.maximum, unbonded)
    if blind.size > 100 and seeing.size > 1000 and np.ptp(seeing) > 0:
        spread = MAD_TO_SIGMA * np.median(np.abs(blind - np.median(blind)))
        brighter = np.quantile(seeing, 0.9) - np.median(blind)
        lit = bool(brighter > max(5 * spread, 0.02 * abs(np.median(blind))))
    blind, seeing = _split(images.stddev, unbonded)
    noisy = False
    if blind.size > 100 and np.median(blind) > 0:
        noisy = bool(np.median(seeing) > 2 * np.median(blind))
    return lit, noisy


def _split(
    image: NDArray[np.float64], unbonded: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    blind = image[unbonded]
    seeing = image[~unbonded][::_STEP]
    return blind[np.isfinite(blind)], seeing[np.isfinite(seeing)]


def _kinds(images: MaskImages) -> list[str]:
    warnings = []
    for source, kind in zip(images.sources, IMAGES, strict=True):
        stated = getattr(source, "kind", "image")
        if stated in (*IMAGES, "minimum") and stated != kind:
            name = getattr(source, "name", "") or "An image"
            article = "an" if stated == "average" else "a"
            warnings.append(f"{name} is used as the {kind} but says it is {article} {stated}.")
    return warnings


def _runs(images: MaskImages) -> list[str]:
    origins = [_origins(getattr(source, "provenance", None)) for source in images.sources]
    warnings = []
    experiments = sorted({experiment for origin in origins for experiment, _ in origin})
    if len(experiments) > 1:
        warnings.append(f"The images are of different experiments: {', '.join(experiments)}.")
    average, stddev, maximum = origins
    if average and stddev and average != stddev:
        warnings.append("Average and stddev are of different runs.")
    if average and average == maximum:
        warnings.append("The maximum is of the dark run itself; take it from a bright run.")
    return warnings


def _origins(fact: object) -> set[tuple[str, int]]:
    """Experiments and runs in the provenance of an average, or of several merged."""
    if not isinstance(fact, Mapping):
        return set()
    origins: set[tuple[str, int]] = set()
    for inner in fact.get("runs") or ():
        origins |= _origins(inner)
    run = fact.get("run")
    if isinstance(run, Mapping):
        origins |= _origins(run)
    elif isinstance(run, int) and fact.get("experiment"):
        origins.add((str(fact["experiment"]), run))
    return origins


def _geometries(images: MaskImages) -> list[str]:
    geometries = [getattr(source, "geometry", None) for source in images.sources]
    known = [
        geometry.pixel_positions_um()[..., :2] for geometry in geometries if geometry is not None
    ]
    for first, second in pairwise(known):
        if first is second:
            continue
        furthest = float(np.max(np.abs(first[:, ::23, ::23] - second[:, ::23, ::23])))
        if furthest > POSITION_TOLERANCE_UM:
            return [
                f"The images have different geometries (up to {furthest:.0f} µm apart); "
                "are they of the same experiment?"
            ]
    return []


def _median(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else 0.0
