"""Files of frames opened as if they were a run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.detectors import DEFAULT_ADDRESS
from workbench.pipeline.averaging import open_run

if TYPE_CHECKING:
    from workbench.images import DetectorImage
    from workbench.runs import Frames, Run


def open_frames(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    experiment: str = "",
    run: int = 0,
    address: str = DEFAULT_ADDRESS,
    calib_dir: str | os.PathLike[str] | None = None,
) -> Frames:
    """Open detector frames in other files than XTC, ready for `workbench.average_run`.

    Parameters
    ----------
    paths : one file or several: npy, HDF5, CXI (``file.cxi:/dataset`` names the dataset), CBF,
        EDF, TIFF and what else fabio reads; each holds one frame or a stack.
    experiment, run, address, calib_dir : what the frames belong to; needed to correct them.

    Raises
    ------
    NoEventsError
        If there are no frames.
    FileFormatError
        If a file cannot be read or holds no frames of a known detector.
    """
    from workbench import corrections, runs

    return runs.open_frames(
        paths,
        experiment=experiment,
        run=run,
        address=address,
        calib_dir=calib_dir,
        make_corrector=corrections.make_corrector,
        read_cbf=_read_cbf,
    )


def open_files(
    paths: Sequence[str],
    *,
    experiment: str = "",
    run: int = 0,
    address: str = DEFAULT_ADDRESS,
    calib_dir: str | os.PathLike[str] | None = None,
) -> Run:
    """Open XTC2 files of an LCLS-II run, or files of frames (see `open_frames`)."""
    if all(path.endswith(".xtc2") for path in paths):
        return open_run(address=address, calib_dir=calib_dir, files=paths)
    return open_frames(paths, experiment=experiment, run=run, address=address, calib_dir=calib_dir)


def _read_cbf(path: Path) -> DetectorImage:
    from workbench.images import read_image

    return read_image(path)
