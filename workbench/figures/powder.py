"""Powder rings before and after the quadrants are moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.figures.frame import ImageLike, frame_of, full, unit_of
from workbench.figures.images import draw_image, percentile_limits
from workbench.figures.profiles import Cake, Profile
from workbench.figures.style import (
    BLUE,
    GROUP_COLOURS,
    INTENSITY,
    SIGNED,
    SKY,
    VERMILLION,
    describe,
    empty,
    note,
    styled,
    with_gap,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from workbench.alignment.uncertainty import HeldOut
    from workbench.geometry import Geometry


@styled
def powder_comparison(
    image: ImageLike,
    before: Geometry,
    after: Geometry,
    *,
    good: ArrayLike | None = None,
    rings_px: Sequence[float] = (),
    names: tuple[str, str] = ("deployed geometry", "corrected geometry"),
    half_width_px: float | None = None,
    figure: Figure | None = None,
) -> Figure:
    """One powder image assembled in two geometries, with the same rings laid on both.

    Parameters
    ----------
    image : average or maximum of bright runs, as an image or ``(modules, rows, columns)``.
    good : bool of the same shape, True = good; other pixels are drawn as gaps.
    rings_px : radii of rings, pixels.
    half_width_px : show only this much about the beam; None: everything.
    """
    figure = empty(figure, 9.6, 4.7)
    data = full(image, "the image", np.float32)
    trusted = None if good is None else np.asarray(good, dtype=bool)
    limits = percentile_limits(data, trusted, (1.0, 99.3))
    shown = data if trusted is None else np.where(trusted, data, np.float32(np.nan))
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for number, (axes, geometry, name) in enumerate(
        zip(panels, (before, after), names, strict=True)
    ):
        draw_image(
            axes, shown, frame_of(geometry), limits=limits, rings_px=rings_px, title=name,
            label_x=number == 0, bar=number == 1, names=half_width_px is None, step=2,
            unit=unit_of(image),
        )  # fmt: skip
    if half_width_px is not None:
        panels[0].set_xlim(-half_width_px, half_width_px)
        panels[0].set_ylim(half_width_px, -half_width_px)
    return describe(
        figure, f"Powder image in the {names[0]} and in the {names[1]}, with {len(rings_px)} rings."
    )


@styled
def radial_profiles(
    before: Profile,
    after: Profile,
    *,
    names: tuple[str, str] = ("deployed geometry", "corrected geometry"),
    rings_px: Sequence[float] = (),
    figure: Figure | None = None,
) -> Figure:
    """Radial profiles in two geometries: whole detector above, quadrant by quadrant below.

    Sharper and higher rings, and quadrants that peak at the same radius, are the evidence that
    the corrected geometry is better.
    """
    figure = empty(figure, 9.6, 6.0)
    grid = figure.add_gridspec(2, 2, height_ratios=(1.0, 1.1))
    whole = figure.add_subplot(grid[0, :])
    for profile, name, colour, style in (
        (before, names[0], VERMILLION, "--"),
        (after, names[1], BLUE, "-"),
    ):
        whole.plot(profile.radius_px, profile.mean, color=colour, ls=style, lw=1.2, label=name)
    whole.set_title("whole detector")
    _finish_profile(whole, [before.mean, after.mean], rings_px, after.unit)
    first = figure.add_subplot(grid[1, 0], sharex=whole)
    second = figure.add_subplot(grid[1, 1], sharex=whole, sharey=first)
    for axes, profile, name in ((first, before, names[0]), (second, after, names[1])):
        for number, (group, mean) in enumerate(zip(profile.names, profile.groups, strict=True)):
            colour = GROUP_COLOURS[number % len(GROUP_COLOURS)]
            axes.plot(profile.radius_px, mean, lw=0.9, color=colour, label=group)
        axes.set_title(f"{profile.group_word}s, {name}", loc="left")
        axes.set_xlabel("radius (px)")
        _finish_profile(axes, [before.groups, after.groups], rings_px, after.unit)
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 0.97), ncols=4, handlelength=1.0,
            columnspacing=0.8, handletextpad=0.4,
        )  # fmt: skip
    span = _span(after, rings_px)
    whole.set_xlim(*span)
    return describe(
        figure,
        f"Mean intensity against radius in the {names[0]} and the {names[1]}; highest value"
        f" {_highest(before.mean):.4g} before, {_highest(after.mean):.4g} after.",
    )


@styled
def ring_profile(
    before: Profile,
    after: Profile | None = None,
    *,
    names: tuple[str, str] = ("before", "after"),
    rings: Sequence[tuple[float, str]] = (),
    reading: Callable[[float], str] | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Radial profile of the whole detector, before and after the quadrants are moved.

    Parameters
    ----------
    rings : radius in pixels and label of each ring of the calibrant.
    reading : what a live figure says of a radius in pixels under the cursor (`radius_reading`).
    """
    figure = empty(figure, 9.6, 2.2)
    axes = figure.add_subplot()
    curves = [(before, names[0], VERMILLION, "--")]
    if after is not None:
        curves.append((after, names[1], SKY, "-"))
    for profile, name, colour, style in curves:
        axes.plot(profile.radius_px, profile.mean, color=colour, ls=style, lw=1.2, label=name)
    _finish_profile(
        axes, [profile.mean for profile, *_ in curves], [r for r, _ in rings], before.unit
    )
    axes.set_xlim(*_span(before, ()))
    axes.set_xlabel("radius (px)")
    first, last = axes.get_xlim()
    labelled = first
    for radius, label in rings:
        if radius < labelled + (last - first) / 30 or radius > last:
            continue  # it would stand on its neighbour
        labelled = radius
        axes.annotate(
            label, (radius, 1), xycoords=("data", "axes fraction"), fontsize=6, rotation=90,
            ha="right", va="top", annotation_clip=True, clip_on=True,
        ).set_in_layout(False)  # fmt: skip
    if reading is not None:
        axes.format_coord = lambda x, y: f"{reading(x)} · {y:.4g} {before.unit}"  # type: ignore[method-assign]
    return describe(
        figure, f"Mean intensity against radius, with {len(rings)} rings of the calibrant."
    )


