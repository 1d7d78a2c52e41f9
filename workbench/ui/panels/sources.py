"""What is calibrated: runs on disk, image files, or a saved recipe; lists of what there is."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from workbench import pipeline, runs
from workbench.averages.halves import is_half
from workbench.detectors import DETECTORS
from workbench.errors import WorkbenchError
from workbench.geometry import FORMATS
from workbench.recipe.files import SUFFIX
from workbench.ui.filling import Filling
from workbench.ui.panels.base import in_words, note_text, row
from workbench.ui.widgets.styles import classed

if TYPE_CHECKING:
    from workbench.runs import RunFiles
    from workbench.ui.panels.run import RunPanel

STYLE = {"description_width": "126px"}
IMAGE_FILES = {
    "average": "Average of a dark run (CBF or other image file)",
    "stddev": "Standard deviation of the dark run",
    "maximum": "Maximum of the bright runs",
    "bright_average": "Average of the bright runs, for the alignment (may be left empty)",
}
IMAGE_SUFFIXES = (".cbf", ".h5", ".hdf5", ".npy", ".edf", ".tif", ".tiff", ".img", ".mccd")
GEOMETRY_SUFFIXES = tuple(
    ending for known in FORMATS if known.read is not None for ending in known.endings
)
LISTED = 400  # files offered at most


def form_control(
    kind: type[widgets.Widget], label: str, tooltip: str, **options: Any
) -> widgets.Widget:
    """Control of a form: labels have one width, and the control takes the rest."""
    layout = {"width": "auto"}
    return kind(description=label, tooltip=tooltip, style=STYLE, layout=layout, **options)


def text_box(label: str, tooltip: str) -> widgets.Combobox:
    """Text with a list to choose from; anything else may be typed."""
    return form_control(
        widgets.Combobox, label, tooltip, ensure_option=False, continuous_update=False
    )


def path_box(label: str, tooltip: str) -> widgets.Combobox:
    """Path with a list of what there is; its tooltip shows the whole path."""
    box = text_box(label, tooltip)

    def show_path(_: object) -> None:
        box.tooltip = f"{tooltip}: {box.value}" if box.value else tooltip

    box.observe(show_path, "value")
    return box


class RunChoice:
    """Experiment, detector and runs, from what is on disk or typed."""

    def __init__(self, panel: RunPanel) -> None:
        self.panel, self.session = panel, panel.session
        self.filling = Filling()
        self.experiment = text_box("Experiment", "Experiment, e.g. cxim1416")
        self.address = text_box("Detector", "Detector address, e.g. CxiDs1.0:Cspad.0")
        self.psdm_dir = path_box("Data tree", "Root of the data tree; empty: $SIT_PSDM_DATA")
        self.xtc_dir = path_box("XTC folder", "Folder of the .xtc files, if not in the data tree")
        self.calib_dir = path_box(
            "Calibration", "Calibration directory, if not in the data tree; geometries go there"
        )
        self.dark = form_control(
            widgets.Dropdown, "Dark run",
            "Run without beam: its average and standard deviation make the mask",
            options=[("none", None)],
        )  # fmt: skip
        self.bright = form_control(
            widgets.SelectMultiple, "Bright runs",
            "Runs with powder rings (Ctrl or Shift for several); their maximum is used",
            options=[], rows=4,
        )  # fmt: skip
        self.detz = form_control(
            widgets.Text, "detz offset (mm)",
            "Distance in mm = encoder + this; empty: distance unknown", continuous_update=False,
        )  # fmt: skip
        self.look = panel.button(
            "List runs", "Look on disk for experiments, runs and detectors", self.list_runs
        )
        where = [self.experiment, self.dark, self.bright, self.address, self.detz]
        paths = (self.psdm_dir, self.xtc_dir, self.calib_dir)
        folders = [*map(panel.paths.beside, paths), row(self.look)]
        self.box = classed(widgets.HBox([column(*where), column(*folders)]), "cw-form")
        self.controls: dict[str, widgets.Widget] = {
            "name": self.experiment,
            "address": self.address,
            "psdm_dir": self.psdm_dir,
            "xtc_dir": self.xtc_dir,
            "calib_dir": self.calib_dir,
            "dark": self.dark,
            "bright": self.bright,
            "detz_offset_mm": self.detz,
        }
        for name, control in self.controls.items():
            control.observe(lambda change, name=name: self._edited(name), "value")
        self.show()
        if self.session.recipe.experiment.name:
            panel.guarded(self.list_runs)
        else:
            self._list_experiments()

    # ---- what the controls do ----------------------------------------------------------------
    def _edited(self, name: str) -> None:
        if not self.filling:
            self.panel.guarded(lambda: self._set(name))

    def _set(self, name: str) -> None:
        value = self.controls[name].value
        if name.endswith("_dir"):
            value = absolute(value)
        elif name == "bright":
            value = tuple(value)
        elif name == "detz_offset_mm":
            try:
                value = float(value) if value.strip() else None
            except ValueError as error:
                raise WorkbenchError(
                    f"detz offset: {value!r} is not a number of mm; type e.g. 585.5."
                ) from error
        elif name in ("name", "address"):
            value = value.strip()
        self.session.change(f"experiment.{name}", value)
        if name.endswith("_dir") and value and not Path(value).is_dir():
            raise WorkbenchError(
                f"{value}: there is no such folder; type another, or choose it with “…”."
            )
        if name in ("name", "psdm_dir", "xtc_dir", "calib_dir"):
            if self.experiment.value:
                self.list_runs()
            else:
                self._list_experiments()

    def list_runs(self) -> None:
        """Fill the lists with what is on disk; counts of events follow."""
        self._list_experiments()
        if not self.session.recipe.experiment.name:
            if not self.experiment.options:
                raise WorkbenchError(
                    "No experiments were found; give the data tree or the folder of the .xtc "
                    "files, and type the experiment's name."
                )
            return
        place = pipeline.experiment_folders(self.session.recipe)
        on_disk = place.runs()
        self._fill(on_disk, {})
        addresses = known_detectors(place.calib_dir)
        with self.filling():
            self.address.options = tuple(sorted(addresses))
        self.session.look("runs", lambda: self._count(on_disk, addresses))

    def _fill(self, on_disk: list[RunFiles], events: dict[int, int]) -> None:
        labels = {run.number: run_label(run, events.get(run.number)) for run in on_disk}
        with self.filling():
            self.dark.options = [("none", None), *((text, n) for n, text in labels.items())]
            self.bright.options = [(text, n) for n, text in labels.items()]
            self.show()

    def _count(self, on_disk: list[RunFiles], addresses: set[str]) -> None:
        """Count events, the chosen runs' first, and see which detectors are in one of them."""
        chosen = {self.session.recipe.experiment.dark, *self.session.recipe.experiment.bright}
        order = sorted(on_disk, key=lambda run: run.number not in chosen)
        events: dict[int, int] = {}
        for number, run in enumerate(order):
            try:
                events[run.number] = runs.estimate_events(run)
                if number == 0:
                    addresses = addresses | set(runs.list_detectors(run))
                    with self.filling():
                        self.address.options = tuple(sorted(addresses))
            except (WorkbenchError, OSError) as error:
                self.session.log.note("runs", str(error))
            if number in (len(chosen), len(order) - 1):
                self._fill(on_disk, events)

    def _list_experiments(self) -> None:
        places = runs.list_experiments(self.psdm_dir.value or None)
        with self.filling():
            self.experiment.options = tuple(sorted(place.name for place in places))

    # ---- what is shown -----------------------------------------------------------------------
    def show(self) -> None:
        """Show the recipe."""
        experiment = self.session.recipe.experiment
        with self.filling():
            for name, control in self.controls.items():
                value = getattr(experiment, name)
                if control is self.dark:
                    if value not in [number for _, number in self.dark.options]:
                        self.dark.options = [*self.dark.options, (f"run {value}", value)]
                elif control is self.bright:
                    known = [number for _, number in self.bright.options]
                    missing = [(f"run {n}", n) for n in value if n not in known]
                    if missing:
                        self.bright.options = [*self.bright.options, *missing]
                elif name == "detz_offset_mm":
                    value = "" if value is None else f"{value:g}"
                elif value is None:
                    value = ""
                if control.value != value:
                    control.value = value
            if self.dark.index is None:  # ipywidgets takes the value None for no choice
                self.dark.index = 0


