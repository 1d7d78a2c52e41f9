"""What all panels share: errors beside the controls, buttons that are one call, static pictures."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as widgets
import traitlets

from workbench.quantities import thousands
from workbench.session import JobProgress, Session, State, Step
from workbench.session.notifier import Topic
from workbench.ui.form import Form
from workbench.ui.widgets.app_root import AppRoot
from workbench.ui.widgets.image_view import ImageView
from workbench.ui.widgets.static_page import mimebundle, png
from workbench.ui.widgets.styles import classed, marked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.ui.bridge import Bridge

BUTTON_TOPICS: tuple[Topic, ...] = ("status", "recipe", "images", "alignment", "progress")

GLYPHS = {
    State.NOT_STARTED: "○",
    State.RUNNING: "◐",
    State.DONE: "●",
    State.DEFAULT: "◍",
    State.LOOKED_AT: "◉",
    State.WARNING: "⚠",
    State.PARTIAL: "◒",
    State.STALE: "◌",
    State.FAILED: "✕",
}

LABEL_OF_OPTION = {
    "--psdm-dir": "“Data tree”",
    "--raw-data": "no corrections of the dark run",
    "$SIT_PSDM_DATA": "the environment’s data tree",
    "--xtc-dir": "“XTC folder”",
    "--calib-dir": "“Calibration”",
    "experiment.calib_dir": "“Calibration”",
    "experiment.dark": "“Dark run”",
    "experiment.bright": "“Bright runs”",
    "experiment.name": "“Experiment”",
    "experiment.geometry": "the recipe’s experiment.geometry",
}
"""What options of commands and settings of the recipe are called in the panels."""

LOOKS: Mapping[str, object] = {
    "tiles": "side by side",
    "arrangement": "assembled",
    "show_mask": False,
    "show_rings": False,
    "show_outlines": False,
    "blink": False,
    "can_draw": False,
    "mode": "pan",
}
"""How a panel shows the detector, unless it says otherwise."""


class Panel:
    """One panel over a session; displays as a widget, and as a picture in a static page.

    Parameters
    ----------
    session : the state it shows and changes.
    view, bridge : detector view shared with other panels, and what fills it; by default of its
        own.
    """

    step: ClassVar[Step]
    works: ClassVar[Sequence[str]] = ()  # names of its long work, if not that of the step alone
    arrangement = "cw-beside"  # pictures beside the controls (cw-wide-beside: on wide screens only)
    looks: ClassVar[Mapping[str, object]] = {}
    under: Sequence[widgets.Widget] = ()  # what stands under the pictures while it is open

    def __init__(
        self, session: Session, view: ImageView | None = None, bridge: Bridge | None = None
    ) -> None:
        self.session = session
        self._left: dict[str, object] = {}
        self._failed = False
        self._conditions: list[tuple[widgets.DOMWidget, str, Callable[[], str]]] = []
        self.owns_view = view is None
        self.view = ImageView() if view is None else view
        self.message = classed(widgets.HTML(layout={"margin": "2px 0"}), "cw-message")
        if bridge is not None:
            self.bridge = bridge
        elif self.owns_view:
            from workbench.ui.bridge import Bridge

            self.bridge = Bridge(session, self.view)
        layout = {"width": "100%", "overflow": "hidden"}
        self.box = classed(widgets.VBox(layout=layout), "cw-panel")
        session.subscribe("status", self._show_status)
        for topic in BUTTON_TOPICS:
            session.subscribe(topic, self.update_buttons)

    @property
    def title(self) -> str:
        """Name of the step, on its button and above its advice."""
        return ""

    @property
    def widget(self) -> widgets.Widget:
        """What to display; with its own view on top if it is used alone."""
        if not self.owns_view:
            return self.box
        if not hasattr(self, "_alone"):
            self.activate()
            root = AppRoot(self.session.undo, self.session.redo)
            self._alone = widgets.VBox([root, self.view, self.box, *self.under])
        return self._alone

    def activate(self) -> None:
        """Set the view up for what this panel is about, or as it was left."""
        with self.view.hold_sync():
            for name, value in {**LOOKS, **self.looks, **self._left}.items():
                setattr(self.view, name, value)

    def leave(self) -> None:
        """Remember how the view is set up until this panel is opened again."""
        passing = {"arrangement", "blink", "mode"}
        self._left = {name: getattr(self.view, name) for name in LOOKS.keys() - passing}

    def summary(self) -> str:
        """Text for pages without widgets."""
        status = self.session.status(self.step)
        return f"{self.title}: {status.state}" + (f" – {status.message}" if status.message else "")

    def figure(self) -> Figure | None:
        """Picture for pages without widgets."""
        return None

    @property
    def running(self) -> JobProgress | None:
        """Progress of its own long work; None while it does none."""
        progress = self.session.jobs.progress
        works = self.works or (self.step,)
        return progress if progress is not None and progress.step in works else None

    # ---- controls of the recipe --------------------------------------------------------------
    def form_of(self, path: str, leave_out: tuple[str, ...] = ()) -> Form[Any]:
        """Controls for the fields of a section of the recipe; they follow it.

        Parameters
        ----------
        path : of the section, e.g. ``frames.events``.
        leave_out : fields without a control.
        """
        made: Form[Any] = Form(
            self.session.recipe.setting(path),
            lambda new: self.session.change(path, new),
            self.complain,
            leave_out,
        )
        self.session.subscribe("recipe", lambda: made.show(self.session.recipe.setting(path)))
        return made

    # ---- errors and buttons ------------------------------------------------------------------
    def complain(self, text: str) -> None:
        """Show an error beside the controls (empty: none)."""
        self.message.value = error_text(with_labels(text)) if text else ""

    def guarded(self, act: Callable[[], object]) -> None:
        """Do something; an error is shown here and logged, never lost."""
        try:
            self.complain("")
            act()
        except Exception as error:
            self.complain(self.session.log.error(self.step, error))

    def button(
        self,
        text: str,
        tooltip: str,
        act: Callable[[], object],
        style: str = "",
        width: str = "auto",
        why_not: Callable[[], str] | None = None,
    ) -> widgets.Button:
        """Button that does one thing.

        Parameters
        ----------
        why_not : gives why it cannot act now, and what to do first; empty: it can.
        """
        made = widgets.Button(
            description=text, tooltip=tooltip, button_style=style, layout={"width": width}
        )
        made.on_click(lambda _: self.guarded(act))
        if why_not is not None:
            self.turn_off(made, why_not)
        return made

    def turn_off(self, button: widgets.DOMWidget, why_not: Callable[[], str]) -> None:
        """Have a button off while `why_not()` gives a reason; see `button`."""
        self._conditions.append((button, button.tooltip, why_not))

    def update_buttons(self) -> None:
        """Turn buttons that cannot act off, with the reason in their tooltip."""
        for button, tooltip, why_not in list(self._conditions):
            reason = why_not()
            button.disabled = bool(reason)
            button.tooltip = reason or tooltip

    def _show_status(self) -> None:
        status = self.session.status(self.step)
        if status.state == State.FAILED:
            self.complain(status.message)
        elif "cw-error" in self.message.value and (
            self._failed or status.state in (State.RUNNING, State.DONE, State.PARTIAL)
        ):
            self.complain("")  # what was wrong is mended
        self._failed = status.state == State.FAILED

    # ---- display -----------------------------------------------------------------------------
    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return mimebundle(self.widget, (self,), self.figure)


def with_labels(text: str) -> str:
    """Message with the labels of the panels in place of options and settings."""
    pattern = "|".join(map(re.escape, LABEL_OF_OPTION))
    return re.sub(rf"({pattern})(?![\w-])", lambda match: LABEL_OF_OPTION[match[1]], text)


WORDS = {"avg": "average", "std": "standard deviation", "stddev": "standard deviation",
         "max": "maximum"}  # fmt: skip


def in_words(text: str) -> str:
    """Text with the short names of images written out."""
    return re.sub(rf"\b({'|'.join(WORDS)})\b", lambda match: WORDS[match[1]], text)


def error_text(text: str) -> str:
    """HTML of an error message."""
    return f'<div class="cw-error" role="alert">{html.escape(text)}</div>'


def note_text(text: str) -> str:
    """HTML of a remark."""
    return f'<div class="cw-note">{html.escape(text)}</div>'


def warning_text(lines: Sequence[str]) -> str:
    """HTML of warnings, one per line."""
    return "".join(f'<div class="cw-warning">⚠ {html.escape(line)}</div>' for line in lines)


def table(head: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "") -> str:
    """HTML table; numbers stand to the right."""

    def cell(value: object) -> str:
        kind = "" if isinstance(value, str) else ' class="cw-number"'
        text = thousands(value) if isinstance(value, int) else str(value)
        return f"<td{kind}>{html.escape(text)}</td>"

    titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    top = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    head_row = f"<thead><tr>{titles}</tr></thead>"
    return f'<table class="cw-table">{top}{head_row}<tbody>{body}</tbody></table>'


def labelled(
    kind: type[widgets.Widget], label: str, tooltip: str, width: str = "auto", **options: Any
) -> widgets.Widget:
    """Control whose label is as wide as its text."""
    layout = {"width": width, **options.pop("layout", {})}
    return kind(
        description=label, tooltip=tooltip, style={"description_width": "initial"}, layout=layout,
        **options,
    )  # fmt: skip


class WholeNumber(widgets.HBox):  # type: ignore[misc]
    """Box for a whole number; one out of range is refused beside it, in red, and changes nothing.

    Parameters
    ----------
    smallest, largest : of the numbers that are taken.

    Attributes
    ----------
    value : the number in force. box : where it is typed. reason : why one was refused.
    """

    value = traitlets.Int()

    def __init__(
        self, label: str, tooltip: str, width: str, value: int, smallest: int, largest: int
    ) -> None:
        self.smallest, self.largest = smallest, largest
        # no IntText: it takes 1e9 for 1
        self.box = labelled(widgets.FloatText, label, tooltip, width, value=value, step=1)
        self.reason = classed(widgets.HTML(), "cw-refused")
        super().__init__([self.box, self.reason], layout={"align_items": "center"})
        self.value = value
        self.box.observe(self._typed, "value")
        self.observe(self._set, "value")

    def _typed(self, _: object = None) -> None:
        typed = self.box.value
        is_refused = not (self.smallest <= typed <= self.largest and typed.is_integer())
        marked(self.box, "cw-refused", is_refused)
        self.reason.value = (
            f"{typed:.10g} is no whole number from {self.smallest} to {self.largest}; "
            f"{self.value} stays."
            if is_refused
            else ""
        )
        if not is_refused:
            self.value = int(typed)

    def _set(self, _: object = None) -> None:
        self.box.value = self.value


def row(*children: widgets.Widget) -> widgets.HBox:
    """Controls beside each other; they wrap on narrow screens."""
    layout = {"flex_flow": "row wrap", "align_items": "center", "width": "100%"}
    return widgets.HBox(children, layout=layout)


def picture() -> widgets.Image:
    """Place for a figure drawn by the kernel."""
    layout = {"max_width": "100%", "object_fit": "contain", "display": "none"}
    return widgets.Image(format="png", layout=layout)


def show_picture(place: widgets.Image, draw: Callable[[], Figure | None]) -> None:
    """Put a figure into its place (None: hide it)."""
    drawn = png(draw, dpi=80)
    if drawn is None:
        place.layout.display = "none"
        return
    place.value = drawn
    place.layout.display = ""
