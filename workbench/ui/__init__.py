"""The interactive workbench: panels over a session, in JupyterLab."""

from workbench.session import Session
from workbench.ui.app import Workbench
from workbench.ui.panels.geometry import GeometryPanel
from workbench.ui.panels.mask import MaskPanel
from workbench.ui.panels.quadrants import QuadrantsPanel
from workbench.ui.panels.run import RunPanel
from workbench.ui.widgets.image_view import ImageView

__all__ = [
    "GeometryPanel",
    "ImageView",
    "MaskPanel",
    "QuadrantsPanel",
    "RunPanel",
    "Session",
    "Workbench",
]
