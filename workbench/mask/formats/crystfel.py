"""CrystFEL: ``/data/mask`` in Cheetah's slab, 0 = good, else CXI bits.

Beside the file stands ``<file>.geom``, the lines that a CrystFEL geometry for Cheetah's layout
needs to use it, in place of its own about a mask. In the slab the modules of a group (sensors of a
CSPAD quadrant) stand below each other and the groups side by side.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.files import replacing
from workbench.mask.formats import hdf5
from workbench.mask.formats.bits import POLARITY, all_bits, good_in_cxi, translated
from workbench.mask.mask import Mask

if TYPE_CHECKING:
    import h5py

PATH = "data/mask"


def write(mask: Mask, path: str | os.PathLike[str]) -> None:
    """Write the mask, and the geometry lines to ``<path>.geom``."""

    def fill(file: h5py.Group) -> None:
        slab = mask.detector.to_crystfel(translated(mask.reasons, "cxi").astype(np.uint16))
        hdf5.dataset(file, PATH, slab).attrs["polarity"] = POLARITY

    hdf5.write(path, "crystfel", mask, fill)
    with replacing(f"{os.fspath(path)}.geom") as temporary:
        temporary.write_text(geometry_lines(path))


def geometry_lines(path: str | os.PathLike[str]) -> str:
    """Lines for a CrystFEL geometry file: where the mask is and which bits are bad."""
    return (
        f"; Trusted pixels: put these lines in place of those the geometry has for its mask,\n"
        f"; before its first panel.\n"
        f"; A pixel is good if none of the bits of mask_bad is set.\n"
        f"mask_file = {Path(path).name}\n"
        f"mask = /{PATH}\n"
        f"mask_good = 0x0000\n"
        f"mask_bad = 0x{all_bits('cxi'):04x}\n"
    )


def read(path: str | os.PathLike[str]) -> Mask:
    """Read ``/data/mask`` of a slab (or another layout of a detector), 0 = good.

    Raises
    ------
    FileFormatError
        If there is none, or it is not that of a known detector.
    """
    with hdf5.opened(path) as file:
        good = good_in_cxi(hdf5.words(file, path, PATH))
        return hdf5.result(file, path, "crystfel", good)
