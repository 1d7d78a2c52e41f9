"""Files that hold frames: npy and npz stacks, HDF5 and CXI, and whatever fabio reads."""

from __future__ import annotations

import logging
import math
import os
from bz2 import BZ2File
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from gzip import GzipFile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any, NoReturn, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import DETECTORS, recognise
from workbench.errors import FileFormatError, WorkbenchError, cannot_read, first_line
from workbench.files import only_regular, read_regular
from workbench.hdf5 import UNKNOWN_FILTER, reading_hdf5
from workbench.hdf5_walk import datasets
from workbench.numpy_files import MOST_EXPANDED, read_header, read_only_array
from workbench.quantities import HC_EV_ANGSTROM

if TYPE_CHECKING:
    import h5py
    from fabio.fabioimage import FabioImage


class Placed(Protocol):
    """Geometry that a file of frames holds; see `workbench.geometry.Geometry`."""

    def pixel_positions_um(self) -> NDArray[np.float64]: ...


class FrameImage(Protocol):
    """Image of a CBF file as its reader gives it; see `workbench.images.DetectorImage`."""

    @property
    def data(self) -> NDArray[Any]: ...
    @property
    def geometry(self) -> Placed | None: ...
    @property
    def distance_mm(self) -> float | None: ...
    @property
    def wavelength_angstrom(self) -> float | None: ...


class Stack(Protocol):
    """One frame, or a stack of them along the first axis: an array, or a dataset of a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __getitem__(self, place: int | tuple[()], /) -> NDArray[Any]: ...


ReadCbf = Callable[[Path], FrameImage]

_MASK_NAMES = ("mask", "pixelmask_shared", "pixel_mask")
_ENERGY_PATHS = ("LCLS/photon_energy_eV", "entry_1/instrument_1/source_1/energy")
_ENCODER_PATHS = ("LCLS/detector_1/EncoderValue", "LCLS/detector0-EncoderValue")
_JOULE_PER_EV = 1.602176634e-19


@dataclass
class Frame:
    """One frame and what its file tells about it."""

    pixels: NDArray[Any] | None
    """``(modules, rows, columns)``; masked where the file has a mask; None where they were not
    wanted."""
    seconds: int = 0
    nanoseconds: int = 0
    fiducials: int = 0
    photon_energy_ev: float | None = None
    encoder_mm: float | None = None
    distance_mm: float | None = None
    geometry: Placed | None = None


Wanted = Callable[[int], bool]
_EXPAND: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    ".gz": lambda stream: cast("IO[bytes]", GzipFile(fileobj=stream)),
    ".bz2": lambda stream: cast("IO[bytes]", BZ2File(stream)),
}


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
    dataset : in an HDF5 file the dataset, in an npz file the array; empty finds the only one with
        frames.
    read_cbf : reads a CBF of many panels as cctbx writes it, which fabio cannot.
    wanted : whether the pixels of the frame of this number in the file are to be read.

    Raises
    ------
    FileFormatError
        If the file cannot be read or does not hold frames of a known detector.
    """
    try:
        kind = _kind(path)
    except OSError as error:
        raise FileFormatError(path, cannot_read("file", error)) from error
    if kind == "hdf5":
        frames = _read_hdf5(path, dataset, wanted)
    elif kind == "npz":
        frames = _split(read_only_array(path, _as_stack, dataset), path, wanted)
    elif kind == "npy":
        frames = _split(_NpyStack(path), path, wanted)
    elif kind == "cbf" and read_cbf is not None:
        frames = _read_panel_cbf(path, read_cbf, wanted)
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
            return _length(_NpyStack(path))
        if kind == "npz":
            return _length(read_only_array(path, _as_stack, dataset))
        if kind == "hdf5":
            with reading_hdf5(path) as file:
                return _length(_find_dataset(file, path, dataset))
    return 1


def _length(stack: Stack) -> int:
    return 1 if is_image(stack.shape) else int(stack.shape[0])


def _kind(path: Path) -> str:
    start = read_regular(path, 16)
    signs = {
        b"\x89HDF\r\n\x1a\n": "hdf5", b"\x93NUMPY": "npy", b"PK\3\4": "npz", b"###CBF": "cbf",
    }  # fmt: skip
    return next((kind for sign, kind in signs.items() if start.startswith(sign)), "")


def _fail(path: str | os.PathLike[str], error: BaseException, hint: str = "") -> NoReturn:
    raise FileFormatError(path, f"cannot be read ({first_line(error)}).", hint=hint) from error


