"""Making a mask from three images: the calls of scripts, the pipeline and the command line."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.detector import by_asic
from workbench.mask.inputs import MaskImages
from workbench.mask.model import Mask
from workbench.mask.rules import RULES, count_reasons
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


def build_mask(settings: MaskSettings, avg: Any, std: Any, max: Any, geometry: Any = None) -> Mask:
    """Make the mask that settings describe; see `make_mask` for the images."""
    images = MaskImages.of(avg, std, max)
    average, stddev, maximum = images.arrays
    limits = settings.thresholds
    nan = [np.isnan(image) for image in images.arrays]
    reasons = np.zeros(average.shape, np.uint32)
    for name, removed in (
        ("average_low", average <= 0),
        ("average_high", average > limits.avg_max),
        ("stddev_low", stddev <= 0),
        ("stddev_high", stddev > limits.stddev_max),
        ("maximum_low", maximum < limits.maxproj_min),
        ("not_a_number", nan[0] | nan[1] | nan[2]),
    ):
        reasons[removed] |= RULES[name].flag
    if settings.border:
        frame = np.ones((185, 194), bool)
        frame[settings.border : -settings.border, settings.border : -settings.border] = False
        by_asic(reasons)[..., frame] |= RULES["asic_border"].flag
    counts = count_reasons(reasons)
    cctbx = (
        counts["average_low"].total + counts["average_high"].total + 2 * int(nan[0].sum()),
        counts["stddev_low"].total + counts["stddev_high"].total + 2 * int(nan[1].sum()),
        counts["maximum_low"].total + int(nan[2].sum()),
    )
    return Mask(reasons == 0, reasons, counts, cctbx_counts=cctbx)
