"""Detector geometry: the tree, its file formats, pixel positions and the versioned store."""

from workbench.geometry.compare import GeometryDiff, ObjectChange, compare
from workbench.geometry.pixels import Snapped
from workbench.geometry.tree import Geometry, GeometryObject, ObjectKey, Transform
from workbench.geometry.versions import Deployment, GeometryStore, Switch, Version

__all__ = [
    "Deployment",
    "Geometry",
    "GeometryDiff",
    "GeometryObject",
    "GeometryStore",
    "ObjectChange",
    "ObjectKey",
    "Snapped",
    "Switch",
    "Transform",
    "Version",
    "compare",
]
