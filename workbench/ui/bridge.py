"""Between a session and the detector view: results go to the picture, drawings into the recipe."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Sequence
from typing import Any

from workbench.calibrants import CALIBRANTS, calibrant_rings
from workbench.detector import COLUMNS, ROWS
from workbench.errors import WorkbenchError
from workbench.recipe import mask as layers
from workbench.ui.image_view import BRIGHT_RUNS, IMAGES, ImageView
from workbench.ui.session import Session

BITS = 32
"""Reasons that the view can tell apart."""
DRAWN_BY_FRONT_END = ("average_low", "average_high", "stddev_low", "stddev_high", "maximum_low",
                      "not_a_number")  # fmt: skip
THRESHOLDS = {"average": "avg_max", "stddev": "stddev_max", "maximum": "maxproj_min"}


class Bridge:
    """Keeps a view up to date with a session."""

    def __init__(self, session: Session, view: ImageView) -> None:
        self.session = session
        self.view = view
        self.calibrant = CALIBRANTS[0]
        self._sent_bits: bytes | None = None
        self._sending = threading.RLock()  # no preview after the images it is a preview of
        view.on_shape(lambda shape: self._guarded(lambda: self.add_shape(**shape)))
        view.on_pixel(lambda flat: self._guarded(lambda: self.toggle_pixel(flat)))
        view.observe(lambda change: session.later("view runs", self._runs), "tiles")
        session.subscribe("recipe", self._recipe)
        session.subscribe("preview", lambda: session.later("view preview", self._show_preview))
        session.subscribe("images", self._show_images)
        session.subscribe("mask", self._mask)
        session.subscribe("alignment", lambda: session.later("view alignment", self._alignment))
        self._recipe()
        if session.images is not None:
            self._images()
            self._mask()
            self._alignment()

    # ---- session to view ---------------------------------------------------------------------
    def _recipe(self) -> None:
        recipe, view = self.session.recipe, self.view
        if self.session.origin is None:  # a slider has told the view itself, and may be ahead
            for name in THRESHOLDS.values():
                setattr(view, name, getattr(recipe.mask.thresholds, name))
        view.shapes = [
            outline for layer in recipe.mask.layers if layer.on and (outline := outline_of(layer))
        ]
        view.rules = [] if drawn_by_kernel(recipe.mask) else list(IMAGES)

    def _show_preview(self) -> None:
        with self._sending:
            self._preview()

    def _show_images(self) -> None:
        with self._sending:
            self._images()

    def _preview(self) -> None:
        run = self.session.preview
        if run is None or run.count == 0:
            return
        self._geometry_of_deployed(run)
        if run.run == self.session.recipe.experiment.dark:
            self.view.set_image("average", run.average)
            self.view.set_image("stddev", run.stddev)
        else:
            self.view.set_image("maximum", run.maximum)

    def _geometry_of_deployed(self, run: Any) -> None:
        if self.view.has_map("assembled"):
            return
        from workbench import pipeline
        from workbench.averages import deployed_geometry

        opened = pipeline.open_recipe_run(self.session.recipe, run.run)
        self.view.set_geometry(deployed_geometry(opened))

    def _images(self) -> None:
        images, view = self.session.images, self.view
        if images is None:
            return
        if images.geometry is None:
            from workbench.geometry import Geometry

            view.set_geometry(Geometry.ideal())
        else:
            view.set_geometry(images.geometry)
        view.set_geometry(None, "corrected")
        for name in IMAGES:
            image = getattr(images, name)
            view.set_image(name, None if image is None else image.data)
        bright = images.maximum or images.bright_average or images.average
        view.distance_mm = float(getattr(bright, "distance_mm", None) or 0)
        view.wavelength = float(getattr(bright, "wavelength_angstrom", None) or 0)
        self._sent_bits = None
        self.show_rings_of(self.calibrant)
        for name in view.runs:
            view.set_image(name, None)
        view.runs = [f"run {run.run}" for run in images.bright] if len(images.bright) > 1 else []
        if view.tiles == BRIGHT_RUNS:
            self._runs()

    def _runs(self) -> None:
        """Send the maximum of each bright run; only when they are looked at."""
        images = self.session.images
        if images is not None and self.view.tiles == BRIGHT_RUNS:
            for name, run in zip(self.view.runs, images.bright, strict=False):
                self.view.set_image(name, run.maximum)

    def _mask(self) -> None:
        from workbench.mask import bit_words

        mask = self.session.mask
        if mask is None:
            return
        by_kernel = drawn_by_kernel(self.session.recipe.mask)
        told = [one for one in mask.removals if by_kernel or one.rule not in DRAWN_BY_FRONT_END]
        planes = [one.plane for one in told if one.plane is not None]
        names = [one.name if one.layer is None else one.label for one in told[:BITS]]
        if len(told) > BITS:
            names[-1] = "further layers"
        digest = hashlib.blake2b(repr(names).encode(), digest_size=16)
        for plane in planes:
            digest.update(plane.data)
        if digest.digest() != self._sent_bits:
            self.view.set_bits(bit_words(planes, BITS) if told else None, names)
            self._sent_bits = digest.digest()

    def _alignment(self) -> None:
        alignment = self.session.alignment
        if alignment is None:
            return
        self.view.quadrant_offsets = [[float(x), float(y)] for x, y in alignment.applied_px]
        self.view.set_geometry(alignment.geometry, "corrected")

    def show_rings_of(self, calibrant: str, distance_mm: float | None = None) -> None:
        """Draw the rings of a calibrant (needs distance and wavelength)."""
        self.calibrant = calibrant
        distance, wavelength = distance_mm or self.view.distance_mm, self.view.wavelength
        if not (distance > 0 and wavelength > 0):
            self.view.rings = []
            return
        radii = ring_radii_mm(calibrant, distance, wavelength)
        self.view.rings = [[radius, f"{d:.2f} Å"] for radius, d in radii]

    # ---- view to session ---------------------------------------------------------------------
    def add_shape(self, kind: str, points: Sequence[Sequence[float]]) -> None:
        """Mask a drawn shape: it becomes a layer of the recipe."""
        self.session.add_layer(shape_layer(kind, points))

    def toggle_pixel(self, flat: int) -> None:
        """Mask a pixel by hand, or take that back."""
        pixel = (flat // (ROWS * COLUMNS), flat // COLUMNS % ROWS, flat % COLUMNS)
        present = list(self.session.recipe.mask.layers)
        for number, layer in enumerate(present):
            if isinstance(layer, layers.PixelLayer):
                kept = [one for one in layer.pixels if one != pixel]
                if len(kept) == len(layer.pixels):
                    kept.append(pixel)
                if kept:
                    present[number] = layers.PixelLayer(
                        name=layer.name, on=layer.on, mode=layer.mode, pixels=tuple(kept)
                    )
                else:
                    del present[number]
                break
        else:
            present.append(layers.PixelLayer(name="picked by hand", pixels=(pixel,)))
        self.session.change("mask.layers", tuple(present))

    def _guarded(self, act: Any) -> None:
        try:
            act()
        except Exception as error:
            self.session.log.error("view", error)


def drawn_by_kernel(settings: Any) -> bool:
    """Whether there is more than thresholds and removing layers: then only the kernel knows."""
    return settings.low_gain is not None or any(
        layer.on and layer.mode != "union" for layer in settings.layers
    )


def shape_layer(kind: str, points: Sequence[Sequence[float]]) -> Any:
    """Layer of a shape drawn with these points (lab x, y in mm)."""
    corners = [(round(float(x), 3), round(float(y), 3)) for x, y in points]
    if len(corners) < 2:
        raise WorkbenchError(f"A {kind} needs at least two points; draw it again.")
    try:
        if kind == "rectangle":
            (x0, y0), (x1, y1) = corners[0], corners[1]
            return layers.RectangleLayer(
                name="drawn rectangle",
                x_mm=(min(x0, x1), max(x0, x1)),
                y_mm=(min(y0, y1), max(y0, y1)),
            )
        if kind == "circle":
            radius = math.dist(corners[0], corners[1])
            return layers.CircleLayer(
                name="drawn circle", centre_mm=corners[0], radius_mm=round(radius, 3)
            )
        if kind == "polygon":
            return layers.PolygonLayer(name="drawn polygon", points_mm=tuple(corners))
    except ValueError as error:
        raise WorkbenchError(f"{error}.") from error
    raise WorkbenchError(f"There is no shape {kind!r}; draw a rectangle, circle or polygon.")


def outline_of(layer: Any) -> dict[str, Any] | None:
    """Points of a drawn layer, for the view."""
    if isinstance(layer, layers.RectangleLayer):
        (x0, x1), (y0, y1) = layer.x_mm, layer.y_mm
        return {"kind": "rectangle", "points": [[x0, y0], [x1, y1]]}
    if isinstance(layer, layers.CircleLayer):
        x, y = layer.centre_mm
        return {"kind": "circle", "points": [[x, y], [x + layer.radius_mm, y]]}
    if isinstance(layer, layers.PolygonLayer):
        return {"kind": "polygon", "points": [list(point) for point in layer.points_mm]}
    return None


def ring_radii_mm(
    calibrant: str, distance_mm: float, wavelength_angstrom: float, largest_mm: float = 140.0
) -> list[tuple[float, float]]:
    """Radius (mm) and spacing (Å) of the rings that fall on the detector, at most 40."""
    found = []
    for ring in calibrant_rings(calibrant, d_min=max(0.8, wavelength_angstrom / 1.9)):
        sine = wavelength_angstrom / (2 * ring.d_angstrom)
        if sine >= 1 or 2 * math.asin(sine) >= math.pi / 2:
            continue
        radius = distance_mm * math.tan(2 * math.asin(sine))
        if radius <= largest_mm and ring.intensity > 0.01:
            found.append((radius, ring.d_angstrom))
    return sorted(found)[:40]
