"""Mask files: one module per format, chosen by name, by the file's ending, or by its content.

========  =====================  ==================================================
name      good pixel             file
========  =====================  ==================================================
dials     True                   pickle of DIALS/cctbx, ``.pickle``, ``.pickle.gz``
npy       True                   numpy array, ``.npy``
cxi       0, else bits           CXI/HDF5, ``.cxi``, ``.h5``
nxmx      0, else bits           NeXus/HDF5, ``.nxs``
crystfel  0, else bits           HDF5 in Cheetah's layout and geometry lines, ``.h5``
pyfai     0, masked non-zero     EDF, TIFF
psana-mask    1                  text, row by row, ``.txt``, ``.data``
psana-status  0, else bits       text, row by row, ``.txt``, ``.data``
========  =====================  ==================================================
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from numpy.typing import ArrayLike

from workbench.errors import FileFormatError, MaskError
from workbench.mask.mask import Mask


class Format(NamedTuple):
    """One kind of mask file.

    Attributes
    ----------
    module : module of this package that reads and writes it.
    endings : of files that are written in it, unless another format is named.
    text : for people, with the value of a good pixel.
    """

    module: str
    endings: tuple[str, ...]
    text: str


class FormatModule(Protocol):
    """What a module of this package does; one that knows several formats gets the name of one."""

    def write(self, mask: Mask, path: str | os.PathLike[str], *format: str) -> None: ...
    def read(self, path: str | os.PathLike[str], *format: str) -> Mask: ...


FORMATS: dict[str, Format] = {
    "dials": Format(
        "dials", (".pickle", ".pkl", ".pickle.gz", ".pkl.gz"), "DIALS/cctbx pickle, True = good"
    ),
    "npy": Format("npy", (".npy",), "numpy, True = good"),
    "cxi": Format("cxi", (".cxi", ".h5", ".hdf5"), "CXI/HDF5, 0 = good, bits say why not"),
    "nxmx": Format("nxmx", (".nxs",), "NXmx pixel_mask, 0 = good, bits say why not"),
    "crystfel": Format("crystfel", (), "CrystFEL in Cheetah's layout, 0 = good, CXI bits"),
    "pyfai": Format("pyfai", (".edf", ".tif", ".tiff"), "EDF/TIFF, non-zero = masked"),
    "psana-mask": Format("psana", (".txt", ".data"), "psana pixel_mask, 1 = good"),
    "psana-status": Format("psana", (), "psana pixel_status, 0 = good, bits say why not"),
}


def write_mask(
    mask: Mask | ArrayLike,
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    force: bool = False,
) -> None:
    """Write a mask file, atomically.

    Parameters
    ----------
    mask : a mask, or an array that is True where a pixel is good (see `Mask.from_good`).
    path : where; its ending decides the format if `format` is None.
    format : a name of `FORMATS`.
    force : write it even if it was made from images that seem swapped.

    Raises
    ------
    MaskError
        If the format is unknown, the images seem swapped, or an array is that of no known detector.
    WorkbenchError
        If the file cannot be written.
    """
    name = check_format(path, format)
    if not isinstance(mask, Mask):
        mask = Mask.from_good(mask)
    if not force:
        mask.refuse_mix_up()
    arguments = (name,) if FORMATS[name].module == "psana" else ()
    _module(name).write(mask, path, *arguments)


def read_mask(path: str | os.PathLike[str], format: str | None = None) -> Mask:
    """Read a mask file; its format is recognised by ending and content unless it is named.

    Nothing in the file is executed.

    Raises
    ------
    FileFormatError
        If it is not a readable mask of a known detector; the message says what was found.
    MaskError
        If the format is unknown.
    """
    if format is not None and format not in FORMATS:
        raise MaskError(_unknown_format(format))
    if Path(path).exists() and not Path(path).is_file():  # a pipe would be waited for
        raise FileFormatError(path, "is not a file.")
    name = format or _format_of_ending(path)
    if name is None:
        raise FileFormatError(path, _unknown_ending(path), hint="Name the format.")
    if format is None and name in ("cxi", "nxmx"):
        name = _format_of_hdf5(path)
    named = (format,) if FORMATS[name].module == "psana" else ()
    try:
        return _module(name).read(path, *named)
    except MaskError as error:  # of what is in the file
        raise FileFormatError(path, str(error)) from error


def check_format(path: str | os.PathLike[str], format: str | None = None) -> str:
    """Name of the format a file would be written in.

    Raises
    ------
    MaskError
        If neither `format` nor the ending of `path` is that of a mask.
    """
    name = format or _format_of_ending(path)
    if name is None:
        raise MaskError(f"{path}: {_unknown_ending(path)} Name the format, or another ending.")
    if name not in FORMATS:
        raise MaskError(_unknown_format(name))
    return name


def _module(name: str) -> FormatModule:
    return cast(FormatModule, import_module(f"workbench.mask.formats.{FORMATS[name].module}"))


def _format_of_ending(path: str | os.PathLike[str]) -> str | None:
    file = Path(path).name.lower()
    return next(
        (name for name, kind in FORMATS.items() if file.endswith(kind.endings or "/")), None
    )


def _format_of_hdf5(path: str | os.PathLike[str]) -> str:
    from workbench.mask.formats import crystfel, cxi, hdf5, nxmx

    with hdf5.opened(path) as file:
        stated = file.attrs.get(hdf5.FORMAT_ATTRIBUTE)
        if stated in FORMATS:
            return str(stated)
        for name, module in (("cxi", cxi), ("nxmx", nxmx)):
            if module.PATH in file:
                return name
        hint = ""
        if crystfel.PATH in file:
            hint = "If 0 is a good pixel in it, name the format crystfel."
    raise FileFormatError(path, f"no mask at {cxi.PATH} or {nxmx.PATH}.", hint=hint)


def _unknown_ending(path: str | os.PathLike[str]) -> str:
    endings = ", ".join(ending for kind in FORMATS.values() for ending in kind.endings)
    return f"the ending {Path(path).suffix!r} is not that of a mask file (known: {endings})."


def _unknown_format(name: str) -> str:
    return f"There is no mask format {name!r}; known are {', '.join(FORMATS)}."
