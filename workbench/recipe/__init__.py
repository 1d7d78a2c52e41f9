"""The recipe: everything that decides a calibration, in one small text file.

Widgets edit a recipe, the command line runs one, a report replays one. The same recipe and the
same data give the same mask and the same geometry, bit for bit.
"""

from workbench.recipe.alignment import AlignmentSettings, Decisions
from workbench.recipe.corrections import Corrections
from workbench.recipe.events import Events
from workbench.recipe.files import (
    decided,
    read_recipe,
    recipe_from_text,
    recipe_to_text,
    write_recipe,
)
from workbench.recipe.frames import FrameSettings, Hits
from workbench.recipe.mask import MaskSettings
from workbench.recipe.model import Experiment, Images, Output, Recipe
from workbench.recipe.rules import Thresholds

__all__ = [
    "AlignmentSettings",
    "Corrections",
    "Decisions",
    "Events",
    "Experiment",
    "FrameSettings",
    "Hits",
    "Images",
    "MaskSettings",
    "Output",
    "Recipe",
    "Thresholds",
    "decided",
    "read_recipe",
    "recipe_from_text",
    "recipe_to_text",
    "write_recipe",
]
