"""NXmx: ``/entry/instrument/detector/pixel_mask``, uint32 ``(32, 185, 388)``, 0 = good, else bits.

Bits as in the NeXus class NXdetector: 1 dead, 2 under-responding, 3 over-responding, 4 noisy,
8 masked by the user.
"""

from __future__ import annotations

import os
from typing import Any

from workbench.mask.formats import hdf5
from workbench.mask.formats.bits import NXMX, translated
from workbench.mask.model import Mask

POLARITY = "0 = good, bits say why not"
PATH = "entry/instrument/detector/pixel_mask"


def write(mask: Mask, path: str | os.PathLike[str]) -> None:
    """Write a NeXus file with the pixel mask alone."""

    def fill(file: Any) -> None:
        for name, kind in (
            ("entry", "NXentry"),
            ("entry/instrument", "NXinstrument"),
            ("entry/instrument/detector", "NXdetector"),
        ):
            file.create_group(name).attrs["NX_class"] = kind
        found = hdf5.dataset(file, PATH, translated(mask.reasons, NXMX))
        found.attrs["polarity"] = POLARITY

    hdf5.write(path, "nxmx", mask, fill)


def read(path: str | os.PathLike[str]) -> Mask:
    """Read the pixel mask of a NeXus file; any bit masks a pixel.

    Raises
    ------
    FileFormatError
        If there is none, or it is not that of a full CSPAD.
    """
    with hdf5.opened(path) as file:
        return hdf5.result(file, path, "nxmx", hdf5.words(file, path, PATH) == 0)