class FileChoice:
    """Images that exist already: one file each, from a folder's list or by path."""

    def __init__(self, panel: RunPanel) -> None:
        self.panel, self.session = panel, panel.session
        self.filling = Filling()
        self.folder = path_box("Folder", "Folder whose image files are listed below")
        self.fill = panel.button(
            "Choose by name",
            "Fill in by the usual names: …avg-r0054…, …stddev-r0054…, …max-r0074…",
            self.choose,
        )  # fmt: skip
        self.files = {
            name: path_box(in_words(name.replace("_", " ")).capitalize(), tip)
            for name, tip in IMAGE_FILES.items()
        }
        self.geometry = path_box(
            "Geometry", "Geometry to start from (0-end.data, .geom), if the images carry none"
        )
        beside = panel.paths.beside
        named = [beside(box, IMAGE_SUFFIXES) for box in self.files.values()]
        geometry = beside(self.geometry, GEOMETRY_SUFFIXES)
        self.box = column(beside(self.folder), *named, geometry, row(self.fill))
        self.folder.observe(lambda change: self._folder(), "value")
        self._settings = {f"images.{name}": box for name, box in self.files.items()}
        self._settings["experiment.geometry"] = self.geometry
        for path, control in self._settings.items():
            control.observe(lambda change, path=path: self._edited(path), "value")
        self.show()
        chosen = next((box.value for box in self.files.values() if box.value), "")
        output = self.session.recipe.output.folder
        self.folder.value = os.path.dirname(chosen) or (output if os.path.isdir(output) else "")

    def _folder(self) -> None:
        self.panel.guarded(self.list_files)

    def list_files(self) -> None:
        """Offer the image files of the folder."""
        folder = absolute(self.folder.value)
        if folder is None:
            return
        try:
            names = sorted(file.name for file in os.scandir(folder) if is_image(file.name))
        except OSError as error:
            raise WorkbenchError(f"{folder}: {error.strerror}; give a folder of images.") from error
        paths = tuple(os.path.join(folder, name) for name in names[:LISTED])
        with self.filling():
            for control in self.files.values():
                control.options = paths

    def choose(self) -> None:
        """Choose the files whose names say what they are."""
        folder = absolute(self.folder.value)
        if folder is None:
            raise WorkbenchError("Give the folder of the images first.")
        self.list_files()
        by_kind = by_name(os.path.basename(path) for path in self.files["average"].options)
        if not by_kind:
            raise WorkbenchError(
                f"No file in {folder} is named like an average, standard deviation or maximum; "
                "choose the files one by one."
            )
        for kind, name in by_kind.items():
            self.session.change(f"images.{kind}", os.path.join(folder, name))

    def _edited(self, path: str) -> None:
        if not self.filling:
            value = absolute(self._settings[path].value)
            self.panel.guarded(lambda: self.session.change(path, value))

    def show(self) -> None:
        """Show the recipe."""
        with self.filling():
            for path, control in self._settings.items():
                control.value = self.session.recipe.setting(path) or ""


