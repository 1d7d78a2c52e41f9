"""Scripts and style sheets of the widgets, as ``make frontend`` writes them."""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).parents[1] / "static"


def bundle(name: str) -> str:
    """Text of a file in ``ui/static``; it needs nothing else and fetches nothing."""
    return (STATIC / name).read_text(encoding="utf-8")
