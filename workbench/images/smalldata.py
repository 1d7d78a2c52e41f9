"""Sums over a run in the HDF5 files of smalldata, as the images a calibration starts from.

smalldata (slac-lcls/smalldata_tools@578c6c1) adds up the corrected events of a detector in
``Sums/<detector>_calib``, their squares in ``…_calib_square``, and keeps the largest values in
``…_calib_max``; ``dropped`` in a name means events without X-rays, ``thresADU5`` values of at least
5 (``DetObject.processSums``, ``smd_producer.py``). ``damage/<detector>`` is 1 for each event in
which the detector is, ``lightStatus/xray`` 0 for each without X-rays. Of a run that was written by
several processes, the producer for LCLS-II adds up their maxima as well.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import DETECTORS
from workbench.errors import FileFormatError
from workbench.images.model import as_detector_array

if TYPE_CHECKING:
    import h5py

GROUP = "/Sums"
_NAME = re.compile(r"(?P<detector>.+?)_(?:calib|raw)(?P<what>(?:_.+)?)")
_TIMES = ("event_time", "timestamp")
_LIGHT = "lightStatus/xray"
LARGEST_IMAGE = max(detector.pixels for detector in DETECTORS)
MOST_EVENTS = 100_000_000
"""Of one run; what says that it has more is damaged."""
ROUNDED = 1e-5
"""A variance below this share of the squared mean is lost in the rounding of 32-bit sums."""


class SumImage(NamedTuple):
    """Image that a sum gives.

    Attributes
    ----------
    data : float64 ``(modules, rows, columns)``; NaN where the sums do not tell the deviation.
    kind : ``average``, ``stddev`` or ``maximum``.
    events : how many; None of a maximum.
    """

    data: NDArray[np.float64]
    kind: str
    events: int | None


def read_sum(file: h5py.File, path: str | os.PathLike[str], name: str) -> SumImage:
    """Image of a dataset in ``Sums``: a sum gives the average, that of squares the deviation.

    Raises
    ------
    FileFormatError
        If it is the sum of something else, or it is not known over how many events.
    WorkbenchError
        If it is not an image of a known detector.
    """
    match = _NAME.fullmatch(name)
    what = match["what"] if match else ""
    if match is None or "nhits" in what or "skip" in what:
        raise FileFormatError(
            path,
            f"{GROUP}/{name} is not a sum over whole events.",
            hint="Use the sums NAME_calib, NAME_calib_square and NAME_calib_max.",
        )
    values = _values(file, path, name)
    if "max" in what:
        return SumImage(values, "maximum", None)
    count = _count(file, path, match["detector"], "dropped" in what)
    if "square" not in what:
        return SumImage(values / count, "average", count)
    plain = name.replace("_square", "")
    if plain not in file[GROUP]:
        raise FileFormatError(
            path, f"{GROUP}/{name} gives no standard deviation without {GROUP}/{plain}."
        )
    mean = _values(file, path, plain) / count
    variance = np.maximum(values / count - mean**2, 0.0)
    if file[GROUP][name].dtype.itemsize < 8 or file[GROUP][plain].dtype.itemsize < 8:
        variance[(variance < ROUNDED * mean**2) & (mean != 0)] = np.nan
    return SumImage(np.sqrt(variance), "stddev", count)


def _values(file: h5py.File, path: str | os.PathLike[str], name: str) -> NDArray[np.float64]:
    dataset = _dataset(file, path, f"{GROUP}/{name}")
    if dataset.ndim == 2 and "img" in name:
        raise FileFormatError(
            path,
            f"{GROUP}/{name} is a picture assembled from the modules.",
            hint="Use the sum without img in its name.",
        )
    return as_detector_array(np.asarray(dataset[()], np.float64))


def _count(file: h5py.File, path: str | os.PathLike[str], detector: str, dropped: bool) -> int:
    """Number of events that are in a sum."""
    times = next((name for name in _TIMES if name in file), None)
    if f"damage/{detector}" in file:
        there = _by_event(file, path, f"damage/{detector}") == 1
    elif times is not None:
        there = np.ones(len(_dataset(file, path, times, events=True)), bool)
    else:
        raise FileFormatError(
            path,
            f"the number of events in {GROUP}/{detector}_… is not known: there is no "
            f"damage/{detector} and no {' or '.join(_TIMES)}.",
            hint="Its maximum can be used.",
        )
    if dropped:
        light = _by_event(file, path, _LIGHT) if _LIGHT in file else np.empty(0)
        if len(light) != len(there):
            problem = f"the events without X-rays are not known: there is no {_LIGHT} of each."
            raise FileFormatError(path, problem)
        there = there & (light == 0)
    count = int(np.count_nonzero(there))
    if not count:
        raise FileFormatError(path, f"its sums contain no event of {detector}.")
    return count


def _by_event(file: h5py.File, path: str | os.PathLike[str], name: str) -> NDArray[Any]:
    return np.asarray(_dataset(file, path, name, events=True)[()])


def _dataset(
    file: h5py.File, path: str | os.PathLike[str], name: str, events: bool = False
) -> h5py.Dataset:
    """Dataset of numbers; if `events`, one for each event, of which there are not too many."""
    import h5py

    dataset = file.get(name)
    if (
        not isinstance(dataset, h5py.Dataset)
        or dataset.shape is None
        or dataset.dtype.kind not in "biuf"
    ):
        raise FileFormatError(path, f"expected numbers in {name}, found something else.")
    if not events and (dataset.size or 0) > LARGEST_IMAGE:
        shape = " × ".join(map(str, dataset.shape))
        raise FileFormatError(path, f"expected one detector image in {name}, found {shape}.")
    if events and (dataset.ndim != 1 or dataset.size > MOST_EVENTS):
        shape = " × ".join(map(str, dataset.shape or ())) or "a single one"
        raise FileFormatError(path, f"expected a number for each event in {name}, found {shape}.")
    return dataset
