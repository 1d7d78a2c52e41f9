"""Reading and writing detector images, whatever the format."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import DETECTORS
from workbench.errors import FileFormatError, WorkbenchError, cannot_read, first_line
from workbench.files import parse_json, read_regular, replacing, split_dataset
from workbench.geometry import Geometry
from workbench.hdf5 import UNKNOWN_FILTER, reading_hdf5, replacing_hdf5
from workbench.hdf5_walk import datasets
from workbench.images import smalldata
from workbench.images.cbf import read_cbf, write_cbf
from workbench.images.model import DetectorImage, as_detector_array
from workbench.numpy_files import read_array, read_only_array
from workbench.runs.frame_files import fabio_frame, is_image, only_dataset, open_fabio

if TYPE_CHECKING:
    import h5py

WRITTEN = (".cbf", ".h5", ".npy", ".edf", ".tif", ".tiff")


def read_image(path: str | os.PathLike[str]) -> DetectorImage:
    """Read one detector image: CBF, HDF5 (also ``file.h5:/dataset``), npy, npz, or fabio's formats.

    Of the files of smalldata, ``file.h5:jungfrau4M_calib`` is the average of a run,
    ``…_calib_square`` its standard deviation and ``…_calib_max`` its maximum.

    Files other than CBF and the workbench's own HDF5 carry no geometry and no beam.

    Raises
    ------
    FileFormatError
        If the file cannot be read or does not hold one detector image; one line says why.
    """
    file, dataset = split_dataset(path)
    try:
        start = read_regular(file, 16)
    except OSError as error:
        raise FileFormatError(path, cannot_read("image", error)) from error
    if not start:
        raise FileFormatError(path, "the file is empty; expected an image.")
    if start.startswith(b"###CBF"):
        return read_cbf(file)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return _read_hdf5(file, dataset)
    if start.startswith(b"PK\3\4"):
        data = read_only_array(file, is_image, dataset)
    else:
        data = read_array(file) if start.startswith(b"\x93NUMPY") else _read_fabio(file)
    try:
        return DetectorImage(data, name=Path(file).stem)
    except WorkbenchError as error:
        raise FileFormatError(path, str(error)) from error


def write_image(
    image: DetectorImage, path: str | os.PathLike[str], *, overwrite: bool = True
) -> None:
    """Write an image atomically, in the format of the suffix.

    ``.cbf`` and ``.h5`` keep everything; ``.npy``, ``.edf`` and ``.tif`` the values alone, the
    latter two as the modules below one another.

    Raises
    ------
    WorkbenchError
        If the suffix is not known, or the image cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".cbf":
        write_cbf(image, path, overwrite=overwrite)
        return
    if suffix not in WRITTEN:
        raise WorkbenchError(f"{path}: cannot write {suffix or 'this'}; use {', '.join(WRITTEN)}.")
    if suffix == ".h5":
        with replacing_hdf5(path, overwrite=overwrite) as file:
            _fill_hdf5(file, image)
        return
    with replacing(path, overwrite=overwrite) as temporary:
        if suffix == ".npy":
            with temporary.open("wb") as stream:
                np.save(stream, image.data)
        else:
            _write_fabio(image.data.reshape(-1, image.data.shape[-1]), temporary, suffix)


def _read_fabio(path: str) -> NDArray[Any]:
    with open_fabio(path) as opened:
        if opened.nframes > 1:
            problem = f"expected one image, found {opened.nframes} frames; average them first."
            raise FileFormatError(path, problem)
        return fabio_frame(opened, path)


def _write_fabio(data: NDArray[Any], path: Path, suffix: str) -> None:
    from fabio.edfimage import EdfImage
    from fabio.tifimage import TifImage

    if data.dtype == bool:
        data = data.astype(np.uint8)
    if suffix != ".edf" and data.dtype == np.float64:  # fabio's TIFF has no 64-bit reals
        single = data.astype(np.float32)
        if not np.array_equal(single, data, equal_nan=True):
            raise WorkbenchError("TIFF would round these values to 32 bits; write .edf or .npy.")
        data = single
    (EdfImage if suffix == ".edf" else TifImage)(data=data).write(str(path))


