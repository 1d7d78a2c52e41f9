"""Realistic data with a known truth: powder physics, sensor model, XTC writer, a whole experiment.

A side wing: only the command line, tests and benchmarks import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.simulate.experiment import write_experiment as write_experiment
    from workbench.simulate.powder import powder_image as powder_image

_PLACES = {
    "powder_image": "workbench.simulate.powder",
    "write_experiment": "workbench.simulate.experiment",
}

__all__ = ["powder_image", "write_experiment"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
