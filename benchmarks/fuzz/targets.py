"""What is read, and the good files that are damaged: all made by the product's own writers."""

from __future__ import annotations

import dataclasses
import json
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from struct import pack

import numpy as np

import workbench as wb
from benchmarks.fuzz.damage import telling_places, type_places
from workbench.detectors import CSPAD, CSPAD_2X2
from workbench.errors import WorkbenchError
from workbench.images import DetectorImage
from workbench.mask import Mask
from workbench.runs.xtc.decoders import DECODERS

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "runs"))
import test_compression as packing
import xtc_builder as x

Read = Callable[[Path], object]
_HEADINGS = rb"Content-|X-Binary-|loop_|\n_|ASIC|descr|shape|EDF|Dim_|\x00\x01"


@dataclasses.dataclass(frozen=True)
class Target:
    """One reader.

    Attributes
    ----------
    seeds : writes good files into a folder.
    read : reads a file as a user would.
    behind : ``module:function`` that is called once the header was understood; empty if the
        reader is handed what comes after a header.
    places : where in a file damage tells most.
    beside : names of files that `read` leaves beside its own.
    """

    name: str
    seeds: Callable[[Path], list[Path]]
    read: Read
    behind: str = ""
    places: Callable[[bytes], Sequence[int]] = lambda content: ()
    beside: tuple[str, ...] = ()


TARGETS: dict[str, Target] = {}


def _add(
    name: str,
    seeds: Callable[[Path], list[Path]],
    read: Read,
    behind: str = "",
    places: Callable[[bytes], Sequence[int]] = lambda content: telling_places(content, _HEADINGS),
) -> None:
    def made(folder: Path) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        return seeds(folder)

    TARGETS[name] = Target(name, made, read, behind, places)


def _files(**contents: bytes | str) -> Callable[[Path], list[Path]]:
    """Seeds of given content; ``a__b`` stands for the name ``a.b``."""

    def write(folder: Path) -> list[Path]:
        paths = []
        for name, content in contents.items():
            path = folder / name.replace("__", ".")
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            paths.append(path)
        return paths

    return write


# ---- XTC -----------------------------------------------------------------------------------------


def _runs() -> list[bytes]:
    """Runs with all kinds of objects, kept small by reading out few sections."""
    pixels = (np.arange(185 * 388) % 900).astype(np.int16).reshape(1, 185, 388)
    quads = [x.element(quad, pixels) for quad in (2, 0)]
    extra = [x.evr(40), x.ebeam(), x.epics_time(7, -499.0)]
    packed = pack("<I", 32) + x.element_header(0) + pack("<4I", 1, 0, 143564, 143576)
    packed += pack("<3I", 0, 0, 143564) + bytes(143564)
    runs = []
    for version in (1, 2, 3, 4, 5):
        cfg = [
            x.config(version, quad_mask=5, roi=0x00010001),
            x.epics_control(7, "CXI:DS1:MMS:06.RBV", -500.0),
        ]
        events = [[x.data(quads), *extra], [x.xtc(0x8002001C, packed), *extra], extra]
        runs.append(x.run_bytes(events * 2, cfg))
    cfg = [x.config(quad_mask=1, roi=1)]
    events = [[x.xtc(0x8002001C, payload), *extra] for payload in _packed()]
    runs.append(x.run_bytes(events, cfg))
    whole = x.data([x.element(0, pixels)])
    broken = x.data([x.element(0, pixels)], damage=1 << 14)
    runs.append(x.run_bytes([[whole, whole], [broken, whole], [broken], [x.container(whole)]], cfg))
    return runs


def _packed() -> list[bytes]:
    """A quadrant of one section, packed by each engine and in each of its ways."""
    words = np.append(np.arange(185 * 388) % 900, [17, 18]).astype("<i2")
    engines = [(1, packing.hist16(words, 100, flag)) for flag in (0, 1, 3)]
    engines += [(2, packing.histn(words, 100, flag, 2, 5)) for flag in (1, 3)]
    return [
        packing.block(x.element_header(0), engine, data, words.nbytes) for engine, data in engines
    ]


_RUN_FILE = "cxim1416-r0074-s00-c00.xtc"


def _run_seeds(folder: Path) -> list[Path]:
    paths = []
    for number, content in enumerate(_runs()):
        (folder / str(number)).mkdir()
        paths.append(folder / str(number) / _RUN_FILE)
        paths[-1].write_bytes(content)
    return paths


