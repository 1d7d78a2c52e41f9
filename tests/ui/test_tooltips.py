"""Every control of the workbench says in one sentence what it does, and in which unit."""

import re
from pathlib import Path

import ipywidgets as widgets
import pytest

import workbench.ui
from workbench.ui import Workbench
from workbench.ui.widgets.limit_control import LimitControl

KINDS = (
    widgets.Button, widgets.Checkbox, widgets.Combobox, widgets.Dropdown, widgets.FloatText,
    widgets.BoundedIntText, widgets.SelectMultiple, widgets.Text,
    widgets.ToggleButton,
)  # fmt: skip
NUMBERS = (widgets.FloatText, widgets.BoundedIntText)
UNIT = re.compile(
    r"\b(ADU|px|pixels?|mm|µm|Å|eV|degrees|[Ee]vents?|index|indices|codes|[Ff]actor|"
    r"[Rr]ows and columns)\b"
)


def inside(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from inside(child)


@pytest.fixture
def controls():
    """All controls of all panels, with what they say about themselves."""
    bench = Workbench()
    boxes = [bench.widget, *(panel.box for panel in bench.panels)]
    found = {}
    for widget in (one for box in boxes for one in inside(box)):
        if isinstance(widget, LimitControl):
            found[widget] = [widget.hint]
        elif isinstance(widget, widgets.ToggleButtons):
            assert len(widget.tooltips) == len(widget.options)
            found[widget] = list(widget.tooltips)
        elif isinstance(widget, KINDS):
            found[widget] = [widget.tooltip]
    return found


def test_every_control_has_a_tooltip_of_one_sentence(controls):
    assert len(controls) > 60
    for control, texts in controls.items():
        for text in texts:
            name = f"{type(control).__name__} {getattr(control, 'description', '')!r}: {text!r}"
            assert text, name
            assert len(text.split()) >= 2, name
            assert not re.search(r"(?<!e\.g)\.\s+[A-Z]", text), f"{name} is more than one sentence"
            assert text[0] == text[0].upper(), name


def test_numbers_have_their_unit_in_the_tooltip_or_the_label(controls):
    numbers = [one for one in controls if isinstance(one, (*NUMBERS, LimitControl))]
    assert len(numbers) > 15
    for control in numbers:
        text = f"{getattr(control, 'description', '')} {controls[control][0]}"
        assert UNIT.search(text), text


SCRIPTS = Path(workbench.ui.__file__).parent / "frontend" / "src"


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.js")), ids=lambda path: path.name)
def test_controls_drawn_in_the_browser_have_titles(script):
    """Each button, input or list that a script makes is given a title where it is made."""
    text = script.read_text(encoding="utf-8")
    making = r'(?:const (\w+) = )?\b(?:element|node|tag)\("(?:button|input|select)"'
    for found in re.finditer(making, text):
        made = text[found.start() : found.start() + 260]
        later = found[1] and f"{found[1]}.title = " in text
        assert later or re.search(r"\btitle\b", made), f"{script.name}: {made[:120]}"
