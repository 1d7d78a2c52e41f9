"""Constants for psana in the geometry panel: what, for which runs, a look, and then written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as widgets

from workbench.errors import WorkbenchError
from workbench.ui.panels.base import Panel, labelled, note_text, row
from workbench.ui.widgets.styles import classed

if TYPE_CHECKING:
    from workbench.session.constants import ConstantsPlan


class ConstantsBox:
    """Pedestals, noise, status and mask into the calibration directory.

    Attributes
    ----------
    box : what to display. dark, mask : what is deployed. first, last : range of runs.
    plan, write, keep_off : buttons. previewed : what is shown before it is written, or None.
    """

    def __init__(self, panel: Panel) -> None:
        self.session = session = panel.session
        self.previewed: ConstantsPlan | None = None
        self.dark = labelled(
            widgets.Checkbox, "Pedestals, noise and status",
            "Of the dark run: pedestals, pixel_rms and pixel_status", value=True, indent=False,
        )  # fmt: skip
        self.mask = labelled(
            widgets.Checkbox, "Mask", "The present mask, as pixel_mask (1 = good)", value=True,
            indent=False,
        )  # fmt: skip
        self.first = labelled(
            widgets.Text, "For runs from", "First run that these constants are for; empty: the "
            "dark run", "180px", continuous_update=False,
        )  # fmt: skip
        self.last = labelled(
            widgets.Text, "to", "Last run that these constants are for; empty: all later runs",
            "120px", continuous_update=False,
        )  # fmt: skip
        self.plan = panel.button(
            "Deploy constants…", "Show what would be written; nothing is written yet",
            self.show_plan, why_not=session.constants.why_not,
        )  # fmt: skip
        self.text = classed(widgets.HTML(), "cw-plan")
        self.comment = labelled(
            widgets.Text, "Comment", "Kept in the files and in HISTORY", continuous_update=False
        )
        self.write = panel.button(
            "Write these files", "Add the constants that psana reads, as shown above",
            self.deploy, "warning",
        )  # fmt: skip
        self.keep_off = classed(
            panel.button("Do not write", "Leave everything as it is", self.close), "cw-closer"
        )
        self.preview = widgets.VBox(
            [self.text, self.comment, row(self.write, self.keep_off)], layout={"display": "none"}
        )
        self.done = widgets.HTML()
        self.box = widgets.VBox(
            [row(self.dark, self.mask, self.first, self.last, self.plan), self.preview, self.done]
        )
        for control in (self.dark, self.mask, self.first, self.last):
            control.observe(lambda change: self.close(), "value")
        session.subscribe("images", self.close)
        session.subscribe("mask", self.close)

    def show_plan(self) -> None:
        """Show what would be written."""
        first = self._run(self.first)
        if first is None:
            first = self.session.recipe.experiment.dark
        if first is None:
            raise WorkbenchError("Write the first run that the constants are for.")
        session = self.session
        plan = session.constants.plan(
            session.store.open(), first, self._run(self.last), self.dark.value, self.mask.value
        )
        runs = f"run {plan.first_run} and all later ones"
        if plan.last_run is not None:
            runs = f"runs {plan.first_run} to {plan.last_run}"
        folder = Path(plan.calib_dir)
        lines = [
            f"For {runs} psana will read:",
            *(f"{kind}: {path.relative_to(folder)}" for kind, path in plan.paths.items()),
            *plan.facts,
            f"The files are added to {folder}; none is changed or removed.",
        ]
        self.text.value = "<b>What will be done</b>" + "".join(map(note_text, lines))
        self.comment.value = plan.comment
        self.previewed, self.done.value, self.preview.layout.display = plan, "", ""

    def close(self) -> None:
        """Write nothing."""
        self.previewed, self.preview.layout.display = None, "none"

    def deploy(self) -> None:
        """Write what the preview shows; without one, as at the second click of two, nothing."""
        plan = self.previewed
        if plan is None:
            return
        if not self.comment.value.strip():
            raise WorkbenchError("Write a comment first: what these constants are from.")
        self.close()
        written = self.session.deploy_constants(self.comment.value.strip(), previewed=plan)
        self.done.value = "".join(note_text(f"Written: {path}") for path in written.values())

    def _run(self, control: widgets.Text) -> int | None:
        text = control.value.strip()
        if text in ("", "end"):
            return None
        if not text.isdecimal():
            raise WorkbenchError(f"{text!r} is not the number of a run; type e.g. 54.")
        return int(text)
