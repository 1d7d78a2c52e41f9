"""Files that hold frames: npy stacks, HDF5 and CXI, and whatever fabio reads."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from workbench.detector import PIXELS, SHAPE_2X2, as_detector_array
from workbench.errors import FileFormatError, WorkbenchError
from workbench.runs.xtc.beamline import HC_EV_ANGSTROM

ReadCbf = Callable[[Path], Any]
"""Gives an image with ``data``, ``geometry``, ``distance_mm`` and ``wavelength_angstrom``."""

_MASK_NAMES = ("mask", "pixelmask_shared", "pixel_mask")
_ENERGY_PATHS = ("LCLS/photon_energy_eV", "entry_1/instrument_1/source_1/energy")
_ENCODER_PATHS = ("LCLS/detector_1/EncoderValue", "LCLS/detector0-EncoderValue")
_JOULE_PER_EV = 1.602176634e-19


@dataclass
class Frame:
    """One frame and what its file tells about it."""

    pixels: NDArray[Any] | None
    """``(32, 185, 388)`` or ``(2, 185, 388)``; masked where the file has a mask; None where they
    were not wanted."""
    seconds: int = 0
    nanoseconds: int = 0
    fiducials: int = 0
    photon_energy_ev: float | None = None
    encoder_mm: float | None = None
    distance_mm: float | None = None
    geometry: Any = None


Wanted = Callable[[int], bool]


def read_frames(
    path: Path,
    dataset: str = "",
    read_cbf: ReadCbf | None = None,
    wanted: Wanted = lambda number: True,
) -> Iterator[Frame]:
    """Frames of one file, first to last; one is in memory at a time.

    Parameters
    ----------
    path : the file.
    dataset : in an HDF5 file, the dataset; empty finds the only one with CSPAD frames.
    read_cbf : reads the CBF of a CSPAD as cctbx writes it, which fabio cannot.
    wanted : whether the pixels of the frame of this number in the file are to be read.

    Raises
    ------
    FileFormatError
        If the file cannot be read or does not hold CSPAD frames.
    """
    try:
        kind = _kind(path)
    except OSError as error:
        raise FileFormatError(path, f"cannot read this file ({error.strerror}).") from error
    if kind == "hdf5":
        frames = _read_hdf5(path, dataset, wanted)
    elif kind == "npy":
        frames = _read_npy(path, wanted)
    elif kind == "cbf" and read_cbf is not None:
        frames = _read_cspad_cbf(path, read_cbf, wanted)
    else:
        frames = _read_fabio(path, wanted)
    try:
        yield from frames
    except FileFormatError:
        raise
    except WorkbenchError as error:
        raise FileFormatError(path, str(error)) from error


def count_frames(path: Path, dataset: str = "") -> int:
    """About how many frames a file has, without reading them; 1 if that is not quickly known."""
    with suppress(WorkbenchError, OSError, ValueError, EOFError, KeyError, RuntimeError):
        kind = _kind(path)
        if kind == "npy":
            return _length(np.load(path, mmap_mode="r", allow_pickle=False))
        if kind == "hdf5":
            import h5py

            with h5py.File(path, "r") as file:
                return _length(_find_dataset(file, path, dataset))
    return 1


def _length(stack: Any) -> int:
    return 1 if _as_one(stack.shape) else int(stack.shape[0])


def _kind(path: Path) -> str:
    with open(path, "rb") as file:
        start = file.read(16)
    signs = {b"\x89HDF\r\n\x1a\n": "hdf5", b"\x93NUMPY": "npy", b"###CBF": "cbf"}
    return next((kind for sign, kind in signs.items() if start.startswith(sign)), "")


def _fail(path: Path, error: BaseException, hint: str = "") -> NoReturn:
    lines = str(error).strip().splitlines()
    problem = f"cannot be read ({lines[0].rstrip('.') if lines else type(error).__name__})."
    raise FileFormatError(path, problem, hint=hint) from error


def _read_cspad_cbf(path: Path, read_cbf: ReadCbf, wanted: Wanted) -> Iterator[Frame]:
    if not wanted(0):
        yield Frame(None)
        return
    image = read_cbf(path)
    length = image.wavelength_angstrom
    yield Frame(
        as_detector_array(image.data),
        photon_energy_ev=HC_EV_ANGSTROM / length if length else None,
        distance_mm=image.distance_mm,
        geometry=image.geometry,
    )


def _read_npy(path: Path, wanted: Wanted) -> Iterator[Frame]:
    try:
        stack = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError, TypeError, OverflowError) as error:
        _fail(path, error)
    for pixels in _split(stack, path, wanted):
        yield Frame(None if pixels is None else np.asarray(pixels))


def _read_fabio(path: Path, wanted: Wanted) -> Iterator[Frame]:
    import fabio

    try:
        opened = fabio.open(str(path))
        count = opened.nframes
    except Exception as error:  # fabio raises many kinds
        hint = "Known are npy, HDF5, CXI, and fabio's formats (CBF, EDF, TIFF, …)."
        raise FileFormatError(path, "no known image format.", hint=hint) from error
    with opened:
        for number in range(count):
            if not wanted(number):
                yield Frame(None)
                continue
            try:
                pixels = np.array(opened.data if count == 1 else opened.get_frame(number).data)
            except Exception as error:
                _fail(path, error)
            yield Frame(as_detector_array(pixels))


def _split(stack: Any, path: Path, wanted: Wanted) -> Iterator[Any]:
    """Single frames of an array or dataset: one frame, or a stack of them along the first axis.

    None stands for one that is not wanted.
    """
    if _as_one(stack.shape):
        yield as_detector_array(stack[()]) if wanted(0) else None
        return
    if len(stack.shape) < 2 or not _as_one(stack.shape[1:]):
        found = " × ".join(map(str, stack.shape)) or "a single number"
        raise FileFormatError(path, f"expected CSPAD frames, found {found}.")
    for number in range(stack.shape[0]):
        yield as_detector_array(stack[number]) if wanted(number) else None


def _as_one(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape is one CSPAD frame."""
    if math.prod(shape) not in (PIXELS, math.prod(SHAPE_2X2)):
        return False
    try:  # only the shape matters: an array of zero strides costs nothing
        as_detector_array(np.broadcast_to(np.zeros((), np.uint8), shape))
    except WorkbenchError:
        return False
    return True


