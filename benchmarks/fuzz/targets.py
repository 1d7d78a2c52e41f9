"""What is read, and the good files that are damaged: all made by the product's own writers."""

from __future__ import annotations

import dataclasses
import json
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from struct import pack
from zlib import crc32

import numpy as np

import workbench as wb
from benchmarks.fuzz.damage import telling_places, type_places
from benchmarks.fuzz.hdf5_files import frames_file, sums_file
from benchmarks.fuzz.pickles import pickled
from workbench.detectors import (
    AGIPD_1M,
    CSPAD,
    CSPAD_2X2,
    EPIX10KA_QUAD,
    JUNGFRAU_05M,
    JUNGFRAU_4M,
    Detector,
)
from workbench.errors import WorkbenchError
from workbench.images import DetectorImage
from workbench.mask import Mask
from workbench.runs.xtc.decoders import DECODERS

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "runs"))
import test_compression as packing
import test_epix10ka as epix10ka
import test_jungfrau as jungfrau
import xtc_builder as x

Read = Callable[[Path], object]
Change = Callable[[bytes, random.Random], bytes]
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
    change : makes a file to read of a good one; empty damages its bytes.
    guarded : whether the reader looks through files in a process of its own.
    """

    name: str
    seeds: Callable[[Path], list[Path]]
    read: Read
    behind: str = ""
    places: Callable[[bytes], Sequence[int]] = lambda content: ()
    beside: tuple[str, ...] = ()
    change: Change | None = None
    guarded: bool = False


TARGETS: dict[str, Target] = {}


def _add(
    name: str,
    seeds: Callable[[Path], list[Path]],
    read: Read,
    behind: str = "",
    places: Callable[[bytes], Sequence[int]] = lambda content: telling_places(content, _HEADINGS),
    change: Change | None = None,
    guarded: bool = False,
) -> None:
    def made(folder: Path) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        return seeds(folder)

    TARGETS[name] = Target(name, made, read, behind, places, (), change, guarded)


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
        runs.append(x.run_bytes(events, cfg))
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


def _switching_runs() -> dict[str, bytes]:
    """Runs of the detectors that switch their gain, of few modules, by experiment."""
    quad = epix10ka.frame(4)
    module = jungfrau.frame(1)
    clock = [x.evr(40), x.ebeam()]
    quads = [[epix10ka.data(quad), *clock], [epix10ka.data(quad, damage=1 << 14)], clock]
    modules = [[jungfrau.data(module, version), *clock] for version in (1, 2)]
    return {
        "mfxquad": x.run_bytes(quads, [epix10ka.config(4)]),
        "mfxolder": x.run_bytes(quads, [epix10ka.config(4, 1)]),
        "cxijungfrau": x.run_bytes(modules, [jungfrau.config(1)]),
        "cxifirst": x.run_bytes(modules, [jungfrau.config(1, 1)]),
    }


def _switching_seeds(folder: Path) -> list[Path]:
    paths = []
    for experiment, content in _switching_runs().items():
        paths.append(folder / f"{experiment}-r0074-s00-c00.xtc")
        paths[-1].write_bytes(content)
    return paths


def _read_switching(path: Path) -> None:
    experiment = path.name.partition("-")[0]
    address = epix10ka.ADDRESS[4] if experiment.startswith("mfx") else jungfrau.ADDRESS
    run = wb.open_run(experiment, 74, address, xtc_dir=path.parent)
    _ = run.gain_code, run.low_gain, run.describe()
    for event in run.events():
        _ = event.raw, event.wavelength_angstrom, event.event_codes


_add(
    "xtc-switching",
    _switching_seeds,
    _read_switching,
    "workbench.runs.xtc.events:EventReader._event",
    type_places,
)


def _object(content: bytes) -> tuple[int, int, bytes]:
    """Type, version and payload of an object."""
    contains = int.from_bytes(content[12:16], "little")
    return contains & 0xFFFF, contains >> 16 & 0x7FFF, content[20:]


def _switching_objects() -> dict[str, bytes]:
    """Payloads by ``KIND-VERSION``; that of an element with one of its configuration's detector."""
    objects = [epix10ka.config(4, version) for version in (1, 2)]
    objects += [jungfrau.config(2, version) for version in (1, 2, 3, 4)]
    objects += [epix10ka.data(epix10ka.frame(4))]
    objects += [jungfrau.data(jungfrau.frame(1), version) for version in (1, 2)]
    parts = map(_object, objects)
    return {f"{kind}-{version}": payload for kind, version, payload in parts}


