"""Detector geometry: the tree, its file formats, pixel positions and the versioned store."""

from workbench.geometry.pixels import Snapped
from workbench.geometry.tree import Geometry, GeometryObject, ObjectKey, Transform

__all__ = ["Geometry", "GeometryObject", "ObjectKey", "Snapped", "Transform"]
