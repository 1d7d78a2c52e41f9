"""Constants of all gain ranges from dark runs that show one range each.

A Jungfrau takes three dark runs, an ePix10ka five (FH, FM, FL, AHL-H, AML-M); no dark run shows
AHL-L and AML-L. What is not shown stays as it is deployed, as in psana's
``UtilsEpix10kaCalib`` and ``UtilsJungfrauCalib`` (slac-lcls/lcls2), whose status bits are these
too: 64 is a pixel with gain bits of no range.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from workbench.constants import constants_folder, read_constants
from workbench.corrections.dark import (
    OTHER_RANGE,
    STATUS_BITS,
    DarkConstants,
    DarkImages,
    DarkLimits,
    make_constants,
)
from workbench.corrections.gain_ranges import gain_code, ranges_of
from workbench.detectors import Detector
from workbench.errors import ConstantsError
from workbench.recipe import Events
from workbench.runs import GAIN_MAP_CHANGES, EventSource

SAMPLED = 8
"""Events, spread over a run, that tell its gain range."""
LEAST_SHARE = 0.9
"""Share of the pixels that are in the range of a dark run; some are always stuck in another."""


@dataclass(frozen=True)
class RangeDark:
    """Constants of the one gain range that a dark run shows; see `range_dark`.

    Attributes
    ----------
    detector : what took the run.
    gain_range : its number in files of constants.
    run, count : number of the run, and of its events.
    constants : of this range alone.
    """

    detector: Detector
    gain_range: int
    run: int
    count: int
    constants: DarkConstants

    @property
    def name(self) -> str:
        """Name of the range, e.g. ``g1``."""
        return ranges_of(self.detector).names[self.gain_range]


@dataclass(frozen=True)
class AllRanges:
    """Constants of all gain ranges; see `join_ranges`.

    Attributes
    ----------
    constants : arrays ``(ranges, modules, rows, columns)``.
    darks : what dark runs showed.
    kept : names of the ranges that are as they were deployed.
    """

    constants: DarkConstants
    darks: tuple[RangeDark, ...]
    kept: tuple[str, ...]

    def describe(self) -> str:
        """Which ranges are new and which are kept, one sentence."""
        new = [f"{dark.name} of run {dark.run} ({dark.count} events)" for dark in self.darks]
        return ", ".join(new) + (
            f"; {', '.join(self.kept)} as deployed before" if self.kept else ""
        )


def range_dark(
    images: DarkImages,
    run: EventSource,
    limits: DarkLimits | None = None,
    selection: Events | None = None,
) -> RangeDark:
    """Constants of the gain range that a dark run shows.

    Parameters
    ----------
    images : raw images of the run, e.g. of `workbench.average_run` without corrections.
    run : the run; a few of its events are read to see which range their pixels are in.
    limits : what a good pixel keeps.
    selection : which events the images are of; None means all.

    Raises
    ------
    ConstantsError
        If the detector has no gain ranges, the pixels are in several, or as `make_constants`.
    """
    if run.detector.gain_ranges is None:
        raise ConstantsError(
            f"The {run.detector.name} has no gain ranges; one dark run gives its constants."
        )
    ranges, name = ranges_of(run.detector), f"{run.experiment} run {run.number}"
    code, table = gain_code(run, ranges), np.array(ranges.table, np.int8)
    shares, taken = np.zeros(ranges.count + 1), []
    every = max(1, images.count // SAMPLED)
    for event in islice(run.events(None, selection), 0, every * SAMPLED, every):
        raw = event.raw
        if raw is None:
            continue
        if raw.dtype.kind not in "iu" or raw.dtype.itemsize != 2:
            raise ConstantsError(
                f"Raw data of the {run.detector.name} are 16-bit numbers with gain bits, those of "
                f"{name} are {raw.dtype}; take the run as it was recorded."
            )
        in_range = table[code, np.asarray(raw).view(np.uint16) >> 14]
        shares += np.bincount(in_range.reshape(-1) + 1, minlength=shares.size)
        taken.append(in_range)
    if not taken:
        raise ConstantsError(f"No event of {name} shows the gain range of its pixels.")
    shares /= shares.sum()
    shown = int(shares[1:].argmax())
    if shares[shown + 1] < LEAST_SHARE or any(GAIN_MAP_CHANGES in text for text in run.problems):
        seen = ", ".join(
            f"{100 * share:.0f} % in {what}"
            for what, share in zip(("no range", *ranges.names), shares, strict=True)
            if share >= 0.005
        )
        raise ConstantsError(
            f"The pixels of {name} are not in one gain range ({seen}; the configuration may change "
            "within the run); take a dark run of each range."
        )
    constants = make_constants(images, limits)
    other = np.logical_or.reduce([in_range != shown for in_range in taken])
    status = constants.pixel_status | np.where(other, OTHER_RANGE, 0).astype(np.int32)
    counts = constants.counts | {
        STATUS_BITS[OTHER_RANGE]: int(np.count_nonzero(status & OTHER_RANGE))
    }
    constants = dataclasses.replace(constants, pixel_status=status, counts=counts)
    return RangeDark(run.detector, shown, run.number, images.count, constants)


def join_ranges(
    darks: Sequence[RangeDark], calib_dir: str | os.PathLike[str], address: str, first_run: int
) -> AllRanges:
    """Constants of all gain ranges, from dark runs and from what is deployed.

    Parameters
    ----------
    darks : of one detector, each of another range.
    calib_dir, address, first_run : ranges that no dark run shows have the constants that serve
        this run; their rms is 1 and their status 0 where none is deployed, as in psana.

    Raises
    ------
    ConstantsError
        If there are none, two show the same range, or pedestals of a range are not known.
    """
    if not darks:
        raise ConstantsError("There are no dark runs to make constants of.")
    detector = darks[0].detector
    ranges = ranges_of(detector)
    by_range: dict[int, RangeDark] = {}
    for dark in darks:
        if dark.detector is not detector:
            raise ConstantsError(
                f"Run {dark.run} is of {dark.detector.a_name}, run {darks[0].run} of "
                f"{detector.a_name}."
            )
        if dark.gain_range in by_range:
            raise ConstantsError(
                f"Runs {by_range[dark.gain_range].run} and {dark.run} both show {dark.name}; give "
                "one dark run of each gain range."
            )
        by_range[dark.gain_range] = dark
    kept = [name for number, name in enumerate(ranges.names) if number not in by_range]
    pedestals, rms, status = (
        _deployed(kind, detector, calib_dir, address, first_run) if kept else None
        for kind in ("pedestals", "pixel_rms", "pixel_status")
    )
    if kept and pedestals is None:
        raise ConstantsError(
            f"No dark run shows {', '.join(kept)} of the {detector.name}, and no pedestals serve "
            f"run {first_run} in {constants_folder(calib_dir, address, 'pedestals')}; add dark "
            "runs of these gain ranges, or deploy their pedestals once with psana's tools."
        )
    full = (ranges.count, *detector.shape)
    joined = DarkConstants(
        np.zeros(full, np.float32) if pedestals is None else pedestals.astype(np.float32),
        np.ones(full, np.float32) if rms is None else rms.astype(np.float32),
        np.zeros(full, np.int32) if status is None else status.astype(np.int32),
        {},
        {},
    )
    for number, dark in sorted(by_range.items()):
        joined.pedestals[number] = dark.constants.pedestals
        joined.pixel_rms[number] = dark.constants.pixel_rms
        joined.pixel_status[number] = dark.constants.pixel_status
        for meaning, count in dark.constants.counts.items():
            joined.counts[f"{dark.name} {meaning}"] = count
        for what, limits in dark.constants.limits.items():
            joined.limits[f"{dark.name} {what}"] = limits
    return AllRanges(joined, tuple(darks), tuple(kept))


def _deployed(
    kind: str, detector: Detector, calib_dir: str | os.PathLike[str], address: str, run: int
) -> NDArray[np.generic] | None:
    """Deployed constants of all ranges, or None."""
    values = read_constants(calib_dir, address, kind, run, detector)
    if values is None:
        return None
    return np.broadcast_to(values, (ranges_of(detector).count, *detector.shape))