def _read_switching_object(path: Path) -> object:
    """Read a payload under its own type and version, or under another."""
    from workbench.runs.xtc.decoders import CONFIG_DECODERS, ELEMENT_DECODERS
    from workbench.runs.xtc.decoders.base import PayloadError

    payload = path.read_bytes()
    kind, version = map(int, path.name.split("-"))
    rng = random.Random(crc32(payload[:4000]))
    version = rng.choice((version, version, version, 1, 2, 3, 4, 9))
    packed = rng.random() < 0.1
    try:
        if kind in CONFIG_DECODERS:
            config = CONFIG_DECODERS[kind].read_config(_xtc(kind, version, payload), payload)
            return config.gain_code, config.low_gain.sum(), config.same_as(config)
        builder = epix10ka.config(4) if kind == 118 else jungfrau.config(rng.choice((1, 2)))
        config_kind, config_version, content = _object(builder)
        config = CONFIG_DECODERS[config_kind].read_config(
            _xtc(config_kind, config_version, content), content
        )
        xtc = _xtc(kind, version, payload, packed)
        return ELEMENT_DECODERS[kind].read_element(xtc, memoryview(bytearray(payload)), config)
    except PayloadError:
        return None


_add(
    "payload-switching",
    lambda folder: _files(**_switching_objects())(folder),
    _read_switching_object,
    places=lambda content: range(0, min(len(content), 1200), 4),
)


def _datagrams() -> bytes:
    """Headers of XTC2 datagrams with nothing in them: a configuration, then events."""
    services = [2, 4, 6, 8, *[12] * 20, 9, 7, 5, 3]
    extents = [12 + 8 * (number % 5) for number in range(len(services))]
    return b"".join(
        pack("<IIIIHHI", number, 7, service << 24, 0, 0, 1, extent) + bytes(extent - 12)
        for number, (service, extent) in enumerate(zip(services, extents, strict=True))
    )


def _read_datagrams(path: Path) -> int:
    from workbench.runs.psana_run import count_events

    return count_events(path)


_add("xtc2", _files(**{"mfx-r0001-s000-c000__xtc2": _datagrams()}), _read_datagrams,
     places=lambda content: range(0, len(content), 4))  # fmt: skip

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


def _cbf_seeds(folder: Path) -> list[Path]:
    """Of the CSPAD, and more often of a detector with a fifth of the pixels."""
    (folder / "small").mkdir()
    small = _images(np.zeros(JUNGFRAU_05M.shape, np.int16), ".cbf")(folder / "small")
    return _images(_FULL, ".cbf")(folder) + 9 * small


_add("cbf", _cbf_seeds, wb.read_image, "workbench.images.cbf:_pixel_data")


def _packed_cbf(folder: Path) -> list[Path]:
    """Packed in each way, of a detector of one module; one of the CSPAD."""
    module = np.arange(JUNGFRAU_05M.pixels).reshape(JUNGFRAU_05M.shape) % 1000
    paths = []
    for name in ("CBF_PACKED", "CBF_PACKED_V2", "CBF_BYTE_OFFSET"):
        paths += 4 * [_packed_file(folder / name, JUNGFRAU_05M, module, name)]
    return [*paths, _packed_file(folder / "full", CSPAD, _FULL, "CBF_PACKED")]


def _packed_file(folder: Path, detector: Detector, pixels: np.ndarray, name: str) -> Path:
    import pycbf

    folder.mkdir()
    (plain,) = _images(pixels, ".cbf")(folder)
    handle = pycbf.cbf_handle_struct()
    handle.read_widefile(str(plain).encode(), pycbf.MSG_NODIGEST)
    handle.find_category(b"array_data")
    handle.find_column(b"data")
    for row, group in enumerate(detector.groups):
        handle.select_row(row)
        part = np.ascontiguousarray(pixels[group.slice], "<i4")
        handle.set_integerarray_wdims_fs(
            getattr(pycbf, name), row + 1, part.tobytes(), 4, 1, part.size,
            b"little_endian", *part.shape[::-1], 0,
        )  # fmt: skip
    path = folder / "x.cbf"
    how = pycbf.MIME_HEADERS | pycbf.PAD_4K
    handle.write_widefile(str(path).encode(), pycbf.CBF, how, 0)
    return path


