"""Making a mask from three images: the calls of scripts, the pipeline and the command line."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from numpy.typing import NDArray

from workbench.mask.evaluate import MaskEvaluator
from workbench.mask.model import Mask
from workbench.recipe import MaskSettings, Thresholds


def make_mask(
    avg: Any, std: Any, max: Any, thresholds: Thresholds | None = None, border: int = 0
) -> Mask:
    """Make a mask by the rules of ``cxi.make_dials_mask`` (cctbx.xfel).

    A pixel is good if ``0 < avg <= avg_max``, ``0 < std <= stddev_max`` and
    ``max >= maxproj_min``; what is not a number is masked. Then the outer `border` rows and
    columns of each ASIC are masked.

    Parameters
    ----------
    avg, std : average and standard deviation of a dark run, ADU; `DetectorImage` or array
        ``(32, 185, 388)`` (also ``(4, 8, 185, 388)``, ``(64, 185, 194)``, ``(5920, 388)``).
    max : maximum of one or more bright runs, ADU.
    thresholds : limits in ADU; by default those of ``cxi.make_dials_mask``.
    border : pixels.

    Raises
    ------
    MaskError
        If an image is not that of a full CSPAD.
    """
    settings = MaskSettings(thresholds=thresholds or Thresholds(), border=border)
    return build_mask(settings, avg, std, max)


def build_mask(
    settings: MaskSettings,
    avg: Any,
    std: Any,
    max: Any,
    geometry: Any = None,
    *,
    low_gain: NDArray | None = None,
    occupancy: NDArray | None = None,
    distance_mm: float | None = None,
    wavelength_angstrom: float | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Mask:
    """Make the mask that settings describe, layers included; see `make_mask` for the images.

    Parameters
    ----------
    settings : the ``mask`` section of a recipe.
    geometry, distance_mm, wavelength_angstrom : for shapes, radius and resolution; by default
        those of the images.
    low_gain : bool ``(32, 185, 388)``, True = low gain, if `settings.low_gain` has own limits.
    occupancy : fraction of events with data in each pixel, ``(32, 185, 388)``.
    folder : folder that names of imported masks are relative to (that of the recipe).

    Raises
    ------
    MaskError
        If an image is not that of a full CSPAD, or something a layer needs is not there.
    FileFormatError
        If an imported mask cannot be read.
    """
    engine = MaskEvaluator(
        avg,
        std,
        max,
        geometry,
        distance_mm=distance_mm,
        wavelength_angstrom=wavelength_angstrom,
        low_gain=low_gain,
        occupancy=occupancy,
        folder=folder,
    )
    mask = engine.mask(settings, {"settings": dataclasses.asdict(settings)})
    return mask
