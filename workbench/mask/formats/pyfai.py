"""EDF and TIFF for pyFAI, silx and Dioptas: modules below each other, 8 bits, non-zero = masked."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from workbench.detectors import DETECTORS
from workbench.errors import FileFormatError
from workbench.files import replacing
from workbench.mask.mask import Mask
from workbench.runs.frame_files import fabio_frame, open_fabio

POLARITY = "non-zero = masked"
MAX_BYTES = 256 * 2**20


def write(mask: Mask, path: str | os.PathLike[str]) -> None:
    """Write EDF or TIFF, by the ending; EDF states the convention in its header."""
    from fabio.edfimage import EdfImage
    from fabio.tifimage import TifImage

    detector = mask.detector
    masked = (~mask.good).astype(np.uint8).reshape(-1, detector.columns)
    layout = f"psana {masked.shape[0]} x {masked.shape[1]}"
    with replacing(path) as temporary:
        if Path(path).suffix.lower() == ".edf":
            header = {"title": f"{detector.name} mask", "polarity": POLARITY, "layout": layout}
            EdfImage(data=masked, header=header).write(str(temporary))
        else:
            TifImage(data=masked).write(str(temporary))


def read(path: str | os.PathLike[str]) -> Mask:
    """Read an EDF or TIFF image, or by its ending another that fabio knows; non-zero = masked.

    What is named ``.edf`` or ``.tif``, compressed or not, is read as that and nothing else.

    Raises
    ------
    FileFormatError, MaskError
        If it is no such image.
    """
    try:
        if os.stat(path).st_size > MAX_BYTES:
            raise FileFormatError(path, f"has more than {MAX_BYTES} bytes, too many for a mask.")
    except OSError as error:
        raise FileFormatError(path, f"cannot be read ({error.strerror}).") from error
    with open_fabio(path) as opened:
        if math.prod(opened.shape) not in {detector.pixels for detector in DETECTORS}:
            shape = " × ".join(map(str, opened.shape))
            raise FileFormatError(path, f"{shape} pixels are not those of a known detector.")
        array = fabio_frame(opened, path)
    return Mask.from_good(array == 0, {"file": os.fspath(path), "format": "pyfai"})
