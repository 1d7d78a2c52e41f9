"""The style sheet of panels and application: JupyterLab's own colours, light and dark."""

from __future__ import annotations

from pathlib import Path

import ipywidgets as widgets


def style_sheet() -> widgets.HTML:
    """Widget that carries the style sheet to the page."""
    css = Path(__file__).with_name("app.css").read_text(encoding="utf-8")
    return widgets.HTML(f"<style>{css}</style>", layout={"display": "none"})
