"""NXmx: ``/entry/instrument/detector/pixel_mask``, uint32, two-dimensional, 0 = good, else bits.

Bits as in the NeXus class NXdetector: 1 dead, 2 under-responding, 3 over-responding, 4 noisy,
8 masked by the user. NXdetector takes a third dimension for one mask per frame, so the modules
stand below each other, as in psana's files; an ``NXdetector_module`` (``Q0S0`` …) for each module
says where it is. (dxtbx 3.12 takes a mask only of modules as wide as the image, so not of
ASICs.)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from workbench.mask.formats import hdf5
from workbench.mask.formats.bits import POLARITY, translated
from workbench.mask.mask import Mask

if TYPE_CHECKING:
    import h5py

PATH = "entry/instrument/detector/pixel_mask"


def write(mask: Mask, path: str | os.PathLike[str]) -> None:
    """Write a NeXus file with the pixel mask and the places of the modules in it."""

    def fill(file: h5py.Group) -> None:
        for name, kind in (
            ("entry", "NXentry"),
            ("entry/instrument", "NXinstrument"),
            ("entry/instrument/detector", "NXdetector"),
        ):
            file.create_group(name).attrs["NX_class"] = kind
        detector = mask.detector
        words = translated(mask.reasons, "nxmx").reshape(-1, detector.columns)
        hdf5.dataset(file, PATH, words).attrs["polarity"] = POLARITY
        for number in range(detector.modules):
            name = f"entry/instrument/detector/{detector.module_name(number)}"
            module = file.create_group(name)
            module.attrs["NX_class"] = "NXdetector_module"
            module["data_origin"] = np.array([number * detector.rows, 0])
            module["data_size"] = np.array(detector.module_shape)

    hdf5.write(path, "nxmx", mask, fill)


def read(path: str | os.PathLike[str]) -> Mask:
    """Read the pixel mask of a NeXus file; any bit masks a pixel.

    Raises
    ------
    FileFormatError
        If there is none, or it is not that of a known detector.
    """
    with hdf5.opened(path) as file:
        return hdf5.result(file, path, "nxmx", hdf5.words(file, path, PATH) == 0)
