"""History of a pixel: its value in the events of the dark run and of the bright runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets
import numpy as np

from workbench import figures, pipeline
from workbench.errors import Cancelled
from workbench.mask.rules import IMAGES, LIMITS
from workbench.ui.panels.base import Panel, note_text
from workbench.ui.widgets.image_view import BRIGHT_RUNS
from workbench.ui.widgets.live_figure import LiveFigure

if TYPE_CHECKING:
    from workbench.pipeline import PixelHistory
    from workbench.session.worker import Task

KEY = "pixel history"
NOTHING_PICKED = "Click a pixel in the images; its value in the events is read from the runs."


class PixelHistoryBox:
    """Reads and shows what a pixel had in the events; another pixel ends the reading of the last.

    Attributes
    ----------
    box : what to display. text : what is read or was wrong. figure : `LiveFigure`.
    """

    def __init__(self, panel: Panel) -> None:
        self.session, self.view = panel.session, panel.view
        self.text = widgets.HTML(note_text(NOTHING_PICKED))
        self.figure = LiveFigure(self.session.later, 430)
        self.figure.widget.layout.display = "none"
        self.box = widgets.VBox([self.text, self.figure.widget])
        self._read: int | None = None

    def read(self, pixel: int | None) -> None:
        """Read a pixel (its place in the flattened detector array; None: nothing is picked)."""
        experiment = self.session.recipe.experiment
        if pixel is None or pixel == self._read:
            return
        if experiment.dark is None and not experiment.bright:
            self.text.value = note_text(
                "Image files hold no events; choose runs on disk in step 1 to see them."
            )
            return
        self._read = pixel
        slow = self.session.jobs.slow
        slow.cancel(KEY)
        self.text.value = note_text("Reading the events …")
        slow.submit(KEY, lambda task: self._work(task, pixel))

    def _work(self, task: Task, pixel: int) -> None:
        try:
            self._draw(pixel, task)
        except Cancelled:
            self._read = None
        except Exception as error:
            self._read = None
            self.text.value = note_text(self.session.log.error("mask", error))
        finally:
            self.session.jobs.finish()

    def _draw(self, pixel: int, task: Task) -> None:
        recipe, rows = self.session.recipe, []
        experiment = recipe.experiment
        chosen = [("dark", experiment.dark, recipe.dark_corrections)]
        chosen += [("bright", number, recipe.bright_corrections) for number in experiment.bright]
        for kind, number, corrections in chosen:
            if number is None:
                continue
            run = pipeline.open_recipe_run(recipe, number)
            history = pipeline.pixel_history(run, pixel, corrections, recipe.events, progress=task)
            rows.append(self._row(kind, history))
        detector = self.view.detector
        module, line, column = np.unravel_index(pixel, detector.shape)
        title = f"{detector.module_name(int(module))}, row {line}, column {column}"
        self.figure.place.height = 215 * len(rows)
        self.figure.widget.layout.display = ""
        self.figure.draw(lambda figure: figures.pixel_history(rows, title, figure=figure))
        read = ", ".join(f"{row.values_adu.size} of {row.name.split(' · ')[0]}" for row in rows)
        self.text.value = note_text(f"{title}; events read, evenly spread: {read}.")

    def _row(self, kind: str, history: PixelHistory) -> figures.PixelEvents:
        """The images of this kind of run at the pixel, and the limits laid on them."""
        images, limits = self.session.images, self.session.recipe.mask.thresholds
        name, statistics, thresholds = f"{kind} run {history.run}", [], []
        for limit, rule in LIMITS.items():
            image = None if images is None else getattr(images, rule.image)
            if image is None or (IMAGES[rule.image].runs == BRIGHT_RUNS) != (kind == "bright"):
                continue
            value, threshold = float(image.data.flat[history.pixel]), float(getattr(limits, limit))
            if rule.image == "stddev":  # no value of a single event
                name += f" · standard deviation {value:.3g} {image.unit}, limit {threshold:g}"
                continue
            statistics.append((rule.image, value))
            thresholds.append((rule.label, threshold))
        return figures.PixelEvents(
            name, history.indices, history.values_adu, statistics, thresholds, history.unit
        )
