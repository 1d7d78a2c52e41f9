"""Detector images and their files."""

from workbench.images.files import read_image, write_image
from workbench.images.model import DetectorImage, as_detector_array, image_ending

__all__ = ["DetectorImage", "as_detector_array", "image_ending", "read_image", "write_image"]
