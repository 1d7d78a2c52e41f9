"""Geometry panel: versions as a time line, compare, deploy with a look before, roll back."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as widgets

from workbench.errors import VersionStoreError, WorkbenchError
from workbench.session import Session
from workbench.ui.panels.base import (
    Panel,
    note_text,
    picture,
    row,
    show_picture,
    warning_text,
)
from workbench.ui.panels.versions import difference_table, time_line, version_table
from workbench.ui.widgets.image_view import ImageView

if TYPE_CHECKING:
    from matplotlib.figure import Figure


PRESENT, CORRECTED = "present", "corrected"  # to compare, beside the versions' numbers


class GeometryPanel(Panel):
    """Versions of the deployed geometry.

    Attributes
    ----------
    plan, deploy, rollback, compare, refresh : buttons. comment : why a version is made.
    older, newer : versions to compare; `newer` is also the one to roll back to.
    end : button that ends a comparison; until then the picture blinks between the two.
    """

    title = "Geometry"
    step = "geometry"
    looks: ClassVar[dict[str, Any]] = {"tiles": "maximum", "show_outlines": True}

    def __init__(self, session: Session, view: ImageView | None = None, bridge: Any = None) -> None:
        super().__init__(session, view)
        if bridge is not None:
            self.bridge = bridge
        self.comment = widgets.Text(
            description="Comment",
            placeholder="why this version, e.g. aligned on run 74",
            tooltip="One line kept with the version and in HISTORY",
            continuous_update=False,
            layout={"flex": "1 1 260px", "width": "auto"},
            style={"description_width": "initial"},
        )
        self.plan = self.button(
            "Deploy…", "Show what would be written; nothing is written yet", self.show_plan,
            "primary",
        )  # fmt: skip
        self.deploy = self.button(
            "Write this version", "Install the corrected geometry as the current version",
            self.write, "warning",
        )  # fmt: skip
        self.keep_off = self.button("Do not write", "Leave everything as it is", self.close_plan)
        self.plan_text = widgets.HTML()
        self.plan_text.add_class("cw-plan")
        self.plan_box = widgets.VBox(
            [self.plan_text, row(self.deploy, self.keep_off)], layout={"display": "none"}
        )
        self.done = widgets.HTML()
        self.versions = widgets.HTML()
        option: dict[str, Any] = {
            "style": {"description_width": "initial"},
            "layout": {"flex": "1 1 205px", "min_width": "205px", "width": "auto"},
        }  # fmt: skip
        self.older = widgets.Dropdown(
            description="From", tooltip="Version to compare from", options=[], **option
        )
        self.newer = widgets.Dropdown(
            description="to", tooltip="Version to compare with, or to roll back to", options=[],
            **option,
        )  # fmt: skip
        self.compare = self.button(
            "Compare", "Shifts and rotations between the two", self.show_diff
        )
        self.rollback = self.button(
            "Roll back to it", "Make the version chosen at “to” the current one again",
            self.roll_back,
        )  # fmt: skip
        self.refresh = self.button("Refresh", "Look at the calibration directory again", self.show)
        self.repair = self.button(
            "Put content back", "Give changed versions the content they were deployed with; what "
            "was found there is kept as a new version", self.put_back, "warning",
        )  # fmt: skip
        self.diff = widgets.HTML()
        self.arrows = picture()
        self.previewed: Any = None  # what was shown before writing
        self._values: list[Any] = []
        self.end = self.button(
            "End comparison", "Show the present and the corrected geometry again",
            self.end_comparison,
        )  # fmt: skip
        self.comparison = widgets.VBox(
            [self.diff, self.arrows, row(self.end)], layout={"display": "none"}
        )
        self.box.children = [
            self.message,
            row(self.comment, self.plan),
            self.plan_box,
            self.done,
            self.versions,
            row(self.older, self.newer, self.compare, self.rollback, self.refresh, self.repair),
            self.comparison,
        ]
        session.subscribe("versions", self.show)
        session.subscribe("images", lambda: session.later("versions", self._show_quietly))
        session.subscribe("alignment", self._alignment)
        self._show_quietly()

    def activate(self) -> None:
        """The powder picture, present and corrected geometry to blink; versions as they are now."""
        super().activate()
        self.guarded(self._show_quietly)

    # ---- what the buttons do -----------------------------------------------------------------
    def show_plan(self) -> None:
        """Show what would be written."""
        plan = self.previewed = self.session.store.plan()
        files = ", ".join(map(str, plan.writes))
        self.plan_text.value = (
            f"<b>This will be written:</b><pre>{html.escape(str(plan))}\n\n"
            f"Files made or changed there: {html.escape(files)}</pre>"
        )
        self.plan_box.layout.display = ""
        self.done.value = ""

    def close_plan(self) -> None:
        """Write nothing."""
        self.plan_box.layout.display = "none"
        self.previewed = None

    def write(self) -> None:
        """Install the new version."""
        try:
            version = self.session.deploy(self.comment.value, self.previewed)
        except VersionStoreError:
            self.close_plan()
            self.show()
            raise
        self.close_plan()
        self.done.value = note_text(f"Deployed {version.name}: {version.path}")

    def roll_back(self) -> None:
        """Make the chosen version current."""
        number = self._chosen(self.newer)
        if not isinstance(number, int):
            raise WorkbenchError("Choose a version at “to”; what is chosen there is no version.")
        version = self.session.rollback(number, self.comment.value)
        self.done.value = note_text(f"Rolled back to {version.name}: {version.path}")

    def put_back(self) -> None:
        """Restore versions that were changed after they were deployed."""
        done = self.session.repair()
        self.done.value = note_text(" ".join(done) or "All versions are as they were deployed.")

    def show_diff(self) -> None:
        """Compare the two chosen versions."""
        from workbench import figures

        older, newer = (self._geometry(self._chosen(box)) for box in (self.older, self.newer))
        diff = self.session.store.open().diff(older, newer)
        self.diff.value = difference_table(diff)
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

    def _chosen(self, box: widgets.Dropdown) -> Any:
        if box.value is None:
            raise WorkbenchError("There is no version to choose yet; deploy one first.")
        return box.value

    def _geometry(self, chosen: Any) -> Any:
        if chosen == PRESENT:
            return self.session.store.open().geometry()
        if chosen == CORRECTED:
            if self.session.corrected is None:
                raise WorkbenchError("There is no corrected geometry yet; find the offsets first.")
            return self.session.corrected
        return self.session.store.open().version(int(chosen)).geometry()

    def _alignment(self) -> None:
        self.close_plan()
        self.session.later("versions", self._show_quietly)

    # ---- what is shown -----------------------------------------------------------------------
    def _show_quietly(self) -> None:
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
            return
        run = next(iter(self.session.recipe.experiment.bright), None)
        serves = note_text(f"Versions are kept in {store.folder}")
        if run is not None:
            path = store.file_for_run(run)
            serves = note_text(
                f"For run {run} psana reads {path}" if path else f"No file serves run {run}."
            )
        listed = (
            version_table(store, history)
            if history
            else note_text(f"No versions yet in {store.folder}: {store.state()}.")
        )
        self.versions.value = warning_text(problems) + serves + line + listed
        changed = any(one.intact is False for one in history)
        self.repair.layout.display = "" if changed else "none"
        self._offer(store, history)

    def _offer(self, store: Any, history: list[Any]) -> None:
        """Fill the lists to compare; by default from what psana reads to the newest."""
        options: list[tuple[str, Any]] = [
            (f"{one.name}{' (current)' if one.current else ''}", one.number) for one in history
        ]
        current = next((one.number for one in history if one.current), None)
        if current is None and store.link.exists():
            current = PRESENT
            options.insert(0, ("present file", PRESENT))
        corrected = self.session.corrected
        if corrected is not None and all(one.geometry() != corrected for one in history):
            options.append(("corrected, not deployed", CORRECTED))
        values = [value for _, value in options]
        newest = values[-1] if values else None
        older = current if newest != current or len(values) < 2 else values[-2]
        for box, default in ((self.older, older), (self.newer, newest)):
            kept = box.value if box.value in values and values == self._values else default
            box.options = options
            if kept in values:
                box.value = kept
        self._values = values

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
        from workbench import figures

        alignment = self.session.alignment
        if alignment is None:
            return None
        return figures.geometry_difference(
            alignment.present, alignment.geometry, names=("present", "corrected")
        )
