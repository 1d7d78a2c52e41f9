"""Detector geometry: the tree, its file formats, pixel positions and the versioned store."""

from workbench.geometry.compare import GeometryDiff, ObjectChange, compare
from workbench.geometry.objects import GeometryObject, ObjectKey, Transform
from workbench.geometry.pixels import Snapped
from workbench.geometry.store_model import Deployment, Switch, Version
from workbench.geometry.tree import Geometry
from workbench.geometry.versions import GeometryStore

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
