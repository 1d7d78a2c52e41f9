"""CSPAD calibration workbench: raw runs to averages, mask, quadrant alignment and geometry.

Heavy modules are imported when a name is first used, so ``import workbench`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "AlignmentSettings": "workbench.recipe",
    "Alignment": "workbench.alignment",
    "Corrections": "workbench.recipe",
    "DetectorImage": "workbench.images",
    "Geometry": "workbench.geometry",
    "GeometryStore": "workbench.geometry",
    "Mask": "workbench.mask",
    "MaskSettings": "workbench.recipe",
    "Recipe": "workbench.recipe",
    "RunImages": "workbench.averages",
    "Thresholds": "workbench.recipe",
    "Workbench": "workbench.ui",
    "WorkbenchError": "workbench.errors",
    "align_quadrants": "workbench.alignment",
    "average_run": "workbench.averages",
    "make_mask": "workbench.mask",
    "merge_images": "workbench.averages",
    "open_frames": "workbench.pipeline",
    "open_run": "workbench.pipeline",
    "read_image": "workbench.images",
    "read_mask": "workbench.mask",
    "read_recipe": "workbench.recipe",
    "run_recipe": "workbench.pipeline",
    "write_image": "workbench.images",
    "write_mask": "workbench.mask",
    "write_recipe": "workbench.recipe",
}

__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from workbench.alignment import Alignment, align_quadrants
    from workbench.averages import RunImages, average_run, merge_images
    from workbench.errors import WorkbenchError
    from workbench.geometry import Geometry, GeometryStore
    from workbench.images import DetectorImage, read_image, write_image
    from workbench.mask import Mask, make_mask, read_mask, write_mask
    from workbench.pipeline import open_frames, open_run, run_recipe
    from workbench.recipe import (
        AlignmentSettings,
        Corrections,
        MaskSettings,
        Recipe,
        Thresholds,
        read_recipe,
        write_recipe,
    )
    from workbench.ui import Workbench


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
