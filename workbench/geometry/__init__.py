"""Detector geometry: the tree, its file formats, pixel positions and the versioned store."""

from workbench.geometry.compare import GeometryDiff, ObjectChange, compare, hardly_differ
from workbench.geometry.formats import FORMATS
from workbench.geometry.objects import GeometryObject, ObjectKey, Transform
from workbench.geometry.overlap import overlapping_modules
from workbench.geometry.pixels import Snapped
from workbench.geometry.registry import GeometryFile, GeometryWarning
from workbench.geometry.store.model import Deployment, Switch, Version
from workbench.geometry.store.store import GeometryStore
from workbench.geometry.tree import Geometry

__all__ = [
    "FORMATS",
    "Deployment",
    "Geometry",
    "GeometryDiff",
    "GeometryFile",
    "GeometryObject",
    "GeometryStore",
    "GeometryWarning",
    "ObjectChange",
    "ObjectKey",
    "Snapped",
    "Switch",
    "Transform",
    "Version",
    "compare",
    "hardly_differ",
    "overlapping_modules",
]