def _read_run(path: Path) -> None:
    from workbench.runs import inspect_run
    from workbench.runs.psdm import find_experiment

    try:
        run = wb.open_run("cxim1416", 74, xtc_dir=path.parent)
        for event in run.events():
            _ = event.raw, event.wavelength_angstrom, event.event_codes, event.encoder_mm
    except WorkbenchError:
        inspect_run(find_experiment("cxim1416", xtc_dir=path.parent).run(74)).to_dict()
        raise


_add("xtc", _run_seeds, _read_run, "workbench.runs.xtc.events:EventReader._event", type_places)


def _xtc(kind: int, version: int, payload: bytes, compressed: bool = False):  # type: ignore[no-untyped-def]
    from workbench.runs.xtc.datagram import Xtc

    contains = kind | version << 16 | compressed << 31
    return Xtc(0, 0x01000123, x.CXIDS1, contains, 40, len(payload))


def _read_config(path: Path) -> object:
    from workbench.runs.xtc.decoders import CONFIG_DECODERS
    from workbench.runs.xtc.decoders.base import PayloadError

    payload = path.read_bytes()
    version = int(path.name[1])
    try:
        config = CONFIG_DECODERS[29].read_config(_xtc(29, version, payload), payload)
        return config.modules, config.low_gain.sum(), config.same_as(config)
    except PayloadError:
        return None


_add(
    "configuration",
    _files(**{f"v{version}": x.config(version)[20:] for version in (1, 2, 3, 4, 5)}),
    _read_config,
    places=lambda content: range(0, 200, 4),
)


def _read_element(path: Path) -> object:
    from workbench.runs.xtc.decoders import CONFIG_DECODERS, ELEMENT_DECODERS
    from workbench.runs.xtc.decoders.base import PayloadError

    payload = path.read_bytes()
    rng = random.Random(len(payload))
    masks = {"quad_mask": rng.choice((0, 1, 5, 15, 0xFFFFFFFF)), "roi": rng.choice((0, 1, 0x10001))}
    content = x.config(**masks)[20:]
    config = CONFIG_DECODERS[29].read_config(_xtc(29, 5, content), content)
    kind = 28 if path.name != "small" else min(CSPAD_2X2_ELEMENTS)
    xtc = _xtc(kind, 2, payload, path.name.startswith("packed"))
    try:
        return ELEMENT_DECODERS[kind].read_element(xtc, memoryview(bytearray(payload)), config)
    except PayloadError:
        return None


CSPAD_2X2_ELEMENTS = next(
    decoder.element_types for decoder in DECODERS if decoder.detector is CSPAD_2X2
)
_SECTION = np.arange(185 * 388).astype(np.int16).reshape(1, 185, 388)
_add(
    "element",
    _files(
        plain=b"".join(x.element(quad, _SECTION) for quad in (2, 0)),
        small=x.element_header(0) + bytes(2 * 2 * 185 * 388 + 4),
        **{f"packed{number}": content for number, content in enumerate(_packed())},
    ),
    _read_element,
    places=lambda content: range(0, 100, 4),
)


def _read_packed(path: Path) -> object:
    from workbench.runs.xtc.decoders.base import PayloadError
    from workbench.runs.xtc.decoders.compression import decompress

    try:
        return decompress(path.read_bytes(), 32, 1 << 20, 4)
    except PayloadError:
        return None


_add(
    "decompression",
    _files(**{f"packed{number}": content for number, content in enumerate(_packed())}),
    _read_packed,
    places=lambda content: range(0, 120, 4),
)

# ---- images --------------------------------------------------------------------------------------

_SMALL = (np.arange(CSPAD_2X2.pixels) % 1000).reshape(CSPAD_2X2.shape)
_FULL = (np.arange(CSPAD.pixels) % 1000).reshape(CSPAD.shape)


def _images(array: np.ndarray, *endings: str) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        paths = [folder / f"image{ending}" for ending in endings]
        for path in paths:
            wb.write_image(DetectorImage(array.astype(np.int32)), path)
        return paths

    return write


_add("cbf", _images(_FULL, ".cbf"), wb.read_image, "workbench.images.cbf:_pixel_data")