def _fill_hdf5(file: h5py.File, image: DetectorImage) -> None:
    entry = file.create_group("entry")
    entry.attrs["creator"] = "cspad-workbench"
    data = entry.create_dataset(
        "data", data=image.data, chunks=(1, *image.data.shape[1:]), compression="gzip",
        compression_opts=1, shuffle=True,
    )  # fmt: skip
    facts = {
        "kind": image.kind,
        "units": image.provenance.get("unit"),
        "name": image.name,
        "distance_mm": image.distance_mm,
        "wavelength_angstrom": image.wavelength_angstrom,
        "timestamp": image.timestamp,
        "provenance": json.dumps(image.provenance, default=str),
        "geometry": None if image.geometry is None else _plain_text(image.geometry),
    }
    for key, value in facts.items():
        if value is not None:
            data.attrs[key] = value


def _plain_text(geometry: Geometry) -> str:
    return geometry.to_text().encode("utf-8", "surrogateescape").decode("latin-1")


def _read_hdf5(path: str, dataset: str) -> DetectorImage:
    try:
        with reading_hdf5(path) as file:
            chosen = _find_dataset(file, path, dataset)
            if chosen.parent.name == smalldata.GROUP:
                return _of_smalldata(file, path, chosen.name.rpartition("/")[2])
            facts = dict(chosen.attrs)
            data = as_detector_array(chosen[()])
    except FileFormatError:
        raise
    except WorkbenchError as error:
        raise FileFormatError(path, str(error)) from error
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        hint = UNKNOWN_FILTER if "filter" in str(error) else ""
        problem = f"cannot read this HDF5 file ({first_line(error)})."
        raise FileFormatError(path, problem, hint=hint) from error
    text = facts.get("geometry")
    geometry = None
    if isinstance(text, str):
        text = text.encode("latin-1", "replace").decode("utf-8", "surrogateescape")
        geometry = Geometry.parse(text, path)

    def real(key: str) -> float | None:
        number = facts.get(key)
        return float(number) if isinstance(number, float | np.floating) else None

    try:
        provenance = parse_json(facts.get("provenance", "{}"))
    except (TypeError, ValueError):
        provenance = {}
    return DetectorImage(
        data,
        geometry=geometry,
        distance_mm=real("distance_mm"),
        wavelength_angstrom=real("wavelength_angstrom"),
        kind=str(facts.get("kind", "image")),
        name=str(facts.get("name", Path(path).stem)),
        timestamp=real("timestamp"),
        provenance=provenance if isinstance(provenance, dict) else {},
    )


def _of_smalldata(file: h5py.File, path: str, name: str) -> DetectorImage:
    image = smalldata.read_sum(file, path, name)
    provenance: dict[str, Any] = {"smalldata": name}
    if image.events is not None:
        provenance["count"] = image.events
    return DetectorImage(image.data, kind=image.kind, name=name, provenance=provenance)


def _find_dataset(file: h5py.File, path: str, dataset: str) -> h5py.Dataset:
    """Dataset asked for, or the only one in the file that is a detector image."""
    import h5py

    if dataset:
        if dataset not in file and f"{smalldata.GROUP}/{dataset}" in file:
            dataset = f"{smalldata.GROUP}/{dataset}"
        if dataset not in file or not isinstance(file[dataset], h5py.Dataset):
            raise FileFormatError(path, f"there is no dataset {dataset}.")
        named = file[dataset]
        if (named.size or 0) > smalldata.LARGEST_IMAGE:
            problem = f"expected one detector image in {dataset}, found {named.shape}."
            raise FileFormatError(path, problem)
        return named
    smallest = min(detector.pixels for detector in DETECTORS)
    large = [
        item
        for item in datasets(file)
        if item.dtype.kind in "biuf" and item.size is not None and item.size >= smallest
    ]
    usable = [item for item in large if is_image(item.shape)]
    if usable:
        return only_dataset(usable, path, "detector images")
    shapes = ", ".join(f"{item.name} {item.shape}" for item in large[:3]) or "nothing of that size"
    raise FileFormatError(path, f"expected one detector image, found {shapes}.")
