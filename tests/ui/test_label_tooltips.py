"""Tooltips of fields with a description stand on their labels, where ipywidgets shows none."""

import ipywidgets as widgets

from workbench.ui.tooltips import tooltips_on_labels


def test_a_tooltip_stands_on_the_label_and_follows():
    field = widgets.Text(description="x < y", tooltip='say "why"')
    tooltips_on_labels(widgets.VBox([widgets.HBox([field])]))
    assert field.description == '<span title="say &quot;why&quot;">x &lt; y</span>'
    assert field.description_allow_html
    tooltips_on_labels(field)
    field.tooltip = "because"
    assert field.description == '<span title="because">x &lt; y</span>'


def test_what_shows_its_tooltip_itself_is_left_alone():
    button = widgets.Button(description="Go", tooltip="at once")
    plain = widgets.Text(tooltip="no label")
    tooltips_on_labels(widgets.HBox([button, plain]))
    assert (button.description, plain.description) == ("Go", "")
