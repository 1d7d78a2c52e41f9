"""Run panel: which runs or files, corrections and events, averaging with progress."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as widgets

from workbench import pipeline
from workbench.errors import WorkbenchError
from workbench.recipe import Images
from workbench.ui.form import Form
from workbench.ui.image_view import ImageView
from workbench.ui.panels.base import Panel, note_text, row, table, warning_text
from workbench.ui.panels.mask import named_images
from workbench.ui.session import PARTIAL, Session

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE = {"description_width": "130px"}
SOURCES = ("runs on disk", "image files", "recipe file")
IMAGE_FILES = {
    "average": "Average of a dark run (CBF or other image file)",
    "stddev": "Standard deviation of the dark run",
    "maximum": "Maximum of the bright runs",
    "bright_average": "Average of the bright runs, for the alignment (may be left empty)",
}


class RunPanel(Panel):
    """What is calibrated.

    Attributes
    ----------
    source : runs on disk, image files, or a recipe file.
    experiment, address, dark, bright, xtc_dir, calib_dir, psdm_dir, detz : of the runs.
    files : text boxes of the image files. recipe_path : of a recipe.
    average, cancel, look : buttons.
    """

    title = "Run & averages"
    step = "images"

    def __init__(self, session: Session, view: ImageView | None = None) -> None:
        super().__init__(session, view)
        self._quiet = False
        self.source = widgets.ToggleButtons(
            options=SOURCES,
            tooltips=[
                "Average raw runs (XTC)",
                "Begin with images that exist already",
                "Go on with a saved calibration",
            ],
            style={"button_width": "130px"},
        )
        self.experiment = self._combo("Experiment", "Experiment, e.g. cxim1416", width="330px")
        self.address = self._combo("Detector", "Detector address, e.g. CxiDs1.0:Cspad.0", "330px")
        self.psdm_dir = self._path("Data tree", "Root of the data tree; empty: $SIT_PSDM_DATA")
        self.xtc_dir = self._path("XTC folder", "Folder of the .xtc files, if not in the data tree")
        self.calib_dir = self._path(
            "Calibration", "Calibration directory, if not in the data tree; geometries go there"
        )
        self.dark = widgets.Dropdown(
            description="Dark run", options=[("none", None)], style=WIDE,
            tooltip="Run without beam: its average and standard deviation make the mask",
            layout={"width": "330px"},
        )  # fmt: skip
        self.bright = widgets.SelectMultiple(
            description="Bright runs", options=[], rows=4, style=WIDE,
            tooltip="Runs with powder rings (Ctrl or Shift for several); their maximum is used",
            layout={"width": "330px"},
        )  # fmt: skip
        self.detz = widgets.Text(
            description="detz offset (mm)", style=WIDE, continuous_update=False,
            tooltip="Distance in mm = encoder + this; empty: distance unknown",
            layout={"width": "330px"},
        )  # fmt: skip
        self.look = self.button(
            "List runs",
            "Look on disk for experiments, runs and detectors",
            self.list_runs,
            width="140px",
        )
        self.dark_form = self._corrections("dark_corrections")
        self.bright_form = self._corrections("bright_corrections")
        self.events_form = Form(
            session.recipe.events, lambda new: session.change("events", new), self.complain
        )
        options = widgets.Accordion(
            [
                widgets.VBox(
                    [
                        note_widget("Dark run (leave it raw for the mask):"),
                        self.dark_form.widget,
                        note_widget("Bright runs:"),
                        self.bright_form.widget,
                    ]
                ),
                widgets.VBox([self.events_form.widget]),
            ],
            titles=["Corrections", "Events used"],
            selected_index=None,
        )
        self.runs_box = widgets.VBox(
            [
                widgets.HBox(
                    [
                        widgets.VBox([self.experiment, self.address, self.dark, self.bright]),
                        widgets.VBox(
                            [self.psdm_dir, self.xtc_dir, self.calib_dir, self.detz, self.look]
                        ),
                    ],
                    layout={"flex_flow": "row wrap"},
                ),
                options,
            ]
        )
        self.files = {
            name: self._path(name.replace("_", " "), tip) for name, tip in IMAGE_FILES.items()
        }
        self.files_box = widgets.VBox(list(self.files.values()))
        self.recipe_path = self._path("Recipe", "A saved …calibration.toml", bind=False)
        self.open_recipe = self.button("Open", "Go on with this recipe", self.load_recipe)
        self.recipe_box = widgets.VBox([row(self.recipe_path, self.open_recipe)])
        self.average = self.button(
            "Compute averages", "Average the chosen runs, or read the chosen images",
            session.compute_images, "primary", "170px",
        )  # fmt: skip
        self.cancel = self.button(
            "Cancel", "Stop averaging; what is there so far is kept and marked partial",
            session.cancel,
        )  # fmt: skip
        self.cancel.disabled = True
        self.progress = widgets.FloatProgress(
            min=0, max=1, layout={"width": "240px", "visibility": "hidden"}
        )
        self.progress_text = widgets.HTML()
        self.found = widgets.HTML()
        self.box.children = [
            self.message,
            self.source,
            self.runs_box,
            self.files_box,
            self.recipe_box,
            row(self.average, self.cancel, self.progress, self.progress_text),
            self.found,
        ]
        self.source.observe(lambda change: self._show_source(), "value")
        for name, control in self._bound().items():
            control.observe(lambda change, name=name: self._edited(name), "value")
        for name, control in self.files.items():
            control.observe(lambda change, name=name: self._file(name), "value")
        session.subscribe("recipe", self._recipe)
        session.subscribe("progress", self._progress)
        session.subscribe("images", self._images)
        if session.recipe.images != Images() and not session.recipe.experiment.name:
            self.source.value = SOURCES[1]
        self._recipe()
        self._show_source()
        if session.recipe.experiment.name:
            self.guarded(self.list_runs)
        self._images()

    # ---- making the controls -----------------------------------------------------------------
    def _combo(self, label: str, tooltip: str, width: str) -> widgets.Combobox:
        return widgets.Combobox(
            description=label, tooltip=tooltip, ensure_option=False, continuous_update=False,
            style=WIDE, layout={"width": width},
        )  # fmt: skip

    def _path(self, label: str, tooltip: str, bind: bool = True) -> widgets.Text:
        return widgets.Text(
            description=label, tooltip=tooltip, continuous_update=False, style=WIDE,
            layout={"width": "480px", "max_width": "98%"},
        )  # fmt: skip

    def _corrections(self, path: str) -> Form:
        return Form(
            getattr(self.session.recipe, path),
            lambda new: self.session.change(path, new),
            self.complain,
        )

    def _bound(self) -> dict[str, widgets.Widget]:
        return {
            "name": self.experiment,
            "address": self.address,
            "psdm_dir": self.psdm_dir,
            "xtc_dir": self.xtc_dir,
            "calib_dir": self.calib_dir,
            "dark": self.dark,
            "bright": self.bright,
            "detz_offset_mm": self.detz,
        }

    # ---- what the controls do ----------------------------------------------------------------
    def _edited(self, name: str) -> None:
        if not self._quiet:
            self.guarded(lambda: self._set(name))

    def _set(self, name: str) -> None:
        value = self._bound()[name].value
        if name.endswith("_dir"):
            value = absolute(value)
        elif name == "bright":
            value = tuple(value)
        elif name == "detz_offset_mm":
            try:
                value = float(value) if value.strip() else None
            except ValueError as error:
                raise WorkbenchError(f"detz offset: {value!r} is no number of mm.") from error
        self.session.change(f"experiment.{name}", value)
        if name in ("name", "psdm_dir", "xtc_dir", "calib_dir") and self.experiment.value:
            self.list_runs()

    def _file(self, name: str) -> None:
        if not self._quiet:
            value = absolute(self.files[name].value)
            self.guarded(lambda: self.session.change(f"images.{name}", value))

    def load_recipe(self) -> None:
        """Go on with a saved recipe."""
        path = absolute(self.recipe_path.value)
        if path is None:
            raise WorkbenchError("Type the path of a recipe (….calibration.toml) first.")
        self.session.set_recipe(pipeline.load_recipe(path), "open recipe")
        self.session.path = Path(path)

    def list_runs(self) -> None:
        """Fill the lists with what is on disk."""
        from workbench import runs

        experiment = self.session.recipe.experiment
        if not experiment.name:
            self.experiment.options = tuple(self._experiments())
            if not self.experiment.options:
                raise WorkbenchError(
                    "No experiments were found; give the data tree or the folder of the .xtc "
                    "files, and type the experiment's name."
                )
            return
        place = runs.find_experiment(
            experiment.name, experiment.psdm_dir, experiment.xtc_dir, experiment.calib_dir
        )
        found = place.runs()
        small = sum(run.size for run in found) < 2e9  # counting reads every header
        labels = {}
        for run in found:
            text = f"run {run.number}"
            text += f" · {runs.count_events(run)} events" if small else ""
            text += f" · {run.size / 1e6:.0f} MB" + (" · in progress" if run.in_progress else "")
            labels[run.number] = text
        self._quiet = True
        try:
            self.dark.options = [("none", None), *((t, n) for n, t in labels.items())]
            self.bright.options = [(t, n) for n, t in labels.items()]
            self.address.options = tuple(addresses(place.calib_dir))
        finally:
            self._quiet = False
        self._recipe()

    def _experiments(self) -> list[str]:
        from workbench import runs

        return sorted(
            getattr(one, "name", str(one))
            for one in runs.list_experiments(self.session.recipe.experiment.psdm_dir)
        )

    # ---- what is shown -----------------------------------------------------------------------
    def _show_source(self) -> None:
        boxes = dict(zip(SOURCES, (self.runs_box, self.files_box, self.recipe_box), strict=True))
        for name, box in boxes.items():
            box.layout.display = "" if name == self.source.value else "none"

    def _recipe(self) -> None:
        recipe = self.session.recipe
        self._quiet = True
        try:
            for name, control in self._bound().items():
                value = getattr(recipe.experiment, name)
                if control is self.dark:
                    known = [number for _, number in self.dark.options]
                    if value not in known:
                        self.dark.options = [*self.dark.options, (f"run {value}", value)]
                elif control is self.bright:
                    known = [number for _, number in self.bright.options]
                    missing = [number for number in value if number not in known]
                    if missing:
                        self.bright.options = [
                            *self.bright.options, *((f"run {n}", n) for n in missing)
                        ]  # fmt: skip
                elif name == "detz_offset_mm":
                    value = "" if value is None else f"{value:g}"
                elif value is None:
                    value = ""
                if control.value != value:
                    control.value = value
            for name, control in self.files.items():
                control.value = getattr(recipe.images, name) or ""
        finally:
            self._quiet = False
        self.dark_form.show(recipe.dark_corrections)
        self.bright_form.show(recipe.bright_corrections)
        self.events_form.show(recipe.events)

    def _progress(self) -> None:
        moment = self.session.moment
        running = moment is not None and moment.step == self.step
        self.cancel.disabled = not running
        self.average.disabled = running
        self.progress.layout.visibility = "visible" if running else "hidden"
        if not running or moment is None:
            self.progress_text.value = ""
            return
        self.progress.max = moment.total or max(1.0, moment.done)
        self.progress.value = moment.done
        text = f"{moment.done:.0f}"
        text += f" of {moment.total:.0f}" if moment.total else ""
        text += f" events · {moment.rate:.0f} events/s"
        if moment.remaining is not None:
            text += f" · {moment.remaining:.0f} s left"
        self.progress_text.value = text + (f" · {moment.message}" if moment.message else "")

    def _images(self) -> None:
        images = self.session.images
        if images is None:
            return
        rows, warnings = [], []
        for kind, run in [
            *([("dark", images.dark)] if images.dark else []),
            *(("bright", one) for one in images.bright),
        ]:
            skipped = ", ".join(f"{n} {why}" for why, n in run.skipped.items()) or "none"
            rows.append(
                [
                    f"{kind} run {run.run}" + (" (partial)" if run.partial else ""),
                    int(run.count),
                    skipped,
                    "–" if run.distance_mm is None else f"{run.distance_mm:.2f}",
                    "–" if run.wavelength_angstrom is None else f"{run.wavelength_angstrom:.4f}",
                ]
            )
            warnings += [f"run {run.run}: {text}" for text in run.warnings]
        text = ""
        if rows:
            text = table(["", "events", "left out", "distance (mm)", "wavelength (Å)"], rows)
        if images.partial:
            warnings.append(PARTIAL)
        for kind, path in images.files.items():
            text += note_text(f"{kind.replace('_', ' ')}: {path}")
        self.found.value = text + warning_text(warnings)

    def summary(self) -> str:
        """What was averaged."""
        from workbench.ui.session import describe_images

        lines = [super().summary()]
        if self.session.images is not None:
            lines.append(describe_images(self.session.images))
        return "\n".join(lines)

    def figure(self) -> Figure | None:
        """The images, side by side."""
        from workbench import figures

        images = self.session.images
        if images is None:
            return None
        shown = {name: image.data for name, image in named_images(images).items()}
        return figures.detector_images(shown, images.geometry) if shown else None


def absolute(path: str) -> str | None:
    """Absolute path of what was typed; None for nothing."""
    text = path.strip()
    return os.path.abspath(os.path.expanduser(text)) if text else None


def addresses(calib_dir: Path | None) -> list[str]:
    """Detectors with constants in a calibration directory."""
    from workbench.detector import DEFAULT_ADDRESS, GROUP

    found = {DEFAULT_ADDRESS}
    if calib_dir is not None and (calib_dir / GROUP).is_dir():
        found |= {path.name for path in (calib_dir / GROUP).iterdir() if path.is_dir()}
    return sorted(found)


def note_widget(text: str) -> widgets.HTML:
    """Remark among controls."""
    return widgets.HTML(note_text(text))
