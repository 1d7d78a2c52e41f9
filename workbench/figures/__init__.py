"""Pictures of a calibration: pure functions that draw into a matplotlib ``Figure``.

The live panels and the report call the same functions. Each takes arrays or results, an optional
``figure`` to draw into (it is cleared first), and gives the figure. Nothing here uses pyplot, so a
picture can be made in any thread and on a machine without a display.
"""

from workbench.figures.averages import noise_map, sensor_statistics
from workbench.figures.frame import Frame, frame_of
from workbench.figures.geometry import geometry_difference
from workbench.figures.histograms import threshold_histogram, threshold_histograms
from workbench.figures.hits import peaks_per_event
from workbench.figures.images import Limits, detector_image, detector_images, percentile_limits
from workbench.figures.layout import axes_and_signs, detector_layout
from workbench.figures.maps import correlation_map, correlation_maps, offset_uncertainty
from workbench.figures.mask import (
    fraction_map,
    mask_difference,
    mask_rules,
    threshold_curve,
    threshold_curves,
)
from workbench.figures.pixel import PixelEvents, pixel_history
from workbench.figures.png import Picture, to_png
from workbench.figures.powder import (
    cake,
    powder_comparison,
    radial_profiles,
    radius_reading,
    ring_profile,
    ring_residuals,
)
from workbench.figures.profiles import Cake, Profile, cake_of, radial_profile, ring_radii
from workbench.figures.style import alt_text

__all__ = [
    "Cake",
    "Frame",
    "Limits",
    "Picture",
    "PixelEvents",
    "Profile",
    "alt_text",
    "axes_and_signs",
    "cake",
    "cake_of",
    "correlation_map",
    "correlation_maps",
    "detector_image",
    "detector_images",
    "detector_layout",
    "fraction_map",
    "frame_of",
    "geometry_difference",
    "mask_difference",
    "mask_rules",
    "noise_map",
    "offset_uncertainty",
    "peaks_per_event",
    "percentile_limits",
    "pixel_history",
    "powder_comparison",
    "radial_profile",
    "radial_profiles",
    "radius_reading",
    "ring_profile",
    "ring_radii",
    "ring_residuals",
    "sensor_statistics",
    "threshold_curve",
    "threshold_curves",
    "threshold_histogram",
    "threshold_histograms",
    "to_png",
]
