"""The detectors that are known, one file each; nothing else in the package holds their numbers."""

from __future__ import annotations

import copyreg
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.detectors.agipd import AGIPD_1M
from workbench.detectors.base import (
    Detector,
    GainRanges,
    GeometryTree,
    Group,
    Grouping,
    Part,
    Placement,
)
from workbench.detectors.cspad import CSPAD, CSPAD_2X2
from workbench.detectors.epix10k import EPIX10K2M, EPIX10KA_QUAD
from workbench.detectors.jungfrau import JUNGFRAU_05M, JUNGFRAU_1M, JUNGFRAU_4M
from workbench.errors import WorkbenchError

DETECTORS: tuple[Detector, ...] = (
    CSPAD,
    CSPAD_2X2,
    EPIX10K2M,
    EPIX10KA_QUAD,
    JUNGFRAU_05M,
    JUNGFRAU_1M,
    JUNGFRAU_4M,
    AGIPD_1M,
)
DEFAULT_ADDRESS = CSPAD.address
"""Address that is meant where none is given."""

__all__ = [
    "AGIPD_1M", "CSPAD", "CSPAD_2X2", "DEFAULT_ADDRESS", "DETECTORS", "EPIX10K2M",
    "EPIX10KA_QUAD", "JUNGFRAU_05M", "JUNGFRAU_1M", "JUNGFRAU_4M", "Detector", "GainRanges",
    "GeometryTree", "Group", "Grouping", "Part", "Placement", "device_name", "find", "recognise",
    "sizes",
]  # fmt: skip


def find(what: str | Sequence[int]) -> Detector:
    """Detector of a name (``CSPAD``), an address (``CxiDs1.0:Cspad.0``) or an array shape.

    An address holds the name of the device between ``:`` or ``_`` and ``.`` or ``-``.

    Raises
    ------
    WorkbenchError
        If it is none of the known ones; the message lists them.
    """
    for detector in DETECTORS:
        if not isinstance(what, str):
            if tuple(what) == detector.shape:
                return detector
        elif what == detector.name or re.search(
            rf"[:_]{re.escape(detector.device)}[.-]", what, re.IGNORECASE
        ):
            return detector
    detectors_text = ", ".join(f"{d.name} ({d.address}, {d.shape_text})" for d in DETECTORS)
    shown = repr(what) if isinstance(what, str) else " × ".join(map(str, what))
    raise WorkbenchError(f"no detector is known as {shown}; known are {detectors_text}.")


def device_name(address: str) -> str | None:
    """What to call the detector at an address: ``CSPAD``, ``ePix10k2M``; None if none is known.

    Where detectors of several sizes stand behind one kind of address it is the device's name,
    ``Jungfrau``.
    """
    try:
        detector = find(address)
    except WorkbenchError:
        return None
    return detector.name if len(sizes(detector)) == 1 else detector.device


def sizes(detector: Detector) -> list[Detector]:
    """Detectors that stand behind the same kind of address, the given one among them."""
    return [other for other in DETECTORS if other.device == detector.device]


def recognise(array: ArrayLike) -> tuple[Detector, NDArray[Any]]:
    """Detector whose image an array is, and the image as ``(modules, rows, columns)``.

    Any layout that `Detector.as_array` knows.

    Raises
    ------
    WorkbenchError
        If it is not an image of a known detector, or may be one of several, or does not hold real
        numbers.
    """
    values = np.asarray(array)
    if values.dtype.kind not in "biuf":
        raise WorkbenchError(f"expected an image of real numbers, found type {values.dtype}.")
    shape_text = " × ".join(map(str, values.shape)) or "a single number"
    images = [
        (detector, image)
        for detector in DETECTORS
        if (image := detector.as_array(values)) is not None
    ]
    if len(images) == 1:
        return images[0]
    if images:
        names = " and ".join(detector.name for detector, _ in images)
        raise WorkbenchError(
            f"{shape_text} values may be an image of {names}; give it as modules × rows × columns."
        )
    expected = "; ".join(
        f"{d.name}: {d.shape_text}, {d.modules * d.rows} × {d.columns} or "
        f"{d.asics} × {d.asic_shape[0]} × {d.asic_shape[1]}"
        for d in DETECTORS
    )
    raise WorkbenchError(f"expected a detector image ({expected}), found {shape_text}.")


def _reduced(detector: Detector) -> tuple[Callable[[str, str], Detector], tuple[str, str]]:
    return _restored, (detector.name, detector.grouping)


def _restored(name: str, grouping: str) -> Detector:
    return find(name).grouped(grouping)


copyreg.pickle(Detector, _reduced)  # by name: one object of each detector in a process