_add("cbf-compressed", _packed_cbf, wb.read_image, "workbench.images.cbflib:decode", guarded=True)
_add(
    "hdf5",
    _images(_SMALL, ".h5"),
    wb.read_image,
    "workbench.images.files:_find_dataset",
    lambda content: telling_places(content, rb"TREE|HEAP|SNOD|OHDR|GCOL|BTHD|FRHP|\x00\x08\x00"),
    guarded=True,
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


def _read_found_frames(path: Path) -> None:
    """Read frames and image; nothing is damaged but what the file says, so no look elsewhere."""
    import workbench.hdf5

    workbench.hdf5._look_through = lambda *state: None  # type: ignore[assignment]
    _read_frames(path)


def _read_sums(path: Path) -> None:
    import workbench.hdf5

    workbench.hdf5._look_through = lambda *state: None  # type: ignore[assignment]
    for name in ("epix_calib", "epix_calib_square", "epix_calib_dropped", "epix_calib_max"):
        try:
            wb.read_image(f"{path}:{name}")
        except WorkbenchError:
            continue


for _name, _make, _reader in (
    ("frames-hdf5", frames_file, _read_found_frames),
    ("sums-hdf5", sums_file, _read_sums),
):
    _add(
        _name,
        _files(x__h5=_make(random.Random(0), odd=0)),
        _reader,
        change=lambda content, rng, make=_make: make(rng, odd=rng.choice((1, 1, 2, 4))),
    )

_add(
    "frames-hdf5-damaged",
    _files(x__h5=frames_file(random.Random(0), odd=0)),
    _read_frames,
    "workbench.runs.frame_files:_find_dataset",
    lambda content: telling_places(content, rb"TREE|HEAP|SNOD|OHDR|GCOL|BTHD|FRHP|\x00\x08\x00"),
    guarded=True,
)


def _frame_cbf(folder: Path) -> list[Path]:
    """A frame of the CSPAD, and more often of a detector with a fifth of the pixels."""
    paths = []
    for detector in (CSPAD, JUNGFRAU_05M):
        image = DetectorImage(
            np.ones(detector.shape, np.float32), geometry=wb.Geometry.ideal(detector),
            distance_mm=120.0, wavelength_angstrom=1.3, timestamp=1.4e9,
            provenance={"event": 7, "peaks": 12},
        )  # fmt: skip
        paths.append(folder / detector.name.replace(" ", "") / "cxim1416-r0074-e000007.cbf")
        paths[-1].parent.mkdir()
        wb.write_image(image, paths[-1])
    return [paths[0], *9 * paths[1:]]


def _read_frame_cbf(path: Path) -> None:
    run = wb.open_frames(path)
    for event in run.events():
        _ = event.raw, event.wavelength_angstrom, event.distance_mm, run.geometry


_add("frames-cbf", _frame_cbf, _read_frame_cbf, "workbench.images.cbf:_pixel_data")


def _table_seeds(folder: Path) -> list[Path]:
    from workbench.frames.table import FrameRow, write_table

    row = FrameRow(3, "2016-02-21T03:06:40.123456789Z", 1456023999, 5, 7, 9500.0, 1.3, 120.5, 12,
                   "x.h5", 0, "")  # fmt: skip
    write_table([row, dataclasses.replace(row, event=4, file="", note="no hit")], folder / "x.csv")
    return [folder / "x.csv"]


def _read_table(path: Path) -> object:
    from workbench.frames.table import read_table

    return read_table(path)


_add("frames-table", _table_seeds, _read_table,
     places=lambda content: telling_places(content, rb",|\n"))  # fmt: skip

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

    _add(
        f"mask-{_name}", _mask_seeds, lambda path, name=_name: wb.read_mask(path, name), _behind,
        guarded=_ending in (".cxi", ".nxs", ".h5"),
    )  # fmt: skip


def _any_masks(folder: Path) -> list[Path]:
    """Mask files of which nothing but the content tells the format."""
    paths = []
    for name, ending in (("dials", ".pickle"), ("dials", ".pickle.gz"), ("npy", ".npy")):
        paths.append(folder / f"mask{ending}")
        wb.write_mask(_MASK, paths[-1], name)
    return paths


_add("mask-any", _any_masks, wb.read_mask)
_add("mask-pickle-operations", _files(x__pickle=pickled(random.Random(0))), wb.read_mask,
     "workbench.mask.formats.unpickle:_Unpickler",
     change=lambda content, rng: pickled(rng))  # fmt: skip

# ---- geometry, constants -------------------------------------------------------------------------


def _geometry(name: str, small: Detector) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        wb.Geometry.ideal().move_quadrants([(1.5, -2), (0, 0), (3, 4), (0, 0)]).write(folder / name)
        (folder / "small").mkdir()
        wb.Geometry.ideal(small).write(folder / "small" / name)
        return [folder / name, folder / "small" / name, folder / "small" / name]

    return write


def _geometries(path: Path) -> object:
    return wb.Geometry.read(path).pixel_positions_um()


_add(
    "cif",
    _geometry("x.def", JUNGFRAU_05M),
    _geometries,
    "workbench.geometry.formats.imgcif:geometry_of",
)
_add("slac", _geometry("0-end.data", CSPAD_2X2), _geometries, "workbench.geometry.tree:parse_rows",
     lambda content: telling_places(content, rb"\n"))  # fmt: skip
_add("crystfel", _geometry("x.geom", CSPAD_2X2), _geometries,
     "workbench.geometry.formats.crystfel:parse_crystfel",
     lambda content: telling_places(content, rb"\n|="))  # fmt: skip


def _other_geometries(ending: str, **detectors: Detector) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        paths = [folder / f"{name}{ending}" for name in detectors]
        for path, detector in zip(paths, detectors.values(), strict=True):
            wb.Geometry.ideal(detector).write(path)
        return paths

    return write


_add("geom-others", _other_geometries(".geom", epix=EPIX10KA_QUAD, jungfrau=JUNGFRAU_4M,
                                      agipd=AGIPD_1M),
     _geometries, "workbench.geometry.formats.crystfel:parse_crystfel",
     lambda content: telling_places(content, rb"\n|="))  # fmt: skip
_add("coordinates", _other_geometries(".npy", small=CSPAD_2X2), _geometries,
     "workbench.geometry.formats.coordinates:modules_from_positions",
     lambda content: [*range(0, 120, 4), *range(128, len(content), 997)])  # fmt: skip


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

_PEDESTALS = np.arange(CSPAD_2X2.pixels).reshape(CSPAD_2X2.shape) % 900


def _pixel_constants(folder: Path) -> list[Path]:
    from workbench.constants.store import write_constants

    for kind in ("pedestals", "pixel_status"):
        write_constants(_PEDESTALS, folder / kind, _SMALL_ADDRESS, kind)
    (folder / "common_mode").write_text("# DTYPE float64\n1 50 50 100 10 20\n")
    return [folder / kind for kind in ("pedestals", "pixel_status", "common_mode")]


def _read_pixel_constants(path: Path) -> object:
    """Constants of a run, out of a calibration directory whose file names are odd as well."""
    import shutil

    from workbench.constants import constants_folder
    from workbench.constants.store import read_common_mode, read_constants

    calib = path.parent / "calib"
    shutil.rmtree(calib, ignore_errors=True)
    folder = constants_folder(calib, _SMALL_ADDRESS, path.name)
    folder.mkdir(parents=True)
    rng = random.Random(crc32(path.read_bytes()))
    begin, end = (rng.choice(("0", "00", "7", "74", "999999999999999999999")) for _ in range(2))
    shutil.copyfile(path, folder / f"{begin}-{rng.choice((end, 'end', 'end', 'end'))}.data")
    (folder / "HISTORY").mkdir(exist_ok=True)
    if path.name == "common_mode":
        return read_common_mode(calib, _SMALL_ADDRESS, 74)
    return read_constants(calib, _SMALL_ADDRESS, path.name, 74)


_SMALL_ADDRESS = "CxiDsu.0:Cspad2x2.0"
_add("constants-of-a-run", _pixel_constants, _read_pixel_constants,
     "workbench.constants.text:parse_constants")  # fmt: skip

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


def _history_seeds(folder: Path) -> list[Path]:
    """HISTORY of our own lines, of calibman's, and of both."""
    store_seeds = _store_seeds(folder)
    ours = next(path for path in store_seeds if path.name == "HISTORY").read_text()
    theirs = "file:0-end.data  copy of:/reg/x.data  user:a  at:2016-02-21  comment:none\n"
    for name, text in (("ours", ours * 3), ("both", ours + theirs + ours), ("theirs", theirs)):
        (folder / name).write_text(text)
    return [folder / "ours", folder / "both", folder / "theirs"]


def _read_history(path: Path) -> None:
    """Look at a store with this HISTORY and nothing else changed, then change it."""
    good = path.parent / "seeds" / "calib"
    if not good.exists():
        return
    store = wb.GeometryStore(good, _ADDRESS)
    history = store.folder / "HISTORY"
    history.write_bytes(path.read_bytes())
    for switch in store.switches():
        _ = switch.moved, str(switch)
    store.verify()
    store.preview(_STORED)
    if crc32(path.read_bytes()) % 20 == 0:
        store.rollback(0, "back")
        store.rollback(1, "and on")
        last = store.switches()[-1]
        assert (last.action, last.version) == ("rollback", 1), f"the last line says {last.line}"
    assert [version.number for version in store.history()] == [0, 1], "a version is lost"


_STORED = wb.Geometry.ideal()
_add("history", _history_seeds, _read_history,
     places=lambda content: telling_places(content, rb"[ :]|\n"))  # fmt: skip


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
