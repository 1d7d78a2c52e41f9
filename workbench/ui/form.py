"""Controls for settings: one for each field of a recipe dataclass, its comment as tooltip."""

from __future__ import annotations

import ast
import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import ipywidgets as widgets

from workbench.errors import WorkbenchError
from workbench.ui.filling import Filling
from workbench.ui.tooltips import tooltips_on_labels
from workbench.ui.widgets.styles import marked

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LABELS = {
    "gain": "low-gain factor",
    "halves": "event halves",
    "range_px": "range (± px)",
    "x_mm": "x from, to (mm)",
    "y_mm": "y from, to (mm)",
    "centre_mm": "centre x, y (mm)",
    "points_mm": "corners x, y (mm)",
    "start_mm": "start x, y (mm)",
    "end_mm": "end x, y (mm)",
    "level": "level (ADU)",
}
"""Fields whose label does not follow from their name."""
UNITS = {"px": "px", "mm": "mm", "deg": "°", "adu": "ADU", "angstrom": "Å", "ev": "eV"}
"""Last word of a field's name, and the unit it stands for."""


Settings = TypeVar("Settings", bound="DataclassInstance")
"""A section of the recipe, or a layer of the mask."""


class Form(Generic[Settings]):
    """Controls for the fields of a dataclass value.

    Parameters
    ----------
    value : dataclass instance with `setting` fields.
    changed : called as ``changed(new value)``; it may refuse with a `WorkbenchError`.
    complain : called with an error's text, or "" when all is well.
    leave_out : fields without a control.
    """

    def __init__(
        self,
        value: Settings,
        changed: Callable[[Settings], object],
        complain: Callable[[str], None],
        leave_out: tuple[str, ...] = (),
    ) -> None:
        self.value = value
        self._changed = changed
        self._complain = complain
        self._filling = Filling()
        hints = typing.get_type_hints(type(value))
        self.controls: dict[str, widgets.Widget] = {}
        for field in dataclasses.fields(value):
            if field.name in leave_out:
                continue
            control = control_for(field, hints[field.name], getattr(value, field.name))
            control.observe(lambda change, name=field.name: self._edited(name), "value")
            self.controls[field.name] = control
        self._hints = hints
        self.widget = widgets.HBox(
            list(self.controls.values()), layout={"flex_flow": "row wrap", "width": "100%"}
        )
        tooltips_on_labels(self.widget)

    def show(self, value: Settings) -> None:
        """Show another value without reporting a change."""
        self.value = value
        with self._filling():
            for name, control in self.controls.items():
                marked(control, "cw-refused", False)
                shown = to_control(getattr(value, name), control)
                if control.value != shown:
                    control.value = shown

    def _edited(self, name: str) -> None:
        if self._filling:
            return
        try:
            entered = from_control(self.controls[name].value, self._hints[name], name)
            new = dataclasses.replace(self.value, **{name: entered})
            self._changed(new)
        except (WorkbenchError, ValueError, TypeError) as error:
            marked(self.controls[name], "cw-refused", True)
            self._complain(self._with_labels(str(error)))
        else:
            marked(self.controls[name], "cw-refused", False)
            self.value = new
            self._complain("")

    def _with_labels(self, text: str) -> str:
        """Text of an error with what stands beside the controls in place of the fields' names."""
        for name in self.controls:
            text = re.sub(rf"\b{name}\b", f"“{label(name)}”", text) if "_" in name else text
        return text


def label(name: str) -> str:
    """What a field is called beside its control."""
    words, _, unit = name.rpartition("_")
    derived = f"{words} ({UNITS[unit]})" if unit in UNITS else name
    return LABELS.get(name, derived.replace("_", " "))


def control_for(field: dataclasses.Field[Any], hint: Any, value: Any) -> widgets.Widget:
    """Give the control that suits a field's type."""
    doc = field.metadata.get("doc", "")
    options: dict[str, Any] = {
        "description": label(field.name),
        "tooltip": doc[:1].upper() + doc[1:],
        "style": {"description_width": "initial"},
    }
    if hint is bool:
        return widgets.Checkbox(
            value=value, indent=False, layout={"width": "auto", "margin": "2px 14px"}, **options
        )
    layout = {"width": "auto", "min_width": "150px", "max_width": "330px", "margin": "2px 8px"}
    if typing.get_origin(hint) is typing.Literal:
        return widgets.Dropdown(
            options=list(typing.get_args(hint)), value=value, layout=layout, **options
        )
    if hint is int:  # no IntText: it takes 1e9 for 1
        return widgets.FloatText(
            value=value, step=1, layout={**layout, "width": "190px"}, **options
        )
    if hint is float and math.isfinite(value):
        return widgets.FloatText(value=value, layout={**layout, "width": "210px"}, **options)
    return widgets.Text(
        value=to_text(value),
        continuous_update=False,
        layout={**layout, "width": "280px"},
        **options,
    )


def to_control(value: Any, control: widgets.Widget) -> Any:
    """Value as the control shows it."""
    return to_text(value) if isinstance(control, widgets.Text) else value


def to_text(value: Any) -> str:
    """Value as a person types it: nothing for None, ``30, 45`` for tuples."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(
            f"({to_text(part)})" if isinstance(part, tuple) else to_text(part) for part in value
        )
    return f"{value:g}" if isinstance(value, float) else str(value)


def from_control(entered: Any, hint: Any, name: str) -> Any:
    """Value of the field's type from what a control holds.

    Raises
    ------
    WorkbenchError
        If the text does not say such a value.
    """
    if hint is int:
        return whole(entered, name)
    if not isinstance(entered, str):
        return entered
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    text = entered.strip()
    if type(None) in kinds and not text:
        return None
    if str in kinds or typing.get_origin(hint) is typing.Literal:
        return text
    if any(typing.get_origin(kind) is tuple for kind in kinds):
        inner = typing.get_args(next(k for k in kinds if typing.get_origin(k) is tuple))
        if not text:
            return ()
        if inner[0] is str:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        try:
            values = ast.literal_eval(f"({text},)")
        except (ValueError, SyntaxError) as error:
            raise WorkbenchError(
                f"{label(name)}: {text!r} is not a list of numbers; type e.g. 30, 45, 60."
            ) from error
        return numbers(values, whole=inner[0] is int or inner[0] == tuple[int, int, int])
    try:
        number = float(text.replace("∞", "inf"))
    except ValueError as error:
        raise WorkbenchError(f"{label(name)}: {text!r} is not a number.") from error
    return number if float in kinds else whole(number, name)


def whole(number: float, name: str) -> int:
    """The whole number that was typed into a field.

    Raises
    ------
    WorkbenchError
        If it is none.
    """
    if not float(number).is_integer():
        raise WorkbenchError(f"{label(name)}: {number:.10g} is not a whole number.")
    return int(number)


def numbers(value: Any, whole: bool) -> Any:
    """Nested tuples of numbers, all float or all int."""
    if isinstance(value, tuple | list):
        return tuple(numbers(part, whole) for part in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WorkbenchError(f"{value!r} is not a number.")
    return int(value) if whole else float(value)
