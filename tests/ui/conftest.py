"""Widgets are closed after each test; what is aligned once is not aligned again."""

import ipywidgets
import pytest


@pytest.fixture(scope="module", autouse=True)
def _aligned_once(aligned_once):
    """The panels show what an alignment says; none of these tests is about finding it."""


@pytest.fixture(autouse=True)
def _widgets_closed():
    """Jupyter keeps every widget and what it holds until it is closed."""
    yield
    ipywidgets.Widget.close_all()