def _read_hdf5(path: Path, named: str, wanted: Wanted) -> Iterator[Frame]:
    import h5py

    with suppress(ImportError):  # filters of compressed files, where installed
        import hdf5plugin  # noqa: F401
    try:
        with h5py.File(path, "r") as file:
            dataset = _find_dataset(file, path, named)
            tells = _Tells(file, dataset)
            mask = _find_mask(dataset)
            for number, pixels in enumerate(_split(dataset, path, wanted)):
                if pixels is not None and mask is not None:
                    pixels = mask(number, pixels)
                yield tells.frame(number, pixels)
    except (WorkbenchError, GeneratorExit):
        raise
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, OverflowError) as error:
        hint = "Its compression may need the package hdf5plugin." if "filter" in str(error) else ""
        _fail(path, error, hint)


def _find_dataset(file: Any, path: Path, named: str) -> Any:
    import h5py

    if named:
        found = file.get(named)
        if not isinstance(found, h5py.Dataset):
            raise FileFormatError(path, f"there is no dataset {named}.")
        return found
    usable: list[Any] = []

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iuf":
            return
        if os.path.basename(name) in _MASK_NAMES:
            return
        if _as_one(item.shape) or (item.ndim > 1 and _as_one(item.shape[1:])):
            usable.append(item)

    file.visititems(visit)
    if len(usable) == 1:
        return usable[0]
    if not usable:
        raise FileFormatError(path, "there are no CSPAD frames in this HDF5 file.")
    names = ", ".join(item.name for item in usable[:5])
    raise FileFormatError(
        path,
        f"it holds {len(usable)} datasets of CSPAD frames ({names}).",
        hint=f"Name one: {path}:{usable[0].name}",
    )


def _find_mask(dataset: Any) -> Callable[[int, NDArray[Any]], NDArray[Any]] | None:
    """Mask beside the data (CXI: 0 is good), for all frames or for each."""
    found = next((dataset.parent[n] for n in _MASK_NAMES if n in dataset.parent), None)
    if found is None or found.dtype.kind not in "biu":
        return None
    if _as_one(found.shape):
        bad = as_detector_array(found[()]) != 0
        return lambda _, pixels: np.ma.MaskedArray(pixels, mask=bad)
    if found.shape == dataset.shape:

        def masked(number: int, pixels: NDArray[Any]) -> NDArray[Any]:
            return np.ma.MaskedArray(pixels, mask=as_detector_array(found[number]) != 0)

        return masked
    return None


class _Tells:
    """Beam line values that LCLS's HDF5 files (Cheetah, psana) hold beside the frames."""

    def __init__(self, file: Any, dataset: Any) -> None:
        count = dataset.shape[0]

        def column(*paths: str) -> NDArray[Any] | None:
            for name in paths:
                found = file.get(name)
                if found is not None and getattr(found, "shape", None) == (count,):
                    return np.asarray(found[()])
            return None

        self._seconds = column("LCLS/machineTime")
        self._nanoseconds = column("LCLS/machineTimeNanoSeconds")
        self._fiducials = column("LCLS/fiducial")
        self._energy = column(_ENERGY_PATHS[0])
        if self._energy is None:
            joule = column(_ENERGY_PATHS[1])
            self._energy = None if joule is None else joule / _JOULE_PER_EV
        self._encoder = column(*_ENCODER_PATHS)
        times = dataset.parent.get("time")  # psana-translated files
        if times is not None and getattr(times, "shape", None) == (count,) and times.dtype.names:
            names, values = times.dtype.names, times[()]
            if {"seconds", "nanoseconds", "fiducials"} <= set(names):
                self._seconds, self._nanoseconds = values["seconds"], values["nanoseconds"]
                self._fiducials = values["fiducials"]

    def frame(self, number: int, pixels: NDArray[Any] | None) -> Frame:
        """Frame with what is known of it."""
        energy = self._value(self._energy, number)
        return Frame(
            pixels,
            seconds=int(self._value(self._seconds, number) or 0),
            nanoseconds=int(self._value(self._nanoseconds, number) or 0),
            fiducials=int(self._value(self._fiducials, number) or 0),
            photon_energy_ev=energy if energy is not None and energy > 0 else None,
            encoder_mm=self._value(self._encoder, number),
        )

    @staticmethod
    def _value(column: NDArray[Any] | None, number: int) -> float | None:
        if column is None or column.dtype.kind not in "iuf" or number >= len(column):
            return None
        value = float(column[number])
        return value if math.isfinite(value) else None