def _read_panel_cbf(path: Path, read_cbf: ReadCbf, wanted: Wanted) -> Iterator[Frame]:
    if not wanted(0):
        yield Frame(None)
        return
    image = read_cbf(path)
    length = image.wavelength_angstrom
    yield Frame(
        _as_array(image.data),
        photon_energy_ev=HC_EV_ANGSTROM / length if length else None,
        distance_mm=image.distance_mm,
        geometry=image.geometry,
    )


class _NpyStack:
    """Array in an npy file of which single frames are read, with the interface of a dataset.

    Raises
    ------
    FileFormatError
        If the file is none, holds Python objects, or is shorter than its header says; also later,
        if it is cut short or the file system fails.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with open(path, "rb") as file:
                header = read_header(file, os.fstat(file.fileno()).st_size)
        except Exception as error:  # of many kinds, whatever stands in place of the header
            _fail(path, error)
        self.shape, self.dtype, self._by_columns, self._start = header

    def __getitem__(self, place: int | tuple[()], /) -> NDArray[Any]:
        if isinstance(place, tuple) or self._by_columns:
            whole = self._read(0, math.prod(self.shape))
            result: NDArray[Any] = whole.reshape(
                self.shape, order="F" if self._by_columns else "C"
            )[place]
            return result
        count = math.prod(self.shape[1:])
        return self._read(place * count, count).reshape(self.shape[1:])

    def _read(self, first: int, count: int) -> NDArray[Any]:
        start = self._start + first * self.dtype.itemsize
        try:
            values = np.fromfile(self._path, self.dtype, count, offset=start)
        except OSError as error:
            _fail(self._path, error)
        if values.size < count:
            raise FileFormatError(self._path, "the file was cut short while it was read.")
        return values


@contextmanager
def open_fabio(path: str | os.PathLike[str]) -> Iterator[FabioImage]:
    """Open an image by fabio; by its ending if that is ``.edf`` or ``.tif``.

    fabio by itself would try one format after the other, with some without end. A compressed
    file (``.edf.gz``, ``.edf.bz2``) is expanded into a temporary one before.

    Raises
    ------
    FileFormatError
        If fabio does not know the format, or the file expands to more than `MOST_EXPANDED` bytes.
    """
    import fabio
    from fabio.edfimage import EdfImage
    from fabio.tifimage import TifImage

    kinds = {".edf": EdfImage, ".tif": TifImage, ".tiff": TifImage}
    with ExitStack() as stack:
        try:
            name = Path(path)
            if name.suffix.lower() in _EXPAND:
                name = Path(stack.enter_context(TemporaryDirectory()), name.stem)
                _expand(Path(path), name)
            stack.enter_context(_quiet_fabio())
            kind = kinds.get(name.suffix.lower())
            opened = fabio.open(os.fspath(name)) if kind is None else kind().read(os.fspath(name))
            image = stack.enter_context(opened)
        except FileFormatError:
            raise
        except Exception as error:  # fabio raises many kinds
            hint = "Known are npy, HDF5, CXI, and fabio's formats (CBF, EDF, TIFF, …)."
            raise FileFormatError(path, "no known image format.", hint=hint) from error
        yield image


def fabio_frame(image: FabioImage, path: str | os.PathLike[str], number: int = 0) -> NDArray[Any]:
    """Pixels of a frame of an opened image.

    Raises
    ------
    FileFormatError
        If they cannot be read, or some are missing: fabio fills those with zeros.
    """
    try:
        frame = image if image.nframes == 1 else image.get_frame(number)
        pixels = np.array(frame.data)
    except Exception as error:  # fabio raises many kinds
        _fail(path, error)
    if getattr(image, "incomplete_data", False) or getattr(frame, "incomplete_data", False):
        raise FileFormatError(path, "the file is truncated.", hint="Copy it again.")
    return pixels


@contextmanager
def _quiet_fabio() -> Iterator[None]:
    """Keep fabio from logging what becomes our one line."""
    log = logging.getLogger("fabio")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


def _expand(path: Path, target: Path) -> None:
    """Decompress a file; refused as soon as it is too large, since 3 kB may hold 4 GB."""
    with open(path, "rb", opener=only_regular) as packed, target.open("wb") as file:
        stream = _EXPAND[path.suffix.lower()](packed)
        while piece := stream.read(1 << 20):
            if file.tell() + len(piece) > MOST_EXPANDED:
                raise FileFormatError(
                    path,
                    f"expands to more than {MOST_EXPANDED >> 20} MB.",
                    hint="Decompress it first.",
                )
            file.write(piece)


def _read_fabio(path: Path, wanted: Wanted) -> Iterator[Frame]:
    with open_fabio(path) as opened:
        for number in range(opened.nframes):
            wants = wanted(number)
            yield Frame(_as_array(fabio_frame(opened, path, number)) if wants else None)


def _split(stack: Stack, path: Path, wanted: Wanted) -> Iterator[Frame]:
    """Single frames of an array or dataset: one frame, or a stack of them along the first axis."""
    if is_image(stack.shape):
        yield Frame(_as_array(stack[()]) if wanted(0) else None)
        return
    if len(stack.shape) < 2 or not is_image(stack.shape[1:]):
        shape = " × ".join(map(str, stack.shape)) or "a single number"
        raise FileFormatError(path, f"expected detector frames, found {shape}.")
    for number in range(stack.shape[0]):
        yield Frame(_as_array(stack[number]) if wanted(number) else None)


def _as_array(array: NDArray[Any]) -> NDArray[Any]:
    """Frame as ``(modules, rows, columns)``."""
    return recognise(array)[1]


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape is one frame of a known detector."""
    if math.prod(shape) not in {detector.pixels for detector in DETECTORS}:
        return False
    # only the shape matters: an array of zero strides costs nothing
    array = np.broadcast_to(np.zeros((), np.uint8), shape)
    return any(detector.as_array(array) is not None for detector in DETECTORS)


