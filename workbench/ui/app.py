"""The workbench: five panels in order over one session and one detector view."""

from __future__ import annotations

import contextlib
import html
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from workbench import pipeline
from workbench.detectors import DETECTORS
from workbench.errors import WorkbenchError
from workbench.memory import give_back
from workbench.recipe import Experiment, Recipe, recipe_to_text
from workbench.recipe.files import SUFFIX
from workbench.session import STEPS, Session, State, recent
from workbench.session.worker import Task
from workbench.ui import cells
from workbench.ui.accordion import Accordion
from workbench.ui.bridge import Bridge
from workbench.ui.closing import close_widgets
from workbench.ui.guide import advice, why_not_next
from workbench.ui.links import link_to
from workbench.ui.panels.base import GLYPHS, Panel
from workbench.ui.panels.frames import FramesPanel
from workbench.ui.panels.geometry import GeometryPanel
from workbench.ui.panels.mask import MaskPanel
from workbench.ui.panels.quadrants import QuadrantsPanel
from workbench.ui.panels.run import RunPanel
from workbench.ui.tooltips import tooltips_on_labels
from workbench.ui.widgets.app_root import AppRoot
from workbench.ui.widgets.image_view import ImageView
from workbench.ui.widgets.static_page import mimebundle, nobody_looks
from workbench.ui.widgets.styles import classed, marked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.progress import Progress
    from workbench.report import ReportFiles


