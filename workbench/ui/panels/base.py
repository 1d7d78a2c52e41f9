"""What all panels share: errors beside the controls, buttons that are one call, static pictures."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as widgets

from workbench.session import Session, State, Step
from workbench.ui.widgets.image_view import ImageView
from workbench.ui.widgets.static_page import mimebundle, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GLYPHS = {
    State.NOT_STARTED: "○",
    State.RUNNING: "◐",
    State.DONE: "●",
    State.PARTIAL: "◒",
    State.STALE: "◌",
    State.FAILED: "✕",
}


LOOKS: dict[str, Any] = {
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
    view : detector view shared with other panels; by default one of its own.
    """

    title = ""
    step: ClassVar[Step]
    arrangement = "cw-beside"  # pictures beside the controls (cw-wide-beside: on wide screens only)
    looks: ClassVar[dict[str, Any]] = {}

    def __init__(self, session: Session, view: ImageView | None = None) -> None:
        self.session = session
        self._left: dict[str, Any] = {}
        self.owns_view = view is None
        self.view = ImageView() if view is None else view
        self.message = widgets.HTML(layout={"margin": "2px 0"})
        self.message.add_class("cw-message")
        if self.owns_view:
            from workbench.ui.bridge import Bridge

            self.bridge = Bridge(session, self.view)
        self.box = widgets.VBox(layout={"width": "100%", "overflow": "hidden"})
        self.box.add_class("cw-panel")
        session.subscribe("status", self._show_status)

    @property
    def widget(self) -> widgets.Widget:
        """What to display; with its own view on top if it is used alone."""
        if not self.owns_view:
            return self.box
        from workbench.ui.widgets.styles import style_sheet

        if not hasattr(self, "_alone"):
            self.activate()
            self._alone = widgets.VBox([style_sheet(), self.view, self.box])
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

    # ---- errors and buttons ------------------------------------------------------------------
    def complain(self, text: str) -> None:
        """Show an error beside the controls (empty: none)."""
        self.message.value = error_text(text) if text else ""

    def guarded(self, act: Callable[[], Any]) -> None:
        """Do something; an error is shown here and logged, never lost."""
        try:
            self.complain("")
            act()
        except Exception as error:
            self.complain(self.session.log.error(self.step, error))

    def button(
        self, text: str, tooltip: str, act: Callable[[], Any], style: str = "", width: str = "auto"
    ) -> widgets.Button:
        """Button that does one thing."""
        made = widgets.Button(
            description=text, tooltip=tooltip, button_style=style, layout={"width": width}
        )
        made.on_click(lambda _: self.guarded(act))
        return made

    def _show_status(self) -> None:
        status = self.session.status(self.step)
        if status.state == State.FAILED:
            self.complain(status.message)
        elif (
            status.state in (State.RUNNING, State.DONE, State.PARTIAL)
            and "cw-error" in self.message.value
        ):
            self.complain("")

    # ---- display -----------------------------------------------------------------------------
    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return mimebundle(self.widget, (self,), self.figure)


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
        text = f"{value:,}".replace(",", "\u2009") if isinstance(value, int) else str(value)
        return f"<td{kind}>{html.escape(text)}</td>"

    titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    top = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    head_row = f"<thead><tr>{titles}</tr></thead>"
    return f'<table class="cw-table">{top}{head_row}<tbody>{body}</tbody></table>'


def row(*children: widgets.Widget, wrap: bool = True) -> widgets.HBox:
    """Controls beside each other; they wrap on narrow screens."""
    return widgets.HBox(
        children,
        layout={
            "flex_flow": "row wrap" if wrap else "row",
            "align_items": "center",
            "width": "100%",
        },
    )


def picture() -> widgets.Image:
    """Place for a figure drawn by the kernel."""
    made = widgets.Image(format="png", layout={"max_width": "100%", "object_fit": "contain"})
    made.layout.display = "none"
    return made


def show_picture(place: widgets.Image, draw: Callable[[], Figure | None]) -> None:
    """Put a figure into its place (None: hide it)."""
    drawn = png(draw, dpi=80)
    if drawn is None:
        place.layout.display = "none"
        return
    place.value = drawn
    place.layout.display = ""