def _as_stack(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape is one frame of a known detector, or a stack of them."""
    return is_image(shape) or (len(shape) > 1 and is_image(shape[1:]))


def _read_hdf5(path: Path, named: str, wanted: Wanted) -> Iterator[Frame]:
    try:
        with reading_hdf5(path) as file:
            dataset = _find_dataset(file, path, named)
            beamline = _Beamline(file, dataset)
            mask = _find_mask(dataset, path)
            for number, frame in enumerate(_split(dataset, path, wanted)):
                pixels = frame.pixels
                if pixels is not None and mask is not None:
                    pixels = mask(number, pixels)
                yield beamline.frame(number, pixels)
    except (WorkbenchError, GeneratorExit):
        raise
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, OverflowError) as error:
        _fail(path, error, UNKNOWN_FILTER if "filter" in str(error) else "")


def _find_dataset(file: h5py.File, path: Path, named: str) -> h5py.Dataset:
    import h5py

    if named:
        dataset = file.get(named)
        if not isinstance(dataset, h5py.Dataset):
            raise FileFormatError(path, f"there is no dataset {named}.")
        return dataset
    usable = [
        item
        for item in datasets(file)
        if item.dtype.kind in "iuf"
        and os.path.basename(item.name) not in _MASK_NAMES
        and _as_stack(item.shape)
    ]
    if not usable:
        raise FileFormatError(path, "there are no detector frames in this HDF5 file.")
    return only_dataset(usable, path, "datasets of detector frames")


def only_dataset(
    usable: Sequence[h5py.Dataset], path: str | os.PathLike[str], what: str
) -> h5py.Dataset:
    """The one of the usable datasets of a file; if there are several, one must be named."""
    if len(usable) == 1:
        return usable[0]
    names = ", ".join(item.name for item in usable[:5])
    raise FileFormatError(
        path,
        f"it holds {len(usable)} {what} ({names}).",
        hint=f"Name one: {path}:{usable[0].name}",
    )


def _find_mask(
    dataset: h5py.Dataset, path: Path
) -> Callable[[int, NDArray[Any]], NDArray[Any]] | None:
    """Mask beside the data (CXI: 0 is good), for all frames or for each."""
    import h5py

    mask = next((dataset.parent[n] for n in _MASK_NAMES if n in dataset.parent), None)
    if not isinstance(mask, h5py.Dataset) or mask.dtype.kind not in "biu" or mask.shape is None:
        return None
    of_all = _as_array(mask[()]) if is_image(mask.shape) else None
    if of_all is None and mask.shape != dataset.shape:
        return None

    def masked(number: int, pixels: NDArray[Any]) -> NDArray[Any]:
        words = _as_array(mask[number]) if of_all is None else of_all
        if words.shape != pixels.shape:
            expected, given = (" × ".join(map(str, s)) for s in (pixels.shape, words.shape))
            problem = f"expected a mask of {expected} pixels, found {mask.name} of {given}."
            raise FileFormatError(path, problem, hint="Remove it, or write it again.")
        return np.ma.MaskedArray(pixels, mask=words != 0)

    return masked


class _Beamline:
    """Beam line values that LCLS's HDF5 files (Cheetah, psana) hold beside the frames."""

    def __init__(self, file: h5py.File, dataset: h5py.Dataset) -> None:
        count = dataset.shape[0]

        def column(*paths: str) -> NDArray[Any] | None:
            for name in paths:
                values = file.get(name)
                if values is not None and getattr(values, "shape", None) == (count,):
                    return np.asarray(values[()])
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
