"""Geometry panel: versions as a time line; compare, deploy, go back, each with a look before."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import ipywidgets as widgets

from workbench import figures
from workbench.errors import VersionStoreError, WorkbenchError
from workbench.geometry import Geometry
from workbench.geometry.compare import SAME_PX
from workbench.session import Session
from workbench.session.store import CORRECTED, PRESENT, Choice, RollbackPlan, why_not_writable
from workbench.ui.accordion import Accordion
from workbench.ui.panels.base import (
    Panel,
    labelled,
    note_text,
    picture,
    row,
    show_picture,
    warning_text,
)
from workbench.ui.panels.constants import ConstantsBox
from workbench.ui.panels.versions import difference_table, time_line, version_line
from workbench.ui.widgets.image_view import ImageView
from workbench.ui.widgets.styles import classed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.geometry import Deployment, GeometryStore, Version
    from workbench.report.verdict import Verdict
    from workbench.ui.bridge import Bridge


class GeometryPanel(Panel):
    """Versions of the geometry psana reads.

    Attributes
    ----------
    plan, compare, refresh, repair : buttons.
    previewed : what is shown before it is written: a deployment or a rollback; or None.
    comment, confirm, deploy, keep_off : of the preview: why, that warnings are accepted, the two
        buttons.
    make_current : button of each version, by its number.
    older, newer : geometries to compare.
    constants : `ConstantsBox`, pedestals, status and mask for psana.
    end : button that ends a comparison; until then the picture blinks between the two.
    """

    title = "Geometry"
    step = "geometry"
    looks: ClassVar[Mapping[str, object]] = {"tiles": "maximum", "show_outlines": True}

    def __init__(
        self, session: Session, view: ImageView | None = None, bridge: Bridge | None = None
    ) -> None:
        super().__init__(session, view, bridge)
        self.plan = self.button(
            "Deploy…", "Show what would be written, and the checks; nothing is written yet",
            self.show_plan, "primary", why_not=session.store.why_not,
        )  # fmt: skip
        self.refresh = self.button(
            "Refresh", "Look at the calibration directory again", session.store.look_again
        )
        self.repair = self.button(
            "Restore content", "Give changed versions the content they were deployed with; what "
            "was found there is kept as a new version", self.put_back, "warning",
        )  # fmt: skip
        self.repair.layout.display = "none"
        self._make_preview()
        self.done = widgets.HTML()
        self.versions = widgets.HTML()
        self.version_rows = classed(widgets.VBox([]), "cw-versions")
        self.make_current: dict[int, widgets.Button] = {}
        self._listed: list[tuple[str, bool]] = []
        choice = partial(
            labelled, widgets.Dropdown, options=[],
            layout={"flex": "1 1 205px", "min_width": "205px"},
        )  # fmt: skip
        self.older = choice("From", "Version to compare from")
        self.newer = choice("to", "Version to compare with")
        self.compare = self.button(
            "Compare", "Shifts and rotations between the two", self.show_diff
        )
        self.diff = widgets.HTML()
        self.arrows = picture()
        self._choices: list[Choice] = []
        self.constants = ConstantsBox(self)
        self.end = self.button(
            "End comparison", "Show the present and the corrected geometry again",
            self.end_comparison,
        )  # fmt: skip
        self.comparison = widgets.VBox(
            [self.diff, self.arrows, row(self.end)], layout={"display": "none"}
        )
        self.box.children = [
            self.message,
            row(self.plan, self.refresh, self.repair),
            self.preview_box,
            self.done,
            self.versions,
            self.version_rows,
            row(self.older, self.newer, self.compare),
            self.comparison,
            Accordion({"Constants for psana: pedestals, status, mask": self.constants.box}),
        ]
        session.subscribe("versions", self.show)
        session.subscribe("images", lambda: session.later("versions", self._show_if_chosen))
        session.subscribe("alignment", self._alignment)
        self.update_buttons()
        self._show_if_chosen()

    def _make_preview(self) -> None:
        self.previewed: Deployment | RollbackPlan | None = None
        self.verdict: Verdict | None = None
        self.plan_text = classed(widgets.HTML(), "cw-plan")
        self.verdict_text = widgets.HTML()
        self.comment = labelled(
            widgets.Text, "Comment", "Why this version, one line kept with it and in HISTORY",
            continuous_update=False,
        )  # fmt: skip
        self.confirm = labelled(
            widgets.Checkbox, "", "Deploy in spite of what the checks say", value=False,
            indent=False,
        )  # fmt: skip
        self.deploy = self.button(
            "Write this version", "Change the geometry that psana reads, as shown above",
            self.write, "warning", why_not=self._why_not_write,
        )  # fmt: skip
        self.keep_off = self.button("Do not write", "Leave everything as it is", self.close_plan)
        self.keep_off.add_class("cw-closer")  # by Esc
        self.preview_box = widgets.VBox(
            [
                self.plan_text,
                self.verdict_text,
                self.comment,
                self.confirm,
                row(self.deploy, self.keep_off),
            ],
            layout={"display": "none"},
        )
        for control in (self.comment, self.confirm):
            control.observe(lambda change: self.update_buttons(), "value")

    def activate(self) -> None:
        """The powder picture, present and corrected geometry to blink; versions as they are now."""
        super().activate()
        self.guarded(self._show_if_chosen)

    # ---- deploying and going back ------------------------------------------------------------
    def show_plan(self) -> None:
        """Show what would be written, and what speaks for and against it."""
        plan = self.session.store.plan()
        lines = [
            f"The corrected geometry becomes {plan.path.name}.",
            f"{plan.link.name}, which psana reads, will lead to it.",
            f"Files made or changed in {plan.link.parent}: {', '.join(plan.writes)}.",
        ]
        if self.session.store.is_current:
            lines.insert(0, f"psana reads this geometry already, to {SAME_PX:g} px.")
        comment = self.session.store.comment()
        self._preview(plan, plan, lines, comment, "Write this version")
        self.verdict_text.value = note_text("The checks of the report are being made …")
        self.session.later("verdict", partial(self._judge, plan))

    def show_rollback(self, number: int) -> None:
        """Show what making an earlier version current again would change."""
        plan = self.session.store.plan_rollback(number)
        name, comment = plan.version.name, plan.version.comment
        back = f"back to {name}" + (f" ({comment})" if comment else "")
        link = plan.preview.link.name
        lines = [
            f"{link}, which psana reads, will lead to {plan.version.path.name} again.",
            f"HISTORY in {plan.preview.link.parent} gets a line; no version is changed or removed.",
        ]
        self._preview(plan, plan.preview, lines, back, f"Make {name} current")

    def _preview(
        self,
        plan: Deployment | RollbackPlan,
        against: Deployment,
        lines: list[str],
        comment: str,
        action: str,
    ) -> None:
        """Show a plan; `against` holds how it differs from what psana reads now."""
        self.previewed, self.verdict = plan, None
        if against.adopted is not None:
            name = against.link.name
            lines.append(f"The present {name} is kept as {name}.v{against.adopted}.")
        moved = (
            ""
            if against.diff is None
            else difference_table(against.diff, Geometry.parse(against.text))
        )
        self.plan_text.value = (
            "<b>What will be done</b>"
            + "".join(map(note_text, lines))
            + moved
            + warning_text(against.warnings)
        )
        self.verdict_text.value = ""
        self.comment.value = comment
        self.confirm.value, self.confirm.layout.display = False, "none"
        self.deploy.description = action
        self.preview_box.layout.display = ""
        self.done.value = ""
        self.update_buttons()

    def _judge(self, plan: Deployment) -> None:
        """Judge the calibration as the report does; runs on the quick thread."""
        from workbench.report import CalibrationReport
        from workbench.report.verdict import Verdict, judge

        try:
            calibration = self.session.calibration()
            verdict = judge(calibration, CalibrationReport(calibration).ring_comparison)
        except Exception as error:
            sentence = self.session.log.error("geometry", error)
            verdict = Verdict("poor", (), (f"The checks could not be made: {sentence}",))
        if self.previewed is not plan:
            return
        self.verdict = verdict
        if verdict.level != "good":
            self.confirm.description = f"Deploy although: {verdict.word}"
            self.confirm.layout.display = ""
        checked = [f"{check.what}: {check.value}" for check in verdict.checks]
        self.verdict_text.value = (
            f"<b>{html.escape(verdict.word)}</b>"
            + note_text("Checked: " + "; ".join(checked) if checked else "")
            + warning_text(verdict.reasons)
        )
        self.update_buttons()

    def _why_not_write(self) -> str:
        if self.previewed is None:
            return "Look at the preview first."
        if not isinstance(self.previewed, RollbackPlan):
            if self.verdict is None:
                return "The checks are still being made."
            if self.verdict.level != "good" and not self.confirm.value:
                return f"Tick “{self.confirm.description}” first."
        return "" if self.comment.value.strip() else "Write a comment first: why this version."

    def close_plan(self) -> None:
        """Write nothing."""
        self.preview_box.layout.display = "none"
        self.previewed = self.verdict = None
        self.update_buttons()

    def write(self) -> None:
        """Do what the preview shows; without one, as at the second click of two, nothing."""
        plan, comment = self.previewed, self.comment.value.strip()
        if plan is None:
            return
        if reason := self._why_not_write():
            raise WorkbenchError(reason)
        try:
            if isinstance(plan, RollbackPlan):
                number = plan.version.number
                version = self.session.rollback(number, comment, previewed=plan)
            else:
                version = self.session.deploy(comment, previewed=plan)
        except VersionStoreError:
            self.close_plan()
            self.show()
            raise
        self.close_plan()
        self.done.value = note_text(f"psana now reads {version.name}: {version.path}")

    def put_back(self) -> None:
        """Restore versions that were changed after they were deployed."""
        done = self.session.repair()
        self.done.value = note_text(" ".join(done) or "All versions are as they were deployed.")

    # ---- comparing ---------------------------------------------------------------------------
    def show_diff(self) -> None:
        """Compare the two chosen versions."""
        if self.older.value is None or self.newer.value is None:
            raise WorkbenchError("There is no version to compare yet; deploy one first.")
        store = self.session.store
        older, newer = store.geometry(self.older.value), store.geometry(self.newer.value)
        self.diff.value = difference_table(store.open().diff(older, newer), newer)
        self.comparison.layout.display = ""
        names = (str(self.older.label), str(self.newer.label))

        def draw() -> None:
            show_picture(
                self.arrows, lambda: figures.geometry_difference(older, newer, names=names)
            )

        self.session.later("geometry figure", draw)
        self.bridge.compare(older, newer, names)

    def end_comparison(self) -> None:
        """Show the present and the corrected geometry again."""
        self.comparison.layout.display = "none"
        self.bridge.end_comparison()

    def leave(self) -> None:
        """End a comparison; the picture is other panels' too."""
        self.end_comparison()
        super().leave()

    # ---- what is shown -----------------------------------------------------------------------
    def _alignment(self) -> None:
        if not isinstance(self.previewed, RollbackPlan):
            self.close_plan()
        self.session.later("versions", self._show_if_chosen)

    def _show_if_chosen(self) -> None:
        experiment = self.session.recipe.experiment
        if experiment.calib_dir is None and not (experiment.name and experiment.bright):
            self.versions.value = note_text(
                "No calibration directory is chosen yet; give the experiment or the directory in "
                "“Run & averages”."
            )
            return
        self.show()

    def show(self) -> None:
        """List the versions."""
        try:
            store = self.session.store.open()
            history = store.history()
            problems = store.verify() if history else []
            line = time_line(store)
        except (WorkbenchError, OSError) as error:
            self.versions.value = note_text(str(error))
            self._list([])
            return
        run = next(iter(self.session.recipe.experiment.bright), None)
        text = note_text(f"Versions are kept in {store.folder}")
        if run is not None:
            path = store.file_for_run(run)
            text = note_text(
                f"For run {run} psana reads {path}" if path else f"No file serves run {run}."
            )
        if not history:
            line += note_text(f"No versions yet in {store.folder}: {store.state()}.")
        self.versions.value = warning_text(problems) + text + line
        changed = any(version.intact is False for version in history)
        self.repair.layout.display = "" if changed else "none"
        self._list(history)
        self._turn_off(history, why_not_writable(store.folder))
        self._offer(store, history)

    def _turn_off(self, history: Sequence[Version], refusal: str) -> None:
        """Turn buttons that cannot act off; `refusal` says why nothing can be written, if so."""
        for version in history:
            name, button = version.name, self.make_current[version.number]
            reason = f"{name} is the version psana reads" if version.current else refusal
            button.disabled = bool(reason)
            button.tooltip = reason or f"Show what going back to {name} would change"
        self.repair.disabled = bool(refusal)

    def _list(self, history: Sequence[Version]) -> None:
        """One row for each version, the newest first, with a button that goes back to it."""
        listed = [(version_line(version), version.current) for version in reversed(history)]
        if listed == self._listed:
            return
        for old in self.version_rows.children:
            for widget in (*old.children, old):
                widget.close()
        rows, self.make_current = [], {}
        for version in reversed(history):
            name, act = version.name, partial(self.show_rollback, version.number)
            button = self.button(f"Make {name} current…", "", act)
            self.make_current[version.number] = button
            text = widgets.HTML(version_line(version), layout={"flex": "1 1 300px"})
            rows.append(row(text, button))
        self.version_rows.children = rows
        self._listed = listed

    def _offer(self, store: GeometryStore, history: Sequence[Version]) -> None:
        """Fill the lists to compare; by default from what psana reads to the newest."""
        options: list[tuple[str, Choice]] = [
            (f"{version.name}{' (current)' if version.current else ''}", version.number)
            for version in history
        ]
        current: Choice | None = next((v.number for v in history if v.current), None)
        if current is None and store.link.exists():
            current = PRESENT
            options.insert(0, ("present file", PRESENT))
        corrected = self.session.corrected
        if corrected is not None and all(v.geometry() != corrected for v in history):
            options.append(("corrected, not deployed", CORRECTED))
        choices = [choice for _, choice in options]
        newest = choices[-1] if choices else None
        older = current if newest != current or len(choices) < 2 else choices[-2]
        for box, default in ((self.older, older), (self.newer, newest)):
            keep = box.value in choices and choices == self._choices
            chosen = box.value if keep else default
            box.options = options
            if chosen in choices:
                box.value = chosen
        self._choices = choices

    def summary(self) -> str:
        """Versions, one per line."""
        lines = [super().summary()]
        try:
            for version in self.session.store.open().history():
                mark = "*" if version.current else " "
                lines.append(f"{mark} {version.name} {version.when} {version.comment}".rstrip())
        except (WorkbenchError, OSError) as error:
            lines.append(str(error))
        return "\n".join(lines)

    def figure(self) -> Figure | None:
        """Arrows from the present to the corrected geometry."""
        alignment = self.session.alignment
        if alignment is None:
            return None
        return figures.geometry_difference(
            alignment.present, alignment.geometry, names=("present", "corrected")
        )