class RecipeChoice:
    """A saved calibration, by path."""

    def __init__(self, panel: RunPanel, opened: Callable[[], None]) -> None:
        self.panel, self.session, self._opened = panel, panel.session, opened
        self.path = path_box("Recipe", f"A saved recipe, …{SUFFIX}")
        self.open = panel.button("Open", "Continue with this recipe", self.load)
        self.box = column(panel.paths.beside(self.path, (SUFFIX,)), row(self.open))
        self.list_recipes()

    def list_recipes(self) -> None:
        """Offer recipes in the current folder, the output folder and the data tree."""
        recipe = self.session.recipe
        folders = [Path.cwd(), Path(recipe.output.folder)]
        if recipe.experiment.psdm_dir:
            folders.append(Path(recipe.experiment.psdm_dir))
        paths = {
            str(path): None for folder in folders for path in sorted(folder.glob(f"*{SUFFIX}"))
        }
        self.path.options = tuple(paths)[:LISTED]

    def load(self) -> None:
        """Go on with a saved recipe."""
        path = absolute(self.path.value)
        if path is None:
            raise WorkbenchError(f"Type the path of a recipe (…{SUFFIX}) first.")
        self.session.set_recipe(pipeline.load_recipe(path), f"open {path}")
        self.session.history.path = Path(path)
        self._opened()


