"""Between a session and the detector view: results go to the picture, drawings into the recipe."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import threading
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from workbench import pipeline
from workbench.averages import deployed_geometry
from workbench.calibrants import CALIBRANTS, calibrant_rings
from workbench.geometry import Geometry
from workbench.mask.rules import LIMITS
from workbench.recipe.mask import GrowLayer, IslandLayer, MaskSettings, PixelLayer
from workbench.session import Session
from workbench.ui.layer_bits import layer_bits
from workbench.ui.widgets.image_view import (
    BRIGHT_AVERAGE,
    BRIGHT_RUNS,
    EVENT,
    IMAGES,
    SINGLE_EVENT,
    TILES,
    ImageView,
    low_gain_trait,
)
from workbench.ui.widgets.shapes import outlines, reshaped, shape_layer


class Bridge:
    """Keeps a view up to date with a session."""

    def __init__(self, session: Session, view: ImageView) -> None:
        self.session = session
        self.view = view
        self.calibrant = CALIBRANTS[0]
        self._sent_bits: bytes | None = None
        self._sending = threading.RLock()  # no preview after the images it is a preview of
        acts: dict[str, Callable[..., object]] = {
            "shape": self.add_shape, "reshape": self.reshape, "remove": self.remove,
            "pixel": self.toggle_pixel,
        }  # fmt: skip
        for kind, act in acts.items():
            view.on(kind, partial(self._guarded, act))
        view.observe(lambda change: session.later("view runs", self._bright), "tiles")
        session.subscribe("recipe", self._recipe)
        session.subscribe("preview", lambda: session.later("view preview", self._preview))
        session.subscribe("images", self._images)
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
        if self.session.history.origin is None:  # else a slider has set the view itself
            high, low = recipe.mask.thresholds, recipe.mask.low_gain or recipe.mask.thresholds
            for name in LIMITS:
                setattr(view, name, getattr(high, name))
                setattr(view, low_gain_trait(name), getattr(low, name))
        view.shapes = outlines(recipe.mask.layers)
        view.rules = [] if drawn_by_kernel(recipe.mask) else list(IMAGES)

    def _preview(self) -> None:
        with self._sending:
            run = self.session.preview
            if run is None or run.count == 0 or not self.view.keeps_up:
                return  # another preview follows, or the images
            if not self.view.has_map("assembled"):
                self._show_deployed_geometry(run.run)
            if run.run == self.session.recipe.experiment.dark:
                self.view.set_image("average", run.average)
                self.view.set_image("stddev", run.stddev)
            else:
                self.view.set_image("maximum", run.maximum)

    def _show_deployed_geometry(self, run: int) -> None:
        opened = pipeline.open_recipe_run(self.session.recipe, run)
        geometry = deployed_geometry(opened)
        if geometry is not None:
            self.view.set_detector(geometry.detector)
        self.view.set_geometry(geometry)

    def _images(self) -> None:
        with self._sending:
            images, view = self.session.images, self.view
            if images is None:
                return
            bright = images.maximum or images.bright_average or images.average
            if bright is not None:
                view.set_detector(bright.detector)
            self._present_geometry()
            view.set_geometry(None, "corrected")
            shown = {name: getattr(images, name) for name in IMAGES}
            for name, image in shown.items():
                view.set_image(name, None if image is None else image.data)
            shown[BRIGHT_AVERAGE] = images.bright_average
            view.units = {name: image.unit for name, image in shown.items() if image is not None}
            view.distance_mm = float(getattr(bright, "distance_mm", None) or 0)
            view.wavelength = float(getattr(bright, "wavelength_angstrom", None) or 0)
            self._sent_bits = None
            self.show_rings_of(self.calibrant)
            for name in view.runs:
                view.set_image(name, None)
            view.runs = (
                [f"run {run.run}" for run in images.bright] if len(images.bright) > 1 else []
            )
            view.has_bright_average = images.bright_average is not None
            view.set_image(BRIGHT_AVERAGE, None)
            if view.tiles == BRIGHT_AVERAGE and images.bright_average is None:
                view.tiles = TILES[0]
            self._bright()

    def _present_geometry(self) -> None:
        images, self.view.names = self.session.images, {}
        if images is not None:
            self.view.set_geometry(images.geometry or Geometry.ideal(self.view.detector))

    def show_event(
        self,
        values: NDArray[np.float32] | None,
        title: str,
        run: int,
        unit: str = "ADU",
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Show a single event of a run (None: it has no pixels), with the mask if there is one.

        Parameters
        ----------
        unit : of the values.
        is_wanted : whether it still is, once its image is sent.
        """
        with self._sending:
            if not self.view.has_map("assembled"):
                self._show_deployed_geometry(run)
            self.view.units = {**self.view.units, EVENT: unit}
            self.view.set_image(EVENT, values)
            if is_wanted():  # another panel may have been opened meanwhile
                self.view.tiles = SINGLE_EVENT
                self.view.event = title

    def compare(self, older: Geometry, newer: Geometry, names: tuple[str, str]) -> None:
        """Let the picture blink between two geometries, until `end_comparison`."""
        with self._sending:
            self.view.set_geometries(older, newer)
            self.view.names = dict(zip(("assembled", "corrected"), names, strict=True))
        self.view.blink = True

    def end_comparison(self) -> None:
        """Show the present and the corrected geometry again."""
        if self.view.names:
            with self._sending:
                self._present_geometry()
                self.view.set_geometry(self.session.corrected, "corrected")
            self.view.blink = False

    def _bright(self) -> None:
        """Send the maximum of each bright run, or their average; only when they are looked at.

        Where there is no image of the mask the view shows the average in any case.
        """
        images, tiles = self.session.images, self.view.tiles
        if images is None:
            return
        if tiles == BRIGHT_RUNS:
            for name, run in zip(self.view.runs, images.bright, strict=False):
                self.view.set_image(name, run.maximum)
        alone = not any(getattr(images, name) for name in IMAGES)
        if images.bright_average is not None and (alone or tiles == BRIGHT_AVERAGE):
            self.view.set_image(BRIGHT_AVERAGE, images.bright_average.data)

    def _mask(self) -> None:
        mask = self.session.mask
        if mask is None:
            return
        settings = mask.settings or self.session.recipe.mask
        layers = layer_bits(mask, by_kernel=drawn_by_kernel(settings))
        digest = hashlib.blake2b(repr((layers.names, layers.keepers)).encode(), digest_size=16)
        for array in (layers.bits, layers.spared):
            digest.update(b"" if array is None else array.data)
        if digest.digest() != self._sent_bits:
            self.view.set_bits(layers.bits, layers.names, layers.spared, layers.keepers)
            self._sent_bits = digest.digest()
        self.view.two_gains = settings.low_gain is not None

    def _alignment(self) -> None:
        alignment = self.session.alignment
        if alignment is None:
            return
        of_modules = alignment.detector.by_module(alignment.applied_px)
        firsts = [group.modules.start for group in self.view.detector.groups]
        self.view.group_offsets_px = [[float(x), float(y)] for x, y in of_modules[firsts]]
        with self._sending:
            if self.view.names:  # of a comparison that is over now
                self._present_geometry()
            self.view.set_geometry(alignment.geometry, "corrected")

    def show_rings_of(self, calibrant: str) -> None:
        """Draw the rings of a calibrant (needs distance and wavelength)."""
        self.calibrant = calibrant
        distance, wavelength = self.view.distance_mm, self.view.wavelength
        if not (distance > 0 and wavelength > 0):
            self.view.rings = []
            return
        radii = ring_radii_mm(calibrant, distance, wavelength, self.view.radius_mm)
        self.view.rings = [(radius, f"{d:.2f} Å") for radius, d in radii]

    # ---- view to session ---------------------------------------------------------------------
    def add_shape(self, kind: str, points: Sequence[Sequence[float]]) -> None:
        """Mask a drawn shape: it becomes a layer of the recipe."""
        self.session.add_layer(shape_layer(kind, points, self.session.recipe.mask.layers))
        self.view.selected = len(self.session.recipe.mask.layers) - 1

    def reshape(self, layer: int, points: Sequence[Sequence[float]]) -> None:
        """Move or change a drawn shape."""
        self.session.set_layer(layer, reshaped(self.session.layer(layer), points))

    def remove(self, layer: int) -> None:
        """Remove a layer whose shape is selected; undo brings it back."""
        self.view.selected = -1
        self.session.set_layer(layer, None)

    def toggle_pixel(self, flat: int) -> None:
        """Mask a pixel by hand, or take that back."""
        module, row, column = np.unravel_index(flat, self.view.detector.shape)
        pixel = (int(module), int(row), int(column))
        present = list(self.session.recipe.mask.layers)
        for number, layer in enumerate(present):
            if isinstance(layer, PixelLayer):
                kept = [other for other in layer.pixels if other != pixel]
                if len(kept) == len(layer.pixels):
                    kept.append(pixel)
                if kept:
                    present[number] = dataclasses.replace(layer, pixels=tuple(kept))
                else:
                    del present[number]
                break
        else:
            present.append(PixelLayer(name="picked by hand", pixels=(pixel,)))
        self.session.change("mask.layers", tuple(present))

    def _guarded(self, act: Callable[..., object], *values: object) -> None:
        try:
            act(*values)
        except Exception as error:
            self.session.log.error("view", error)


def drawn_by_kernel(settings: MaskSettings) -> bool:
    """Whether the picture of the mask needs the kernel: where layers that look at the mask so far
    meet layers that keep pixels."""
    on = [layer for layer in settings.layers if layer.on]
    follow = any(isinstance(layer, GrowLayer | IslandLayer) for layer in on)
    return follow and any(layer.mode != "union" for layer in on)


def ring_radii_mm(
    calibrant: str, distance_mm: float, wavelength_angstrom: float, largest_mm: float
) -> list[tuple[float, float]]:
    """Radius (mm) and spacing (Å) of the rings up to a radius, at most 40."""
    rings = []
    for ring in calibrant_rings(calibrant, d_min=max(0.8, wavelength_angstrom / 1.9)):
        sine = wavelength_angstrom / (2 * ring.d_angstrom)
        if sine >= 1 or 2 * math.asin(sine) >= math.pi / 2:
            continue
        radius = distance_mm * math.tan(2 * math.asin(sine))
        if radius <= largest_mm and ring.intensity > 0.01:
            rings.append((radius, ring.d_angstrom))
    return sorted(rings)[:40]