def _packed_cbf(folder: Path) -> list[Path]:
    import pycbf

    (plain,) = _images(_FULL, ".cbf")(folder)
    paths = []
    for name in ("CBF_PACKED", "CBF_PACKED_V2", "CBF_BYTE_OFFSET"):
        handle = pycbf.cbf_handle_struct()
        handle.read_widefile(str(plain).encode(), pycbf.MSG_NODIGEST)
        handle.find_category(b"array_data")
        handle.find_column(b"data")
        for row, group in enumerate(CSPAD.groups):
            handle.select_row(row)
            part = np.ascontiguousarray(_FULL[group.slice], "<i4")
            handle.set_integerarray_wdims_fs(
                getattr(pycbf, name), row + 1, part.tobytes(), 4, 1, part.size,
                b"little_endian", 388, 185, 8, 0,
            )  # fmt: skip
        paths.append(folder / f"{name}.cbf")
        how = pycbf.MIME_HEADERS | pycbf.PAD_4K
        handle.write_widefile(str(paths[-1]).encode(), pycbf.CBF, how, 0)
    return paths


_add("cbf-compressed", _packed_cbf, wb.read_image, "workbench.images.cbflib:decode")
_add(
    "hdf5",
    _images(_SMALL, ".h5"),
    wb.read_image,
    "workbench.images.files:_find_dataset",
    lambda content: telling_places(content, rb"TREE|HEAP|SNOD|OHDR|GCOL|BTHD|FRHP|\x00\x08\x00"),
)


def _read_frames(path: Path) -> None:
    for event in wb.open_frames(path).events():
        _ = event.raw, event.wavelength_angstrom, event.key
    wb.read_image(path)


_add("npy", _images(_SMALL, ".npy"), _read_frames, "workbench.numpy_files:ArrayHeader.__new__")


def _fabio(folder: Path) -> list[Path]:
    from fabio.adscimage import AdscImage
    from fabio.cbfimage import CbfImage

    paths = _images(_SMALL, ".edf", ".tif")(folder)
    data = _SMALL.reshape(-1, 388)
    CbfImage(data=data.astype(np.int32)).write(str(folder / "pilatus.img"))
    AdscImage(data=data.astype(np.uint16)).write(str(folder / "adsc.img"))
    return [*paths, folder / "pilatus.img", folder / "adsc.img"]


_add("fabio", _fabio, _read_frames, "workbench.images.files:fabio_frame")

# ---- masks ---------------------------------------------------------------------------------------

_MASK = Mask.from_good(_SMALL % 7 > 1)
for _name, _ending, _behind in (
    ("dials", ".pickle", "workbench.mask.formats.unpickle:_Unpickler"),
    ("npy", ".npy", "workbench.numpy_files:_values"),
    ("cxi", ".cxi", "workbench.mask.formats.hdf5:words"),
    ("nxmx", ".nxs", "workbench.mask.formats.hdf5:words"),
    ("crystfel", ".h5", "workbench.mask.formats.hdf5:words"),
    ("pyfai", ".edf", "workbench.mask.formats.pyfai:fabio_frame"),
    ("psana-mask", ".txt", "workbench.mask.formats.psana:read_constants_file"),
    ("psana-status", ".data", "workbench.mask.formats.psana:read_constants_file"),
):

    def _mask_seeds(folder: Path, name: str = _name, ending: str = _ending) -> list[Path]:
        path = folder / f"mask{ending}"
        wb.write_mask(_MASK, path, name)
        return [path]

    _add(f"mask-{_name}", _mask_seeds, lambda path, name=_name: wb.read_mask(path, name), _behind)

# ---- geometry, constants -------------------------------------------------------------------------


def _geometry(name: str) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        wb.Geometry.ideal().move_quadrants([(1.5, -2), (0, 0), (3, 4), (0, 0)]).write(folder / name)
        return [folder / name]

    return write


def _geometries(path: Path) -> object:
    return wb.Geometry.read(path).pixel_positions_um()


_add("cif", _geometry("x.def"), _geometries, "workbench.geometry.formats.imgcif:geometry_of")
_add("slac", _geometry("0-end.data"), _geometries, "workbench.geometry.tree:parse_rows",
     lambda content: telling_places(content, rb"\n"))  # fmt: skip
_add("crystfel", _geometry("x.geom"), _geometries,
     "workbench.geometry.formats.crystfel:parse_crystfel",
     lambda content: telling_places(content, rb"\n|="))  # fmt: skip


def _read_constants(path: Path) -> object:
    from workbench.constants.text import read_constants_file

    return read_constants_file(path)


