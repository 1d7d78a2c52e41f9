"""CXI: ``/entry_1/instrument_1/detector_1/mask``, uint32 by module, 0 = good, else bits.

Bits as in the CXI file format (cxidb.org): invalid, saturated, hot, dead, shadowed, … Bits that
only remark on a pixel (in a peak, corrected) do not mask it when read.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from workbench.mask.formats import hdf5
from workbench.mask.formats.bits import POLARITY, good_in_cxi, translated
from workbench.mask.mask import Mask

if TYPE_CHECKING:
    import h5py

PATH = "entry_1/instrument_1/detector_1/mask"


def write(mask: Mask, path: str | os.PathLike[str]) -> None:
    """Write a CXI file with the mask alone."""

    def fill(file: h5py.Group) -> None:
        file["cxi_version"] = 160
        words = hdf5.dataset(file, PATH, translated(mask.reasons, "cxi"))
        words.attrs["axes"] = "module_identifier:y:x"
        words.attrs["polarity"] = POLARITY

    hdf5.write(path, "cxi", mask, fill)


def read(path: str | os.PathLike[str]) -> Mask:
    """Read the mask of a CXI file.

    Raises
    ------
    FileFormatError
        If there is none, or it is not that of a known detector.
    """
    with hdf5.opened(path) as file:
        return hdf5.result(file, path, "cxi", good_in_cxi(hdf5.words(file, path, PATH)))
