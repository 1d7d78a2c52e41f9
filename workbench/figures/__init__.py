"""Pictures of a calibration: pure functions that draw into a matplotlib ``Figure``.

The live panels and the report call the same functions. Each takes arrays or results, an optional
``figure`` to draw into (it is cleared first), and gives the figure. Nothing here uses pyplot, so a
picture can be made in any thread and on a machine without a display.

The public names stand in ``__init__.pyi``. Their modules are imported when a name is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
