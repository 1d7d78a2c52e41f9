"""Merging the images of several runs, in memory and from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench import provenance
from workbench.averages.event_counts import Mean
from workbench.averages.results import RunImages
from workbench.averages.statistics import merge_all
from workbench.errors import WorkbenchError
from workbench.images import DetectorImage

SAME_PLACE_UM = 1.0
"""Pixels of images to be merged may lie this far apart; files round positions to 1 µm."""


@dataclass(frozen=True)
class MergedImages:
    """Images of several images, as ``cxi.cspad_average`` defines them.

    Attributes
    ----------
    maximum : largest value of each pixel (of maxima: the maximum of maxima).
    average : mean; weighted by the events in each image if all are averages that tell it.
    stddev : scatter among the images, ``sqrt(sum((x - mean)^2) / (N - 1))``, 0 for one image.
    weighted : True if `average` is weighted.
    warnings : what is suspicious about the images.
    """

    maximum: DetectorImage
    average: DetectorImage
    stddev: DetectorImage
    weighted: bool
    warnings: tuple[str, ...]


def merge_images(images: Sequence[DetectorImage], names: Sequence[str] = ()) -> MergedImages:
    """Maximum, average and standard deviation over images of one detector.

    Geometry and distance are those of the first image, the wavelength is the mean of the known
    ones. NaN pixels of an image do not count.

    Parameters
    ----------
    images : at least one.
    names : of their files, for messages.

    Raises
    ------
    WorkbenchError
        If there are none, or their shapes or units differ.
    """
    if not images:
        raise WorkbenchError("There are no images to merge.")
    names = names or [image.name or f"image {i + 1}" for i, image in enumerate(images)]
    first = images[0]
    for image, name in zip(images, names, strict=True):
        if image.data.shape != first.data.shape:
            raise WorkbenchError(
                f"{name} has the shape {image.data.shape}, {names[0]} has {first.data.shape}; only "
                "images of one detector can be merged."
            )
        _refuse_units(name, image.unit, str(names[0]), first.unit)
    warnings = _suspicions(images, names)
    counts = [image.count for image in images]
    weighted = all(image.kind == "average" for image in images) and all(counts)
    weights = [float(count or 0) if weighted else 1.0 for count in counts]
    maximum, mean, stddev = _reduce([image.data for image in images], weights)
    wavelength = Mean()
    for image in images:
        wavelength.add(image.wavelength_angstrom)
    origin = {
        "merged": [
            {"image": name, "kind": image.kind, "count": image.count}
            for name, image in zip(names, images, strict=True)
        ],
        "weighted": weighted,
        **provenance.stated_unit(first.unit),
        **provenance.stamp(),
    }
    if all(counts):
        origin["count"] = sum(count or 0 for count in counts)

    def made(data: NDArray[np.float64], kind: str) -> DetectorImage:
        return replace(
            first, data=data, kind=kind, name=f"merged_{kind}", timestamp=None,
            wavelength_angstrom=wavelength.value, provenance=origin,
        )  # fmt: skip

    return MergedImages(
        made(maximum, "maximum"), made(mean, "average"), made(stddev, "stddev"), weighted, warnings
    )


def merge_runs(runs: Sequence[RunImages]) -> RunImages:
    """Images of the events of several runs, as if they were one: the maximum of maxima, the
    average weighted by events, and so on.

    Distance, wavelength, position and time are means weighted by events, of the runs that tell
    them. The merged result bears the first run's number. Halves of the events are merged with the
    like halves of the other runs, if all were divided alike.

    Raises
    ------
    WorkbenchError
        If there are none, or they are of different detectors or in different units.
    """
    if not runs:
        raise WorkbenchError("There are no runs to merge.")
    first = runs[0]
    for images in runs[1:]:
        if images.statistics.shape != first.statistics.shape:
            raise WorkbenchError(
                f"Run {images.run} has the shape {images.statistics.shape}, run {first.run} has "
                f"{first.statistics.shape}; only runs of one detector can be merged."
            )
        _refuse_units(f"Run {images.run}", images.unit, f"run {first.run}", first.unit)
    if len(runs) == 1:
        return first

    def mean(attribute: str) -> float | None:
        known = [(images.count, getattr(images, attribute)) for images in runs]
        means = [Mean(count, value) for count, value in known if value is not None]
        return reduce(Mean.merge, means, Mean()).value

    skipped = sum((images.skipped for images in runs[1:]), first.skipped.copy())
    merged = merge_all([images.statistics for images in runs])
    divided = first.split and all(images.split == first.split for images in runs)
    of_halves = tuple(
        merge_all([images.of_halves[half] for images in runs]) for half in range(2 * bool(divided))
    )
    return replace(
        first,
        statistics=merged,
        skipped=skipped,
        encoder_mm=mean("encoder_mm"),
        distance_mm=mean("distance_mm"),
        wavelength_angstrom=mean("wavelength_angstrom"),
        seconds=mean("seconds"),
        provenance={
            "count": merged.count,
            "runs": [images.provenance for images in runs],
            **provenance.stated_unit(first.unit),
            **provenance.stamp(),
        },
        partial=any(images.partial for images in runs),
        absent_is_zero=all(images.absent_is_zero for images in runs),
        warnings=tuple(dict.fromkeys(text for images in runs for text in images.warnings)),
        state=None,
        split=first.split if divided else "",
        of_halves=of_halves,
    )


def _refuse_units(name: str, unit: str, first_name: str, first_unit: str) -> None:
    """Refuse values in keV together with values in ADU."""
    if unit != first_unit:
        raise WorkbenchError(
            f"{name} is in {unit}, {first_name} in {first_unit}; only images in one unit can be "
            "merged, so average all runs with the same corrections."
        )


def _reduce(
    frames: Sequence[NDArray[Any]], weights: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Maximum, weighted mean and unweighted standard deviation (ddof 1) over frames."""
    shape = frames[0].shape
    count, weight = np.zeros(shape, np.int64), np.zeros(shape)
    sums, plain = np.zeros(shape), np.zeros(shape)
    maximum = np.full(shape, -np.inf)
    for frame, factor in zip(frames, weights, strict=True):
        there = ~np.isnan(frame)
        values = np.where(there, frame, 0.0)
        count += there
        weight += factor * there
        sums += factor * values
        plain += values
        maximum = np.where(there, np.maximum(maximum, values), maximum)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, centre = sums / weight, plain / count
    squares = np.zeros(shape)
    for frame in frames:  # a second pass: no difference of large sums
        squares += np.where(np.isnan(frame), 0.0, frame - centre) ** 2
    stddev = np.sqrt(squares / np.maximum(count - 1, 1))
    never = count == 0
    maximum[never] = mean[never] = stddev[never] = np.nan
    return maximum, mean, stddev


def _suspicions(images: Sequence[DetectorImage], names: Sequence[str]) -> tuple[str, ...]:
    """Differences between images that can be merged and perhaps should not be."""
    warnings = []
    first = images[0]
    kinds = sorted({image.kind for image in images})
    if len(kinds) > 1:
        warnings.append(f"The images are of different kinds: {', '.join(kinds)}.")
    for image, name in zip(images[1:], names[1:], strict=True):
        if image.geometry is not None and first.geometry is not None:
            if image.geometry is first.geometry:
                continue
            here, there = image.geometry.pixel_positions_um(), first.geometry.pixel_positions_um()
            away = float(np.abs(here[..., :2] - there[..., :2]).max())
            if away > SAME_PLACE_UM:
                warnings.append(
                    f"{name} has another geometry than {names[0]} (pixels up to {away:.0f} µm "
                    "apart); the first one's is used."
                )
        if image.distance_mm and first.distance_mm:
            away_mm = abs(image.distance_mm - first.distance_mm)
            if away_mm > 0.1:
                warnings.append(
                    f"{name} was taken at another distance than {names[0]} ({away_mm:.2f} mm); the "
                    "first one's is used."
                )
    return tuple(warnings)