def column(*children: widgets.Widget) -> widgets.VBox:
    """Controls below each other, as wide as there is room."""
    return widgets.VBox(children, layout={"min_width": "0", "width": "auto"})


def absolute(path: str) -> str | None:
    """Absolute path of what was typed; None for nothing."""
    text = path.strip()
    return os.path.abspath(os.path.expanduser(text)) if text else None


def run_label(run: RunFiles, events: int | None) -> str:
    """``run 74 · 1200 events · 5.4 GB``."""
    size = f"{run.size / 1e9:.1f} GB" if run.size >= 1e9 else f"{run.size / 1e6:.0f} MB"
    parts = [f"run {run.number}", *([] if events is None else [f"{events} events"]), size]
    return " · ".join([*parts, *(["in progress"] if run.in_progress else [])])


def known_detectors(calib_dir: Path | None) -> set[str]:
    """Addresses of known detectors with constants in a calibration directory, and the usual one."""
    addresses = {DETECTORS[0].address}
    for detector in DETECTORS if calib_dir is not None else ():
        folder = Path(calib_dir or "", detector.calib_group)
        if folder.is_dir():
            addresses |= {path.name for path in folder.iterdir() if path.is_dir()}
    return addresses


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def by_name(names: Iterable[str]) -> dict[str, str]:
    """Which files are which images, by the names that programs give them.

    The dark run is the lowest run with a standard deviation; the bright maximum is that of all
    runs, or of the highest run number.
    """
    kinds: dict[str, dict[int, str]] = {"average": {}, "stddev": {}, "maximum": {}}
    patterns = {"average": r"avg|average|mean", "stddev": r"std|rms", "maximum": r"max"}
    for name in sorted(name for name in names if not is_half(name)):
        run = re.search(r"r(?:un)?[_-]?(\d{1,5})(?!\d)", name.lower())
        number = int(run[1]) if run else (99_999 if "all" in name.lower() else 0)
        for kind, pattern in patterns.items():
            stem = name.lower().rsplit(".", 1)[0]
            if re.search(pattern, stem) and not stem.endswith("_cc"):
                kinds[kind].setdefault(number, name)
                break
    chosen: dict[str, str] = {}
    if kinds["stddev"]:
        dark = min(kinds["stddev"])
        chosen["stddev"] = kinds["stddev"][dark]
        if dark in kinds["average"]:
            chosen["average"] = kinds["average"][dark]
    if kinds["maximum"]:
        bright = max(kinds["maximum"])
        chosen["maximum"] = kinds["maximum"][bright]
        if bright in kinds["average"] and kinds["average"][bright] != chosen.get("average"):
            chosen["bright_average"] = kinds["average"][bright]
    return chosen


def hint(text: str) -> widgets.HTML:
    """Remark among controls."""
    return widgets.HTML(note_text(text))