def radius_reading(
    pixel_um: float, distance_mm: float = 0.0, wavelength_angstrom: float = 0.0
) -> Callable[[float], str]:
    """Give what a radius in pixels means: ``312.4 px · q 1.234 Å⁻¹ · d 5.09 Å``.

    With 2θ = atan(radius / distance): q = 4π sin θ / λ, d = λ / (2 sin θ). Without a distance and
    wavelength (0) only the pixels are given.
    """

    def read(radius_px: float) -> str:
        text = f"{radius_px:.1f} px"
        if not (distance_mm > 0 and wavelength_angstrom > 0 and radius_px > 0):
            return text
        sine = math.sin(math.atan(radius_px * pixel_um / 1000 / distance_mm) / 2)
        q, d = 4 * math.pi * sine / wavelength_angstrom, wavelength_angstrom / (2 * sine)
        return f"{text} · q {q:.4f} Å⁻¹ · d {d:.3f} Å"

    return read


@styled
def cake(
    before: Cake,
    after: Cake,
    *,
    names: tuple[str, str] = ("deployed geometry", "corrected geometry"),
    radii_px: tuple[float, float] | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Azimuth against radius in two geometries: rings are straight where the quadrants agree."""
    figure = empty(figure, 9.6, 4.2)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    limits = percentile_limits(after.values, None, (2.0, 99.0))
    shown = None
    for axes, values, name in ((panels[0], before, names[0]), (panels[1], after, names[1])):
        axes.set_title(name)
        axes.set_xlabel("radius (px)")
        shown = axes.imshow(
            np.ma.masked_invalid(values.values), aspect="auto", origin="lower",
            cmap=with_gap(INTENSITY),
            vmin=limits[0], vmax=limits[1], interpolation="nearest",
            extent=(values.radius_px[0], values.radius_px[-1], -180, 180),
        )  # fmt: skip
        axes.set_yticks(range(-180, 181, 90))
    panels[0].set_ylabel("azimuth (degrees from psana x)")
    if radii_px is not None:
        panels[0].set_xlim(*radii_px)
    if shown is not None:
        figure.colorbar(shown, ax=panels, shrink=0.85, pad=0.01, extend="both").set_label(
            after.unit
        )
    return describe(
        figure, f"Azimuth against radius in the {names[0]} and in the {names[1]}; rings are lines."
    )


@styled
def ring_residuals(
    held_out: HeldOut, geometry: Geometry, *, figure: Figure | None = None
) -> Figure:
    """How far each module's rings lie from where those of the other modules put them.

    Radius against azimuth, a mark for each ring and module: modules out of place show at one
    azimuth, a wrong height or distance as a trend with the radius.

    Parameters
    ----------
    held_out : ``alignment.refinement.held_out``.
    geometry : in which the rings were seen; gives the azimuth of the modules.
    """
    figure = empty(figure, 9.6, 4.2)
    axes = figure.add_subplot()
    middles = geometry.pixel_positions_um()[..., :2].mean(axis=(1, 2))
    azimuth = np.degrees(np.arctan2(middles[:, 1], middles[:, 0]))
    residual = held_out.residual_px
    module, ring = np.nonzero(np.isfinite(residual))
    axes.set_xlabel("radius (px)")
    axes.set_ylabel("azimuth (degrees from psana x)")
    axes.set_yticks(range(-180, 181, 90))
    axes.set_ylim(-190, 190)
    axes.set_xlim(0, 1.1 * float(held_out.ring_radius_px.max(initial=1.0)))
    axes.grid(lw=0.4, alpha=0.5)
    if not module.size:
        note(axes, "no rings")
        return describe(figure, "No ring says how far modules lie from their place.")
    values = residual[module, ring]
    limit = max(float(np.percentile(np.abs(values), 98)), 0.1)
    shown = axes.scatter(
        held_out.ring_radius_px[ring], azimuth[module], c=values, cmap=SIGNED,
        vmin=-limit, vmax=limit, s=26, marker="s", edgecolors="0.5", linewidths=0.3,
    )  # fmt: skip
    bar = figure.colorbar(shown, ax=axes, shrink=0.85, pad=0.01, extend="both")
    bar.set_label("residual outwards (px)")
    radius_px, angle = held_out.ring_radius_px[ring], azimuth[module]

    def read(x: float, y: float) -> str:
        """The mark nearest to the cursor."""
        nearest = int(np.argmin(np.hypot((radius_px - x) / radius_px.max(), (angle - y) / 360)))
        name = geometry.detector.module_name(int(module[nearest]))
        place = f"{name} · radius {radius_px[nearest]:.0f} px"
        return f"{place} · {values[nearest]:+.3f} px outwards".replace("-", "−")

    axes.format_coord = read  # type: ignore[method-assign]
    axes.set_title(
        f"rings of each sensor against those of the others, RMS {held_out.rms_px:.2f} px"
    )
    return describe(
        figure,
        "Radius against azimuth of each ring in each sensor; colour: how far outwards it lies from"
        f" where the other sensors put it, root mean square {held_out.rms_px:.2f} pixels.",
    )


def _finish_profile(
    axes: Axes, curves: Sequence[NDArray[np.float64]], rings_px: Sequence[float], unit: str
) -> None:
    if len(rings_px):
        across = axes.get_xaxis_transform()  # from bottom to top
        axes.vlines(rings_px, 0, 1, transform=across, color="0.6", lw=0.6, ls=":", zorder=0)
    values = np.concatenate([curve[np.isfinite(curve)] for curve in curves])
    axes.set_ylabel(f"mean ({unit})")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.97), ncols=2)
    axes.grid(lw=0.4, alpha=0.5)
    if not values.size:
        note(axes, "no good pixel")
        return
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.9)))
    room = 0.06 * (high - low) or 1.0
    axes.set_ylim(low - room, high + 3 * room)


def _span(profile: Profile, rings_px: Sequence[float]) -> tuple[float, float]:
    radii_px = profile.radius_px[np.isfinite(profile.mean)]
    if not radii_px.size:
        return 0.0, 1.0
    if rings_px:
        return float(radii_px[0]), min(float(radii_px[-1]), max(rings_px) + 120.0)
    return float(radii_px[0]), float(radii_px[-1])


def _highest(values: NDArray[np.float64]) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else float("nan")
