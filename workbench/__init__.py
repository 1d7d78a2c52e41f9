"""CSPAD calibration workbench: raw runs to averages, mask, quadrant alignment and geometry.

The public names stand in ``__init__.pyi``. Their modules are imported when a name is first used,
so ``import workbench`` is quick.
"""

import lazy_loader

__version__ = "1.0.0rc1"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
