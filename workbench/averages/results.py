"""The images of a run and their files."""

from __future__ import annotations

import os
import string
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench import provenance
from workbench.averages.halves import HALVES, half_name
from workbench.averages.state import AveragingState
from workbench.averages.statistics import Statistics
from workbench.detectors import Detector
from workbench.errors import WorkbenchError
from workbench.geometry import Geometry
from workbench.images import DetectorImage, image_ending, write_image
from workbench.images.cbf import date_text

BASE_NAMES: dict[str, str] = {
    "average": "{experiment!l}_avg-r{run:04d}",
    "stddev": "{experiment!l}_stddev-r{run:04d}",
    "maximum": "{experiment!l}_max-r{run:04d}",
    "minimum": "{experiment!l}_min-r{run:04d}",
}
"""Names of the files without extension, as ``cxi.mpi_average`` gives them."""

FRAME_NAMES: dict[str, str] = {
    kind: base.replace("-r{run:04d}", "") for kind, base in BASE_NAMES.items()
}
"""The same for frames that belong to no run."""


@dataclass(frozen=True)
class RunImages:
    """Average, standard deviation, maximum and minimum of the events of a run.

    Attributes
    ----------
    statistics : of each pixel.
    experiment, run, address : what was averaged.
    detector : what took the events.
    skipped : events left out, by reason.
    encoder_mm : mean position of the detector's encoder, or None if unknown.
    distance_mm : mean of encoder + detz offset, or None if neither is known.
    wavelength_angstrom : mean over the events that tell it, or None if none does.
    seconds : mean time of the events, since 1970 UTC, or None.
    provenance : where the result comes from.
    partial : True if not all events asked for are in it (cancelled, or still running).
    absent_is_zero : pixels that never had a value are 0, as psana gives absent modules; else NaN.
    warnings : sentences about what is suspicious.
    state : what was collected, to be saved and gone on from; None for merged runs and halves.
    split : how the events were divided in two, ``odd-even`` or ``first-last``; empty if not.
    of_halves : statistics of the two halves if there are any; see `halves`.
    half : ``odd``, ``even``, ``first`` or ``last`` if these are the images of a half.
    """

    statistics: Statistics
    experiment: str
    run: int
    address: str
    detector: Detector
    skipped: Counter[str] = field(default_factory=Counter)
    encoder_mm: float | None = None
    distance_mm: float | None = None
    wavelength_angstrom: float | None = None
    seconds: float | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    partial: bool = False
    absent_is_zero: bool = True
    warnings: tuple[str, ...] = ()
    state: AveragingState | None = field(default=None, repr=False, compare=False)
    split: str = ""
    of_halves: tuple[Statistics, ...] = field(default=(), repr=False)
    half: str = ""

    @cached_property
    def halves(self) -> tuple[RunImages, ...]:
        """Images of one and of the other half of the events; empty if they were not divided.

        Distance, wavelength, time and events left out are those of all events.
        """
        if not self.of_halves:
            return ()
        names = HALVES[self.split]
        return tuple(
            replace(
                self,
                statistics=statistics,
                provenance={
                    **self.provenance,
                    "count": statistics.count,
                    "half": {"which": half, "split": self.split},
                },
                state=None,
                split="",
                of_halves=(),
                half=half,
            )
            for half, statistics in zip(names, self.of_halves, strict=True)
        )

    @property
    def count(self) -> int:
        """Events averaged."""
        return self.statistics.count

    @property
    def unit(self) -> str:
        """Unit of the images, ``ADU`` or ``keV``."""
        return provenance.unit_of(self.provenance)

    @property
    def pixel_count(self) -> NDArray[np.int64]:
        """Events in which each pixel had a value, int64 of the detector's shape."""
        return self.statistics.pixel_count

    @cached_property
    def average(self) -> NDArray[np.float64]:
        """Mean of each pixel, ADU, float64 of the detector's shape."""
        return self._filled(self.statistics.mean)

    @cached_property
    def stddev(self) -> NDArray[np.float64]:
        """Standard deviation of the population (ddof = 0) of each pixel, ADU, float64."""
        return self._filled(self.statistics.stddev())

    @cached_property
    def maximum(self) -> NDArray[np.float64]:
        """Maximum of each pixel, ADU, float64."""
        return self._filled(self.statistics.maximum)

    @cached_property
    def minimum(self) -> NDArray[np.float64]:
        """Minimum of each pixel, ADU, float64."""
        return self._filled(self.statistics.minimum)

    def _filled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        absent = self.statistics.pixel_count == 0
        filled = np.where(absent, 0.0 if self.absent_is_zero else np.nan, values)
        filled.flags.writeable = False
        return filled

    def image(self, kind: str, geometry: Geometry | None = None) -> DetectorImage:
        """One of the four as an image with geometry, distance and wavelength."""
        if kind not in BASE_NAMES:
            raise WorkbenchError(f"{kind!r} is no image of a run; choose of {list(BASE_NAMES)}.")
        return DetectorImage(
            getattr(self, kind),
            geometry=geometry,
            distance_mm=self.distance_mm,
            wavelength_angstrom=self.wavelength_angstrom,
            kind=kind,
            name=self.file_name(BASE_NAMES[kind], ""),
            timestamp=self.seconds,
            provenance=self.provenance,
        )

    @property
    def extension(self) -> str:
        """End of the names of image files."""
        return image_ending(self.detector)

    @property
    def timestamp(self) -> str | None:
        """Mean time of the events as cctbx.xfel writes it, e.g. ``2016-02-20T23:46Z40.248``."""
        return None if self.seconds is None else date_text(self.seconds)

    def file_name(self, base: str, extension: str = ".cbf", run: int | None = None) -> str:
        """Fill in a base name: fields experiment, run, address; ``!l`` lower, ``!u`` upper case.

        `run` stands for another run number.

        Raises
        ------
        WorkbenchError
            If the base name has another field.
        """
        fields = {
            "experiment": self.experiment,
            "run": self.run if run is None else run,
            "address": self.address,
        }
        name = _format_name(base, fields)
        return (half_name(name, self.half) if self.half else name) + extension

    def save(
        self,
        folder: str | os.PathLike[str],
        geometry: Geometry | None = None,
        names: Mapping[str, str | None] | None = None,
        kinds: tuple[str, ...] = ("average", "stddev", "maximum", "minimum"),
    ) -> dict[str, Path]:
        """Write the images as CBF files (or HDF5, see `extension`), each atomically.

        Of halves of the events average and maximum are written too.

        Parameters
        ----------
        folder : where to; made if absent.
        geometry : of the detector; see `workbench.averages.deployed_geometry`.
        names : base names by kind, default `BASE_NAMES`.
        kinds : which images, in this order.

        Returns
        -------
        Paths written, by kind; those of halves by ``odd average`` and so on.
        """
        chosen = {**BASE_NAMES, **{k: v for k, v in (names or {}).items() if v}}
        extension = self.extension
        shown = {kind: (self, kind) for kind in kinds}
        for half in self.halves:
            shown |= {f"{half.half} {k}": (half, k) for k in kinds if k in ("average", "maximum")}
        paths = {
            name: Path(folder) / of.file_name(chosen[kind], extension)
            for name, (of, kind) in shown.items()
        }
        if len(set(paths.values())) < len(paths):
            raise WorkbenchError(
                f"Two of the images would get the name {next(iter(paths.values()))}; give each "
                "its own base name."
            )
        for name, (of, kind) in shown.items():
            write_image(of.image(kind, geometry), paths[name])
        return paths

    def save_state(self, path: str | os.PathLike[str]) -> Path:
        """Write all that is needed to go on averaging the run later (``average_run(resume=…)``).

        The file (npz) holds count, mean, m2, maximum and minimum of each pixel, the keys of the
        events gone through, and what was averaged how. It replaces a file there before.

        Raises
        ------
        WorkbenchError
            If the images are merged from several runs, or of a half of the events.
        """
        if self.state is None:
            raise WorkbenchError(
                "Images merged from several runs, or of half the events, have no state to go on "
                "from."
            )
        self.state.save(path)
        return Path(path)

    def describe(self) -> dict[str, Any]:
        """Summary as plain values, for ``--json`` and reports."""
        halves = {half.half: half.count for half in self.halves}
        return {
            "experiment": self.experiment,
            "run": self.run,
            "address": self.address,
            "events": self.count,
            "unit": self.unit,
            **({"halves": halves} if halves else {}),
            "skipped": dict(self.skipped),
            "partial": self.partial,
            "distance_mm": self.distance_mm,
            "encoder_mm": self.encoder_mm,
            "wavelength_angstrom": self.wavelength_angstrom,
            "timestamp": self.timestamp,
            "warnings": list(self.warnings),
        }


class _Formatter(string.Formatter):
    """Formatter with the conversions ``!l`` and ``!u``."""

    def convert_field(self, value: object, conversion: str | None) -> object:
        if conversion == "l":
            return str(value).lower()
        if conversion == "u":
            return str(value).upper()
        return super().convert_field(value, conversion)


def _format_name(base: str, fields: Mapping[str, Any]) -> str:
    """Fill fields such as ``{experiment!l}`` and ``{run:04d}`` into a base name."""
    try:
        return _Formatter().vformat(base, (), fields)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise WorkbenchError(
            f"The file name {base!r} cannot be filled in ({error}); known fields: "
            f"{', '.join(fields)}."
        ) from error
