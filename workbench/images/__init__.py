"""Detector images and their files."""

from workbench.detector import as_detector_array
from workbench.images.files import read_image, write_image
from workbench.images.model import DetectorImage

__all__ = ["DetectorImage", "as_detector_array", "read_image", "write_image"]
