"""Widgets are closed after each test."""

import ipywidgets
import pytest


@pytest.fixture(autouse=True)
def _widgets_closed():
    """Jupyter keeps every widget and what it holds until it is closed."""
    yield
    ipywidgets.Widget.close_all()