_add(
    "constants",
    _files(
        real__data="# DTYPE float32\n" + "1.5 -2.25e3 nan 7\n" * 40,
        whole__data="# CALIB_TYPE pixel_status\n# DTYPE int32\n" + "0 1 4 65535\n" * 40,
    ),
    _read_constants,
    "workbench.constants.text:parse_constants",
)

# ---- recipe, report, store, averages -------------------------------------------------------------


def _recipe() -> wb.Recipe:
    from workbench.recipe import mask

    recipe = wb.Recipe().changed("experiment.name", "cxim1416").changed("experiment.bright", (74,))
    layers = (mask.BorderLayer(pixels=2), mask.PartLayer(parts=("Q1S2",)), mask.WideLayer())
    return recipe.changed("mask.layers", layers)


def _recipe_seeds(folder: Path) -> list[Path]:
    from workbench.recipe import write_recipe

    write_recipe(_recipe(), folder / "x.toml")
    return [folder / "x.toml"]


def _read_recipe(path: Path) -> object:
    from workbench.recipe import read_recipe, recipe_to_text

    return recipe_to_text(read_recipe(path))


_add("recipe", _recipe_seeds, _read_recipe, "workbench.recipe.files:_converter",
     lambda content: telling_places(content, rb"\n|="))  # fmt: skip


def _report_seeds(folder: Path) -> list[Path]:
    import html

    from workbench.recipe import recipe_to_text

    texts = {"recipe-as-run": recipe_to_text(_recipe()),
             "starting-geometry": wb.Geometry.ideal().to_text()}  # fmt: skip
    page = "".join(f'<pre id="{key}">{html.escape(text)}</pre>' for key, text in texts.items())
    cell = {"cell_type": "code", "outputs": [{"data": {"text/html": [page]}}]}
    (folder / "x.html").write_text(f"<!DOCTYPE html><main>{page}</main>")
    (folder / "x.ipynb").write_text(json.dumps({"cells": [cell], "nbformat": 4}))
    return [folder / "x.html", folder / "x.ipynb"]


def _read_report(path: Path) -> object:
    from workbench.report.reproduce import read_report

    return read_report(path)


_add("report", _report_seeds, _read_report, "workbench.report.reproduce:_held")

_ADDRESS = "CxiDs1.0:Cspad.0"


def _store_seeds(folder: Path) -> list[Path]:
    """Record, list of switches and version of a store, each damaged in turn."""
    store = wb.GeometryStore(folder / "calib", _ADDRESS)
    store.deploy(wb.Geometry.ideal(), "first")
    store.deploy(wb.Geometry.ideal().move_quadrants([(1, 1)] * 4), "second")
    names = ("0-end.data.v1.json", "HISTORY", "0-end.data.v1")
    return [store.folder / name for name in names]


def _read_store(path: Path) -> None:
    """Look at a store with one damaged file, deploy into it, and hold that no version is lost."""
    import shutil

    good = path.parent / "seeds" / "calib"
    if not good.exists():  # the seeds themselves
        return
    calib = path.parent / "store"
    shutil.rmtree(calib, ignore_errors=True)
    shutil.copytree(good, calib, symlinks=True)
    store = wb.GeometryStore(calib, _ADDRESS)
    (store.folder / path.name).chmod(0o644)
    (store.folder / path.name).write_bytes(path.read_bytes())
    versions = [version.path.read_bytes() for version in store.history()]
    store.verify()
    store.switches()
    number = store.deploy(wb.Geometry.ideal(), "third").number
    assert number >= 2, f"number {number} is used again"
    store.repair()
    left = {version.path.read_bytes() for version in store.history()}
    assert left.issuperset(versions), "a version is lost"


_add("store", _store_seeds, _read_store, places=lambda content: telling_places(content, rb'[":]'))


def _archives(folder: Path) -> list[Path]:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "averages"))
    from fake_runs import FakeRun

    from workbench.averages import average_run

    shape = (3, 4, 5)
    frames = np.arange(240).reshape(4, *shape).astype(np.int16)
    images = average_run(FakeRun(frames))
    images.save_state(folder / "state.npz")
    images.statistics.save(folder / "statistics.npz")
    return [folder / "state.npz", folder / "statistics.npz"]


def _read_archive(path: Path) -> object:
    from workbench.averages import Statistics
    from workbench.averages.state import read_state

    return read_state(path) if path.name == "state.npz" else Statistics.load(path)


_add("archive", _archives, _read_archive, "workbench.numpy_files:_values",
     lambda content: telling_places(content, rb"PK|NUMPY|descr|shape|: "))  # fmt: skip
