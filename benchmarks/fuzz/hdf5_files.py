"""HDF5 files that are whole, and in which something stands that a reader does not expect."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

from workbench.detectors import AGIPD_1M, CSPAD_2X2, EPIX10KA_QUAD, JUNGFRAU_05M

FRAMES = 3
_SHAPE = CSPAD_2X2.shape
_OTHER_SHAPES = (
    EPIX10KA_QUAD.shape, JUNGFRAU_05M.shape, AGIPD_1M.shape, (8192, 128), (16, 2, 512, 128),
)  # fmt: skip
_TIME = np.dtype([("seconds", "<u4"), ("nanoseconds", "<u4"), ("fiducials", "<u4")])
_ODD_TIMES = (
    np.dtype([("seconds", "<f8"), ("nanoseconds", "<i8"), ("fiducials", "S4")]),
    np.dtype([("seconds", "<u8"), ("nanoseconds", "<u8"), ("fiducials", "<u8")]),
    np.dtype([("seconds", "<u4", (2,)), ("nanoseconds", "<u4", (2,)), ("fiducials", "<u4", (2,))]),
)
Put = Callable[[h5py.File, str], Any]


def _column(values: Any) -> Put:
    return lambda file, name: file.create_dataset(name, data=values)


def _empty(file: h5py.File, name: str) -> None:
    file[name] = h5py.Empty("<f4")


def _link(target: str) -> Put:
    def put(file: h5py.File, name: str) -> None:
        file[name] = h5py.SoftLink(target)

    return put


def _outside(file: h5py.File, name: str) -> None:
    file[name] = h5py.ExternalLink("/etc/passwd", "/x")


def _strings(file: h5py.File, name: str) -> None:
    file.create_dataset(name, (FRAMES,), h5py.string_dtype())


def _references(file: h5py.File, name: str) -> None:
    file.create_dataset(name, (FRAMES,), h5py.ref_dtype)


def _ragged(file: h5py.File, name: str) -> None:
    file.create_dataset(name, (FRAMES,), h5py.vlen_dtype(np.float32))


def _type(file: h5py.File, name: str) -> None:
    file[name] = np.dtype("<f4")


def _large(file: h5py.File, name: str) -> None:
    """Says that it is large; nothing of it is stored."""
    file.create_dataset(name, (1 << 40,), "<f8", chunks=(1 << 16,))


ODD: list[Put] = [
    _empty, _link("/nowhere"), _link("/"), _link("/entry"), _outside, _strings, _references,
    _ragged, _type, _large, _column(np.float64(7)), _column(np.nan), _column([]),
    _column([np.nan, np.inf, -np.inf]), _column([-1, -2, -3]), _column([2**63 - 1] * FRAMES),
    _column(np.array([2**64 - 1] * FRAMES, np.uint64)), _column([1e308, -1e308, 1e-320]),
    _column([1 + 2j] * FRAMES), _column([b"a"] * FRAMES), _column([True] * FRAMES),
    _column(np.zeros((FRAMES, 1))), _column(np.zeros((0, 3))), _column(np.zeros(FRAMES + 1)),
    _column(np.zeros(FRAMES, _TIME)), *(_column(np.ones(FRAMES, kind)) for kind in _ODD_TIMES),
    lambda file, name: file.create_group(name),
    lambda file, name: file.create_dataset(name, _SHAPE, "u1"),
    lambda file, name: file.create_dataset(name, (FRAMES, *_SHAPE), "<f4"),
    lambda file, name: file.create_dataset(name, (FRAMES, *_SHAPE), "<i8"),
    lambda file, name: file.create_dataset(name, (FRAMES + 2, *_SHAPE), "<u2"),
    lambda file, name: file.create_dataset(name, (0, *_SHAPE), "<u2"),
    lambda file, name: file.create_dataset(name, EPIX10KA_QUAD.shape, "<u2"),
    lambda file, name: file.create_dataset(name, (FRAMES, *_SHAPE), "S3"),
    lambda file, name: file.create_dataset(name, (FRAMES, *_SHAPE), "<c8"),
]  # fmt: skip
_ATTRIBUTES = (
    b"\xff\xfe", "\udcff".encode("utf-8", "surrogatepass"), np.nan, np.inf, -1, "x" * 1000, "{",
    "[" * 3000, '{"unit": [1]}', '{"unit": null}', np.zeros(3), h5py.Empty("f4"), True,
    np.array([b"a", b"b"]), "null", "7",
)  # fmt: skip


def _filled(usual: dict[str, Put], marked: str, rng: random.Random, odd: int) -> bytes:
    """File of these objects, `odd` of them replaced, left out or repeated, attributes added."""
    names = list(usual)
    for _ in range(odd):
        kind = rng.random()
        if kind < 0.6:
            usual[rng.choice(names)] = rng.choice(ODD)
        elif kind < 0.75:
            usual.pop(rng.choice(names), None)
        elif kind < 0.85:
            usual[f"entry/more{rng.randrange(5)}"] = rng.choice(ODD)
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, put in usual.items():
            try:
                put(file, name)
            except (ValueError, OSError, TypeError, RuntimeError):  # its parent is no group now
                continue
        for _ in range(odd):
            item = file.get(marked) if rng.random() < 0.5 else None
            if isinstance(item, h5py.Dataset):
                key = rng.choice(
                    ("kind", "units", "name", "distance_mm", "wavelength_angstrom", "timestamp",
                     "provenance", "geometry", "bits")
                )  # fmt: skip
                item.attrs[key] = rng.choice(_ATTRIBUTES)
    return stream.getvalue()


def frames_file(rng: random.Random, odd: int) -> bytes:
    """Stack of frames with times, energies, encoder and mask, as Cheetah and psana write them."""
    numbers = np.arange(1, FRAMES + 1)
    shape = _SHAPE if rng.random() < 0.7 else rng.choice(_OTHER_SHAPES)
    data = rng.choice(("entry_1/data_1/data", "entry/data"))
    parent = data.rpartition("/")[0]
    usual: dict[str, Put] = {
        data: lambda file, name: file.create_dataset(name, (FRAMES, *shape), "<i2"),
        f"{parent}/mask": lambda file, name: file.create_dataset(name, (FRAMES, *shape), "u1"),
        f"{parent}/time": _column(np.ones(FRAMES, _TIME)),
        "LCLS/machineTime": _column(numbers + 10**9),
        "LCLS/machineTimeNanoSeconds": _column(numbers),
        "LCLS/fiducial": _column(numbers),
        "LCLS/photon_energy_eV": _column(numbers + 9000.0),
        "entry_1/instrument_1/source_1/energy": _column(numbers * 1e-15),
        "LCLS/detector_1/EncoderValue": _column(numbers - 500.0),
    }
    return _filled(usual, data, rng, odd)


def sums_file(rng: random.Random, odd: int) -> bytes:
    """Sums over a run as smalldata writes them."""
    kinds = ("calib", "calib_square", "calib_dropped", "calib_max")
    usual: dict[str, Put] = {
        f"Sums/epix_{kind}": lambda file, name: file.create_dataset(name, _SHAPE, "<f4")
        for kind in kinds
    }
    usual["damage/epix"] = _column([1, 1, 0])
    usual["lightStatus/xray"] = _column([1, 0, 1])
    usual["event_time"] = _column([1, 2, 3])
    return _filled(usual, "Sums/epix_calib", rng, odd)
