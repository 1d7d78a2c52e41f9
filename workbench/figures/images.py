"""Detector images assembled in geometry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.figures.frame import (
    Frame,
    ImageLike,
    block_means,
    blocks_with_any,
    detector_array,
    frame_of,
    good_pixels,
    unit_of,
)
from workbench.figures.style import (
    BACKGROUND,
    INK,
    INTENSITY,
    MASKED,
    UNDER_MASK,
    VERMILLION,
    describe,
    empty,
    styled,
    with_gap,
)
from workbench.geometry import Geometry

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Limits = tuple[float, float]


def percentile_limits(
    data: NDArray[Any],
    good: NDArray[np.bool_] | None = None,
    percentiles: Limits = (0.5, 99.5),
) -> Limits:
    """Colour limits that leave out the extreme pixels.

    Parameters
    ----------
    data : any shape; values that are not finite are left out.
    good : bool, same shape; False pixels are left out (unless none would remain).
    percentiles : lower and upper, percent.
    """
    sample = np.asarray(data).ravel()[::7]
    chosen = np.isfinite(sample)
    if good is not None and np.any(chosen & np.asarray(good).ravel()[::7]):
        chosen &= np.asarray(good).ravel()[::7]
    if not chosen.any():
        return 0.0, 1.0
    low, high = np.percentile(sample[chosen], percentiles)
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


@styled
def detector_image(
    data: ImageLike,
    geometry: Geometry | None = None,
    *,
    good: ImageLike | None = None,
    limits: Limits | None = None,
    rings_px: Sequence[float] = (),
    centre_px: Limits = (0.0, 0.0),
    title: str = "",
    unit: str | None = None,
    names: bool = True,
    step: int = 1,
    figure: Figure | None = None,
) -> Figure:
    """One image assembled in detector geometry.

    Parameters
    ----------
    data : the image, or an array in the detector's shape.
    geometry : where the pixels are; None: the detector's ideal geometry.
    good : bool in the detector's shape, True = good; what is False is drawn orange on grey.
    limits : colour limits; None: percentiles 0.5 and 99.5 of the good pixels.
    rings_px : radii of rings to draw, pixels.
    centre_px : psana x, y of the centre of those rings, pixels from the beam.
    unit : of the values; default that of the image, or ADU.
    names : write the names of the groups (Q0 … Q3) at them.
    step : draw blocks of so many pixels a side as their mean; 2 is fine enough for print.
    """
    figure = empty(figure, 6.0, 5.2)
    draw_image(
        figure.add_subplot(),
        data,
        frame_for(data, geometry),
        good=good,
        limits=limits,
        rings_px=rings_px,
        centre_px=centre_px,
        title=title,
        unit=unit,
        names=names,
        step=step,
    )
    return describe(figure, _alt([title or "image"], good, rings_px))


@styled
def detector_images(
    images: Mapping[str, ImageLike],
    geometry: Geometry | None = None,
    *,
    good: ImageLike | None = None,
    limits: Mapping[str, Limits] | None = None,
    rings_px: Sequence[float] = (),
    unit: str | None = None,
    names: bool = True,
    step: int = 1,
    figure: Figure | None = None,
) -> Figure:
    """Several images side by side, each with its own colour limits and the same axes.

    Parameters
    ----------
    images : title → image, e.g. average, standard deviation and maximum.
    limits : title → colour limits, for those that are not to be chosen by percentiles.
    geometry, good, rings_px, unit, names, step : as for `detector_image`.
    """
    figure = empty(figure, 4.3 * max(1, len(images)), 3.9)
    frame = frame_for(next(iter(images.values()), None), geometry)
    axes = figure.subplots(1, max(1, len(images)), sharex=True, sharey=True, squeeze=False)[0]
    for number, (place, (title, data)) in enumerate(zip(axes, images.items(), strict=True)):
        draw_image(
            place,
            data,
            frame,
            good=good,
            limits=(limits or {}).get(title),
            rings_px=rings_px,
            title=title,
            unit=unit,
            names=names,
            label_x=number == 0,
            step=step,
        )
    return describe(figure, _alt(list(images), good, rings_px))


def draw_image(
    axes: Axes,
    data: ImageLike,
    frame: Frame,
    *,
    good: ImageLike | None = None,
    limits: Limits | None = None,
    rings_px: Iterable[float] = (),
    centre_px: Limits = (0.0, 0.0),
    title: str = "",
    unit: str | None = None,
    names: bool = True,
    label_x: bool = True,
    bar: bool = True,
    step: int = 1,
) -> AxesImage:
    """Draw one image into `axes`; the building block of the figures of this module.

    With `step` above 1 blocks of that many pixels a side are drawn as the mean of their finite
    pixels; other parameters are those of `detector_image`.
    """
    array = detector_array(data, title or "the image", frame.detector)[1]
    trusted = None if good is None else good_pixels(good, frame.detector)
    low, high = limits or percentile_limits(array, trusted)
    picture = frame.assemble(array.astype(np.float32, copy=False))
    shown = axes.imshow(
        np.ma.masked_invalid(picture if step == 1 else block_means(picture, step)),
        cmap=with_gap(INTENSITY if good is None else UNDER_MASK),
        vmin=low,
        vmax=high,
        extent=frame.extent,
        interpolation="antialiased",
        interpolation_stage="data",
    )
    if trusted is not None:
        draw_masked(axes, trusted, frame)
    draw_rings(axes, rings_px, centre_px)
    if names:
        name_groups(axes, frame)
    label_axes(axes, label_x)
    if title:
        axes.set_title(title)
    if bar:
        colour_bar = axes.figure.colorbar(shown, ax=axes, shrink=0.85, pad=0.02, extend="both")
        colour_bar.set_label(unit or unit_of(data))
        colour_bar.outline.set_linewidth(0.5)
    return shown


def draw_masked(axes: Axes, good: NDArray[np.bool_], frame: Frame) -> AxesImage:
    """Lay what a mask removes in orange over an image; single pixels are made to be seen."""
    from matplotlib.colors import ListedColormap

    removed = blocks_with_any(frame.assemble((~good).astype(np.uint8), 0).astype(bool))
    return axes.imshow(
        np.ma.masked_equal(removed.astype(np.uint8), 0),
        cmap=ListedColormap([MASKED]),
        extent=frame.extent,
        interpolation="nearest",
        vmin=0,
        vmax=1,
    )


def draw_rings(
    axes: Axes, radii_px: Iterable[float], centre_px: Limits = (0.0, 0.0)
) -> list[Artist]:
    """Dashed circles about psana (x, y) in pixels; gives the artists so that they can be moved."""
    from matplotlib.patches import Circle

    x, y = centre_px
    return [
        axes.add_patch(
            Circle(
                (y, x), radius, fill=False, color=VERMILLION, linewidth=0.8, linestyle=(0, (5, 4))
            )
        )
        for radius in radii_px
    ]


def name_groups(axes: Axes, frame: Frame) -> None:
    """Write the name of each group: of quadrants (Q0 … Q3) into the corner of the picture.

    Other groups have it at their middle, as they stand side by side.
    """
    left, right, bottom, top = frame.extent
    corners = len(frame.detector.groups) == 4
    for group, (row, column), (x, y) in zip(
        frame.detector.groups, frame.geometry.places(), frame.geometry.middles_px(), strict=True
    ):
        if corners:
            x, y = bottom - 20 if row else top + 20, right - 20 if column else left + 20
        axes.text(
            y,
            x,
            group.name,
            ha="center" if not corners else "right" if column else "left",
            va="center" if not corners else "bottom" if row else "top",
            fontsize=8,
            fontweight="bold",
            color=INK,
            bbox={"boxstyle": "round,pad=0.2", "facecolor": BACKGROUND, "alpha": 0.8, "lw": 0},
        )


def frame_for(data: ImageLike | None, geometry: Geometry | None) -> Frame:
    """Frame to draw an image in: of the geometry, else of the ideal one of its detector."""
    if geometry is not None or data is None:
        return frame_of(geometry)
    return frame_of(None, detector_array(data, "the image")[0])


def label_axes(axes: Axes, label_x: bool = True) -> None:
    """Name the axes of a detector picture."""
    axes.set_aspect("equal")
    axes.set_xlabel("y (pixels from the beam)")
    if label_x:
        axes.set_ylabel("x (pixels from the beam)")
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _alt(titles: list[str], good: ImageLike | None, rings: Sequence[float]) -> str:
    text = f"Assembled in detector geometry: {', '.join(titles)}."
    if good is not None:
        removed = 100 * (1 - float(np.mean(detector_array(good, "the mask")[1] != 0)))
        text += f" Masked pixels, {removed:.2f} % of all, are orange."
    if len(rings):
        text += f" {len(rings)} rings of {min(rings):.0f} to {max(rings):.0f} pixels radius."
    return text
