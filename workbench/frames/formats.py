"""Formats of frames: what a writer gets, and the table of those there are."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.geometry import Geometry
from workbench.mask import Mask

COMPRESSIONS = ("bitshuffle", "gzip", "none")


@dataclass(frozen=True)
class Frame:
    """One event as it is written.

    Attributes
    ----------
    event, seconds, nanoseconds, fiducials : of the event; a time of 0 is unknown.
    data : float32 or int32 of the detector's shape, ADU; masked pixels have their values still.
    wavelength_angstrom, distance_mm : of the event.
    peaks : number of peaks.
    """

    event: int
    seconds: int
    nanoseconds: int
    fiducials: int
    data: NDArray[Any]
    wavelength_angstrom: float
    distance_mm: float
    peaks: int


@dataclass(frozen=True)
class Setting:
    """What the frames of a run have in common.

    Attributes
    ----------
    experiment, run, address : whose frames they are.
    geometry : of the detector.
    mask : pixels that are not to be used; None if all are.
    dtype : of the pixels.
    compression : of HDF5 files, one of `COMPRESSIONS`.
    provenance : a plain dictionary that can be written as JSON.
    """

    experiment: str
    run: int
    address: str
    geometry: Geometry
    mask: Mask | None
    dtype: np.dtype[Any]
    compression: str = "bitshuffle"
    provenance: dict[str, Any] = field(default_factory=dict)


class FrameFile(Protocol):
    """A file that frames are added to."""

    def add(self, frame: Frame) -> None:
        """Write a frame after those before."""
        ...


class FormatModule(Protocol):
    """A module of this package that writes a format.

    It may also have ``write_beside(folder, base, setting, distance_mm, files, overwrite)``, which
    writes what a program needs beside the frames and gives the paths.
    """

    def opened(
        self, path: Path, setting: Setting, overwrite: bool
    ) -> AbstractContextManager[FrameFile]:
        """Open a file to write; it appears when the context ends well."""
        ...


@dataclass(frozen=True)
class Format:
    """One format of frames.

    Attributes
    ----------
    module : name of the `FormatModule`.
    ending : of its files.
    single : True if each event is a file.
    text : for people.
    """

    module: str
    ending: str
    single: bool
    text: str

    def load(self) -> FormatModule:
        """Module that writes the format."""
        return cast("FormatModule", import_module(f"workbench.frames.{self.module}"))


FORMATS: dict[str, Format] = {
    "cbf": Format("cbf", ".cbf", True, "one CBF per event, as cxi.xtc_dump writes"),
    "nxmx": Format("nxmx", ".nxs", False, "NXmx HDF5 for DIALS"),
    "crystfel": Format("crystfel", ".cxi", False, "CXI/HDF5 for CrystFEL, with .geom and .lst"),
}


def find_format(name: str) -> Format:
    """Format of a name.

    Raises
    ------
    WorkbenchError
        If there is none of that name.
    """
    if name not in FORMATS:
        raise WorkbenchError(f"{name!r} is no format of frames; known are {', '.join(FORMATS)}.")
    return FORMATS[name]


def filters(compression: str) -> dict[str, Any]:
    """Arguments of ``create_dataset`` for a compression.

    Raises
    ------
    WorkbenchError
        If it is not known.
    """
    if compression == "none":
        return {}
    if compression == "gzip":
        return {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    if compression != "bitshuffle":
        raise WorkbenchError(
            f"{compression!r} is no compression of frames; known are {', '.join(COMPRESSIONS)}."
        )
    from hdf5plugin import Bitshuffle

    return dict(Bitshuffle(cname="lz4"))
