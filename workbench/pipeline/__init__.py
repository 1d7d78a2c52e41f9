"""Recipe in, results out: what panels, command line and report share."""

from workbench.pipeline.average_cache import AverageCache, averages_folder
from workbench.pipeline.averaging import (
    average_one,
    averaging_key,
    experiment_folders,
    has_averages,
    load_recipe,
    open_recipe_run,
    open_run,
    recipe_hash,
    resolve,
)
from workbench.pipeline.frames import open_files, open_frames
from workbench.pipeline.model import Calibration, ImageSet
from workbench.pipeline.results import deploy, geometry_store, save_results
from workbench.pipeline.single_events import PixelHistory, pixel_history, read_event
from workbench.pipeline.steps import (
    align_recipe,
    alignment_image,
    finish,
    gather_images,
    make_recipe_mask,
    mask_evaluator,
    rank_pictures,
    run_recipe,
)

__all__ = [
    "AverageCache",
    "Calibration",
    "ImageSet",
    "PixelHistory",
    "align_recipe",
    "alignment_image",
    "average_one",
    "averages_folder",
    "averaging_key",
    "deploy",
    "experiment_folders",
    "finish",
    "gather_images",
    "geometry_store",
    "has_averages",
    "load_recipe",
    "make_recipe_mask",
    "mask_evaluator",
    "open_files",
    "open_frames",
    "open_recipe_run",
    "open_run",
    "pixel_history",
    "rank_pictures",
    "read_event",
    "recipe_hash",
    "resolve",
    "run_recipe",
    "save_results",
]