class Workbench:
    """Calibrate a detector interactively.

    Parameters
    ----------
    experiment : its name, e.g. ``cxim1416``; or the path of a recipe file; or a `Recipe`.
    dark : run without beam.
    bright : run or runs with powder rings.
    address : detector.
    psdm_dir, xtc_dir, calib_dir : root of the data tree, or the folders themselves.
    detz_offset_mm : distance = encoder + this.
    output : folder for results.

    Attributes
    ----------
    session : the state without widgets. run, mask, quadrants, geometry, frames : the
        panels.
    view : the detector view.

    Examples
    --------
    >>> bench = Workbench("cxim1416", dark=54, bright=74)  # doctest: +SKIP
    >>> bench.show()  # doctest: +SKIP
    """

    def __init__(
        self,
        experiment: str | os.PathLike[str] | Recipe = "",
        dark: int | None = None,
        bright: int | Sequence[int] = (),
        address: str = DETECTORS[0].address,
        *,
        psdm_dir: str | os.PathLike[str] | None = None,
        xtc_dir: str | os.PathLike[str] | None = None,
        calib_dir: str | os.PathLike[str] | None = None,
        detz_offset_mm: float | None = None,
        output: str | os.PathLike[str] | None = None,
    ) -> None:
        path = None
        if isinstance(experiment, Recipe):
            recipe = experiment
        elif os.fspath(experiment).endswith(".toml"):
            path = Path(experiment)
            recipe = pipeline.load_recipe(path)
        else:
            recipe = Recipe(
                experiment=Experiment(
                    name=os.fspath(experiment),
                    address=address,
                    dark=dark,
                    bright=(bright,) if isinstance(bright, int) else tuple(bright),
                    detz_offset_mm=detz_offset_mm,
                    psdm_dir=None if psdm_dir is None else os.fspath(psdm_dir),
                    xtc_dir=None if xtc_dir is None else os.fspath(xtc_dir),
                    calib_dir=None if calib_dir is None else os.fspath(calib_dir),
                )
            )
        if output is not None:
            recipe = recipe.changed("output.folder", os.fspath(output))
        self.session = Session(recipe, path, keep=True)
        self.session.recorder.name = "bench.session"
        self.view = ImageView()
        self.bridge = Bridge(self.session, self.view)
        self.run = RunPanel(self.session, self.view, self.bridge)
        self.mask = MaskPanel(self.session, self.view)
        self.quadrants = QuadrantsPanel(self.session, self.view, self.bridge)
        self.geometry = GeometryPanel(self.session, self.view, self.bridge)
        self.frames = FramesPanel(self.session, self.view, self.bridge)
        self.panels: tuple[Panel, ...] = (
            self.run, self.mask, self.quadrants, self.geometry, self.frames,
        )  # fmt: skip
        self.panel: Panel = self.run
        self._writing_report = False
        self._build()
        for panel in self.panels:
            tooltips_on_labels(panel.box)
        self.open(self.run)
        self._offer()
        self._changed = 0.0
        for topic in ("recipe", "images", "alignment"):
            self.session.subscribe(topic, self._remember)

    # ---- the same things for scripts ---------------------------------------------------------
    @property
    def recipe(self) -> Recipe:
        """The recipe in force; assign a changed one to change it."""
        return self.session.recipe

    @recipe.setter
    def recipe(self, recipe: Recipe) -> None:
        self.session.recipe = recipe

    @property
    def results(self) -> pipeline.Calibration:
        """All results so far."""
        return self.session.calibration()

    def compute(self) -> Workbench:
        """Average, mask and align, as the buttons of the first three panels do, and wait."""
        self.session.compute_images()
        self.session.wait()
        self.session.compute_alignment()
        self.session.wait()
        return self

    def save(self) -> dict[str, Path]:
        """Write averages, mask, corrected image, geometry and recipe into the output folder."""
        return self.session.save_results()

    def save_report(
        self, folder: str | os.PathLike[str] | None = None, progress: Progress | None = None
    ) -> ReportFiles:
        """Execute the report from the recipe and write notebook, HTML and PDF; gives their paths.

        They go into `folder`, by default the recipe's output folder. If the geometry in use was
        deployed from this recipe, copies go beside that version.
        """
        from workbench.report import write_report

        return write_report(self.recipe, folder, progress=progress)

    def show(self) -> Workbench:
        """Display: live in JupyterLab, as a picture in a page without widgets.

        If the averages are still in their files, the images, the alignment and the open panel of
        the last time come back; the page is shown first, and they follow. A workbench that an
        earlier run of the same cell showed is closed, unless a variable still holds it.
        """
        from IPython.display import display

        cells.replace(self)
        restores = self.session.images is None and not self.session.busy
        if restores and nobody_looks():  # the picture of a page without a browser is final
            self._restore()
            with contextlib.suppress(Exception):
                self.session.wait()
        display(self)
        if not nobody_looks():
            if restores:
                self.session.look("restore", self._restore)
            self.session.look("libraries", _load_libraries)
        return self

    def close(self) -> None:
        """Stop its work, take it off the page and let go of its memory.

        Jupyter keeps the widgets of a workbench, and with them its images, as long as the kernel
        lives; close one that is not needed any more before another is made.
        """
        self.session.cancel()
        close_widgets(self)
        give_back()

    # ---- the last time -----------------------------------------------------------------------
    def _restore(self) -> None:
        """Begin to bring back what needs no run to be read; errors are shown in their panel."""
        results = self.session.results
        if not results.has_averages():
            return
        self.session.log.note("images", "the averages of the last time are being read")
        earlier = recent.same_calibration(self.recipe)
        stage = recent.Stage() if earlier is None else earlier.stage
        results.compute_images()
        if stage.aligned:
            results.compute_alignment()
        for panel in self.panels:
            if panel.step == stage.panel:
                self.open(panel)

    def _offer(self) -> None:
        """Offer to go on with recent calibrations; nothing is changed by itself."""
        recipe = self.session.recipe
        if not recent.is_worth_keeping(recipe):
            self.run.offer(recent.remembered(), "Continue a recent calibration:", self._go_on)
            return
        earlier = recent.same_calibration(recipe)
        if earlier is not None and earlier.recipe != recipe:
            why = "These runs were calibrated with other settings before; continue with those:"
            self.run.offer([earlier], why, self._go_on)

    def _go_on(self, earlier: recent.Remembered) -> None:
        self.session.set_recipe(earlier.recipe, "continue a recent calibration")
        self.session.look("restore", self._restore)

    def _remember(self) -> None:
        self._changed = time.monotonic()
        self.session.look("remember", self._write_state)

    def _write_state(self) -> None:
        while (left := self._changed + 1.0 - time.monotonic()) > 0:
            time.sleep(left)  # a slider is still moving
        aligned = self.session.results.search_result is not None
        try:
            recent.remember(self.recipe, recent.Stage(self.panel.step, aligned))
        except (WorkbenchError, OSError) as error:
            if str(error) not in self.session.log.text():
                self.session.log.note("recipe", f"cannot be remembered for next time: {error}")

    # ---- the page ----------------------------------------------------------------------------
    def _build(self) -> None:
        session = self.session
        layout = {"flex": "1 1 auto", "width": "auto"}
        self.steps = [widgets.Button(layout=layout) for _ in self.panels]
        for button, panel in zip(self.steps, self.panels, strict=True):
            button.on_click(lambda _, panel=panel: self.open(panel))
        self.undo = self._button("↶ Undo", session.undo)
        self.redo = self._button("↷ Redo", session.redo)
        self.save_button = self._button("Save all", self.save)
        self.report_button = self._button("Report", self._report)
        self.report_link = widgets.HTML(layout={"display": "none"})
        steps = classed(widgets.HBox(self.steps), "cw-steps")
        root = AppRoot(
            lambda: self.panel.guarded(session.undo), lambda: self.panel.guarded(session.redo),
            full_screen_button=True,
        )  # fmt: skip
        actions = classed(
            widgets.HBox(
                [self.undo, self.redo, self.save_button, self.report_button, self.report_link, root]
            ),
            "cw-actions",
        )
        self.advice = classed(widgets.HTML(layout={"flex": "1 1 auto"}), "cw-advice")
        self.next = self._button("Next", self._open_next)
        guide = classed(widgets.HBox([self.advice, self.next]), "cw-guide")
        self.status = classed(widgets.HTML(), "cw-said")
        self.log = classed(widgets.HTML(), "cw-log")
        self.recipe_text = classed(widgets.HTML(), "cw-log")
        self.recipe_file = widgets.Text(
            placeholder="name.calibration.toml",
            tooltip="File for the recipe; without a folder it goes into the output folder",
            layout={"width": "420px"},
            continuous_update=False,
        )
        self.save_recipe = self._button("Save recipe as…", self._save_recipe)
        self.save_recipe.tooltip = "Write the recipe into this file"
        recipe = widgets.VBox(
            [
                classed(widgets.HBox([self.recipe_file, self.save_recipe]), "cw-enter-clicks"),
                self.recipe_text,
            ]
        )
        self.drawer = Accordion(
            {"Log": self.log, "Recipe (a script or the report runs it)": recipe}
        )
        self.body = classed(widgets.VBox([]), "cw-body")
        self.under = classed(widgets.VBox([]), "cw-under")
        self.main = classed(widgets.VBox([self.view, self.under, self.body]), "cw-main")
        self.widget = classed(
            widgets.VBox(
                [
                    classed(widgets.HBox([steps, actions]), "cw-header"),
                    guide, self.status, self.main, self.drawer,
                ],
                layout={"width": "100%", "overflow": "hidden"},
            ),
            "cw-app",
        )  # fmt: skip
        session.subscribe("status", self._status)
        session.subscribe("recipe", self._recipe)
        session.subscribe("progress", self._status)
        session.subscribe("images", self._arrange)
        session.subscribe("images", self._recipe)
        session.subscribe("preview", self._arrange)
        self.view.observe(lambda change: self._arrange(), "event")
        session.subscribe("log", self._log)
        self.drawer.observe(lambda change: self._drawer(), "selected_index")
        self._status()
        self._recipe()

    def _button(self, text: str, act: Callable[[], object]) -> widgets.Button:
        """Button of the head; an error is shown in the panel that is open."""
        made = widgets.Button(description=text, layout={"width": "auto"})
        made.on_click(lambda _: self.panel.guarded(act))
        return made

    def _arrange(self) -> None:
        """Pictures beside or above the controls; none where there is nothing to see yet."""
        empty = not (self.session.images or self.session.preview or self.view.event)
        alone = empty and self.panel is self.run
        self.view.layout.display = "none" if alone else ""
        for name in {panel.arrangement for panel in self.panels}:
            marked(self.main, name, not alone and name == self.panel.arrangement)

    def open(self, panel: Panel) -> None:
        """Show a panel."""
        if self.body.children != (panel.box,):
            if self.body.children:
                self.panel.leave()
            self.panel = panel
            panel.activate()
            self.body.children = [panel.box]
            self.under.children = panel.under
        if self.session.results.shown_state(panel.step) == State.DEFAULT:
            self.session.results.looked_at.add(panel.step)
        self._arrange()
        self._status()
        if self.session.images is not None:
            self._remember()

    def _open_next(self) -> None:
        following = self.panels.index(self.panel) + 1
        if reason := why_not_next(self.session, self.panel.step):
            raise WorkbenchError(reason)
        if following < len(self.panels):
            self.open(self.panels[following])

    def _save_recipe(self) -> None:
        name = self.recipe_file.value.strip()
        if not name:
            raise WorkbenchError(f"Write a name for the recipe first, e.g. mine{SUFFIX}.")
        name = name if name.endswith(".toml") else name + SUFFIX
        path = Path(self.recipe.output.folder) / Path(name).expanduser()
        if path.exists() and path != self.session.history.path:
            raise WorkbenchError(f"{path} is there already; choose another name.")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.session.save_recipe(path)

    def _report(self) -> None:
        if self._writing_report:
            return
        self._writing_report = True
        self.report_link.layout.display = "none"
        self._recipe()
        self.session.jobs.slow.submit("report", self._write_report)

    def _write_report(self, task: Task) -> None:
        try:
            self._say("Report: starting …")
            written = self.save_report(progress=task)
        except Exception as error:
            self.panel.complain(self.session.log.error("report", error))
        else:
            for text in written.notes:
                self.session.log.note("report", text)
            self.session.log.note("report", written.sentence())
            self.report_link.value = link_to(written.html, "Open report")
            self.report_link.layout.display = ""
        finally:
            self._writing_report = False
            self.session.jobs.finish()
            self._recipe()

    def _status(self) -> None:
        results = self.session.results
        for number, (button, panel) in enumerate(zip(self.steps, self.panels, strict=True), 1):
            state = results.shown_state(panel.step)
            shown = "" if state == State.NOT_STARTED else f" – {state}"
            button.description = f"{GLYPHS[state]} {number} {panel.title}{shown}"
            button.tooltip = f"Open the panel “{panel.title}”"
            marked(button, "cw-here", panel is self.panel)
            for other in State:
                marked(button, f"cw-is-{other.name.lower().replace('_', '-')}", other == state)
        number = self.panels.index(self.panel) + 1
        self.advice.value = (
            f"<b>{number} {html.escape(self.panel.title)}.</b> "
            f"{html.escape(advice(self.session, self.panel.step))}"
        )
        following = self.panels[number : number + 1]
        self.next.layout.display = "" if following else "none"
        reason = why_not_next(self.session, self.panel.step)
        for panel in following:
            self.next.description = f"Next: {panel.title} →"
            self.next.disabled = bool(reason)
            self.next.tooltip = reason or f"Open the panel “{panel.title}”"
        progress = self.session.jobs.progress
        if progress is not None and progress.step == "report":
            total = f" ({progress.done:.0f} of {progress.total:.0f})" if progress.total else ""
            self._say(f"Report: {progress.message or 'working'}{total}")

    def _recipe(self) -> None:
        folder, history = self.recipe.output.folder, self.session.history
        undo, redo = history.undoable, history.redoable
        nothing = "" if self.session.images else "There are no results yet; average first."
        writing = "The report is being written." if self._writing_report else ""
        page = "an executed notebook and an HTML page of this calibration"
        for button, act, why_not in (
            (self.save_button, f"Write averages, mask, geometry and recipe into {folder}", nothing),
            (self.report_button, f"Write {page} into {folder}", nothing or writing),
            (self.undo, f"Undo: {undo}", "" if undo else "Undo: nothing to undo"),
            (self.redo, f"Redo: {redo}", "" if redo else "Redo: nothing to redo"),
        ):
            button.disabled = bool(why_not)
            button.tooltip = why_not or act
        if self.drawer.selected_index == 1:
            self.recipe_text.value = f"<pre>{html.escape(recipe_to_text(self.recipe))}</pre>"

    def _drawer(self) -> None:
        if self.session.log.entries:
            self._log()
        self._recipe()

    def _say(self, text: str, is_error: bool = False) -> None:
        """Show a sentence below the head."""
        kind, text = "cw-said-error" if is_error else "", html.escape(text)
        self.status.value = f'<div class="{kind}" title="{text}">{text}</div>'

    def _log(self) -> None:
        entry = self.session.log.entries[-1]
        in_panel = entry.is_error and entry.place in STEPS  # where it stands already
        if not entry.is_call and not in_panel:
            self._say(entry.line(), entry.is_error)
        if self.drawer.selected_index == 0:
            text = self.session.log.text(detail=True)
            self.log.value = f"<pre>{html.escape(text) or 'nothing yet'}</pre>"

    # ---- display -----------------------------------------------------------------------------
    def summary(self) -> str:
        """Text for pages without widgets."""
        return "\n".join(panel.summary() for panel in self.panels)

    def figure(self) -> Figure | None:
        """Picture for pages without widgets: of the last step that has one."""
        panels = (self.mask, self.run) if self.session.images is not None else ()
        return next((figure for panel in panels if (figure := panel.figure())), None)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        # matplotlib is not loaded for a picture of nothing
        figure = None if self.session.images is None else self.figure
        return mimebundle(self.widget, self.panels, figure)


def _load_libraries() -> None:
    """Load what the first averages and figures need, while a person reads the page."""
    import workbench.averages.accumulators
    import workbench.figures.live
    import workbench.figures.mask
    import workbench.figures.powder  # noqa: F401
