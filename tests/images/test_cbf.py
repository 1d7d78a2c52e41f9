"""CSPAD CBF files: real ones read exactly, ours open in DIALS, damage is found."""

import hashlib
import json
import subprocess

import numpy as np
import pycbf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import guarded
from workbench.detectors import CSPAD
from workbench.errors import FileFormatError, WorkbenchError
from workbench.geometry import Geometry
from workbench.geometry.formats import cif, imgcif, imgcif_header
from workbench.images import DetectorImage, cbf, cbflib, read_image, write_image


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(5)
    geometry = Geometry.ideal().move_quadrants(rng.normal(0, 5, (4, 2)))
    for one in geometry.objects[:37]:
        geometry = geometry.rotate(one, z=rng.normal(0, 0.2), y=rng.normal(0, 0.1), x=0.01)
    return DetectorImage(
        rng.normal(300, 900, CSPAD.shape), geometry, 121.25, 1.3052, "maximum",
        "cxim1416_max-r0074", 1456012000.248,
        {"count": 59, "note": "; it's µ " * 60, "nested": {"a": [1, None]}},
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(image, tmp_path_factory):
    path = tmp_path_factory.mktemp("cbf") / "cxim1416_max-r0074.cbf"
    write_image(image, path)
    return path


FIELDS = ("distance_mm", "wavelength_angstrom", "kind", "name", "timestamp", "provenance")


def test_everything_comes_back_exactly(image, written):
    found = read_image(written)
    assert found.data.dtype == np.float64
    assert np.array_equal(found.data, image.data)
    assert found.geometry.to_text() == image.geometry.to_text()
    for name in FIELDS:
        assert getattr(found, name) == getattr(image, name)


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint16, bool, np.int64])
def test_integers_stay_integers(tmp_path, image, kind):
    data = (image.data > 400).astype(kind) if kind is bool else np.abs(image.data).astype(kind)
    write_image(image.replace(data=data), tmp_path / "x.cbf")
    found = read_image(tmp_path / "x.cbf").data
    assert found.dtype == np.int32
    assert np.array_equal(found, data)


def test_what_is_unknown_is_read_back_as_unknown(tmp_path, image):
    write_image(DetectorImage(image.data), tmp_path / "x.cbf")
    found = read_image(tmp_path / "x.cbf")
    assert (found.geometry, found.distance_mm, found.wavelength_angstrom, found.timestamp) == (
        None, None, None, None,
    )  # fmt: skip


def test_pixels_without_a_value_are_kept_apart_from_every_real_value(tmp_path, image):
    data = image.data.copy()
    data[3, 7, :50] = np.nan
    data[4, 0, :3] = -401, -402, -400
    write_image(image.replace(data=data), tmp_path / "x.cbf")
    assert np.array_equal(read_image(tmp_path / "x.cbf").data, data, equal_nan=True)


def test_what_cannot_be_held_is_refused(tmp_path, image):
    for data, says in (
        (np.full(CSPAD.shape, np.inf), "infinite"),
        (np.full(CSPAD.shape, 2**40), "32-bit integers"),
        (np.zeros((2, 185, 388)), "whole detector"),
    ):
        with pytest.raises(WorkbenchError, match=says):
            write_image(DetectorImage(data), tmp_path / "x.cbf")
    assert not (tmp_path / "x.cbf").exists()


@pytest.mark.parametrize(
    ("name", "total", "digest", "wavelength"),
    [
        ("idx-20130301060858401.cbf", 32878926, "cf117d1422e5015b11ee3b1ff9f275e7", 1.272607),
        ("idx-20130301060858601.cbf", 48707932, "7d0d4285f8c8f8c37967f89149bfaeb1", 1.272444),
    ],
)
def test_real_files_are_read_exactly(real_cbf, name, total, digest, wavelength):
    found = read_image(real_cbf(name))
    assert found.data.sum() == total
    assert (found.data.min(), found.data.max()) == (-5136, 16383)
    assert hashlib.md5(found.data.astype("<i4").tobytes()).hexdigest() == digest
    assert found.wavelength_angstrom == wavelength
    assert found.distance_mm == pytest.approx(130.106633, abs=1e-6)
    assert found.timestamp == pytest.approx(1362118138 + int(name[-7:-4]) / 1000)


def test_an_image_of_another_detector_is_refused_in_one_line(real_cbf):
    with pytest.raises(FileFormatError, match=r"expected a CSPAD or .* image of Rayonix"):
        read_image(real_cbf("rayonix_mfx.cbf"))


def test_a_header_without_pixels_is_refused_as_an_image(tmp_path, image):
    image.geometry.write(tmp_path / "h.cbf")
    with pytest.raises(FileFormatError, match="no pixel data"):
        read_image(tmp_path / "h.cbf")


def test_damaged_pixels_are_found(tmp_path, written):
    content = bytearray(written.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "x.cbf").write_bytes(content)
    with pytest.raises(FileFormatError, match="pixel data are damaged"):
        read_image(tmp_path / "x.cbf")


@pytest.mark.parametrize("part", [0.0001, 0.002, 0.01, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(tmp_path, written, part):
    content = written.read_bytes()
    (tmp_path / "x.cbf").write_bytes(content[: int(part * len(content))])
    with pytest.raises(FileFormatError) as caught:
        read_image(tmp_path / "x.cbf")
    assert "\n" not in str(caught.value)


def test_a_missing_axis_is_named(tmp_path, written):
    content = written.read_bytes().replace(b" FS_D0Q2S5 rotation", b" FS_OTHER rotation")
    (tmp_path / "x.cbf").write_bytes(content)
    with pytest.raises(FileFormatError, match="axis FS_D0Q2S5 is missing"):
        read_image(tmp_path / "x.cbf")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_to_a_header_does_worse_than_a_refusal(data):
    content = bytearray(HEADER)
    start = data.draw(st.integers(12, len(content) - 1))
    content[start : start + data.draw(st.integers(0, 60))] = data.draw(st.binary(max_size=40))
    try:
        imgcif.geometry_of(cif.parse_cbf(bytes(content), "x.cbf"))
    except WorkbenchError as error:
        message = str(error)
    else:
        message = ""
    assert "\n" not in message


HEADER = (
    "###CBF: VERSION 1.7.11\r\n\r\ndata_x\r\n\r\n"
    + "".join(imgcif_header.header_text(Geometry.ideal(), 100.0)).replace("\n", "\r\n")
).encode()


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=400))
def test_folded_text_comes_back(text):
    folded = cif.fold(json.dumps(text))
    assert max(map(len, folded.split("\n"))) <= 77
    _, tables = cif.parse_cif("data_x\n" + cif.item_text("a", {"b": folded, "c": "1"}), "x")
    assert json.loads(cif.unfold(tables["a"].value("b"))) == text


@given(
    st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=9), min_size=1)
)
def test_quoted_values_come_back(values):
    text = "data_x\n" + cif.loop_text("t", ["v"], [[value] for value in values])
    _, tables = cif.parse_cif(text, "x")
    assert tables["t"].columns["v"] == values


def compress(path, to, data, how):
    """Rewrite a file with sections compressed by CBFlib, as the programs of cctbx.xfel do."""
    handle = pycbf.cbf_handle_struct()
    handle.read_widefile(str(path).encode(), pycbf.MSG_NODIGEST)
    handle.find_category(b"array_data")
    handle.find_column(b"data")
    for quadrant in range(4):
        handle.select_row(quadrant)
        part = np.ascontiguousarray(data[8 * quadrant : 8 * quadrant + 8])
        shape = (388, 185, 8, 0)
        if data.dtype.kind == "f":
            handle.set_realarray_wdims_fs(
                how, quadrant + 1, part.tobytes(), 8, part.size, b"little_endian", *shape
            )
        else:
            handle.set_integerarray_wdims_fs(
                how, quadrant + 1, part.tobytes(), 4, 1, part.size, b"little_endian", *shape
            )
    how_to_write = pycbf.MIME_HEADERS | pycbf.MSG_DIGEST | pycbf.PAD_4K
    handle.write_widefile(str(to).encode(), pycbf.CBF, how_to_write, 0)


@pytest.mark.parametrize("how", ["CBF_PACKED", "CBF_PACKED_V2", "CBF_BYTE_OFFSET", "CBF_NONE"])
@pytest.mark.parametrize("kind", ["<i4", pytest.param("<f8", marks=pytest.mark.slow)])
def test_sections_compressed_by_cbflib_are_read_exactly(image, written, tmp_path, how, kind):
    data = image.data.astype(kind)
    compress(written, tmp_path / "x.cbf", data, getattr(pycbf, how))
    found = read_image(tmp_path / "x.cbf")
    assert found.data.dtype == kind
    assert np.array_equal(found.data, data)
    assert found.provenance == image.provenance


@pytest.fixture(scope="module")
def packed(image, written, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "x.cbf"
    compress(written, path, image.data.astype("<i4"), pycbf.CBF_PACKED)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("stated", "instead", "says"),
    [
        (b"Number-of-Elements: 574240", b"Number-of-Elements: 574241", "found 574241"),
        (b"Number-of-Elements: 574240", b"Number-of-Elements: -74240", "found -74240"),
        (b"Fastest-Dimension: 388", b"Fastest-Dimension: 389", "dimensions of ARRAY_D0Q0"),
        (b"Second-Dimension: 185", b"Second-Dimension: 1x5", "dimensions of ARRAY_D0Q0"),
        (b'"x-CBF_PACKED"', b'"x-CBF_PREDICTOR"', "compressed as predictor"),
        (b'"signed 32-bit integer"', b'"signed 96-bit integer"', "type 'signed 96-bit"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_before_cbflib_sees_it(
    packed, tmp_path, monkeypatch, stated, instead, says
):
    monkeypatch.setattr(cbflib, "decode", None)
    assert stated in packed
    (tmp_path / "x.cbf").write_bytes(packed.replace(stated, instead, 1))
    with pytest.raises(FileFormatError, match=says):
        read_image(tmp_path / "x.cbf")


@pytest.mark.parametrize(
    "library",
    [
        "import os; os.abort()",
        "import sys; sys.exit(1)",
        "import sys; sys.exit(0)",
        "import ctypes; ctypes.string_at(0)",
        "import time; time.sleep(60)",
        "raise MemoryError",
    ],
)
def test_a_death_of_cbflib_is_a_refusal(packed, tmp_path, monkeypatch, library):
    (tmp_path / "pycbf.py").write_text(library)
    (tmp_path / "x.cbf").write_bytes(packed)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    if "sleep" in library:
        monkeypatch.setattr(guarded, "MOST_SECONDS", 1)
    with pytest.raises(FileFormatError, match="compressed pixels") as caught:
        read_image(tmp_path / "x.cbf")
    assert "\n" not in str(caught.value)


def test_compressed_sections_without_cbflib_name_the_extra(packed, tmp_path, monkeypatch):
    (tmp_path / "pycbf.py").write_text("raise ModuleNotFoundError")
    (tmp_path / "x.cbf").write_bytes(packed)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(FileFormatError, match=r"pip install 'cspad-workbench\[cbf\]'"):
        read_image(tmp_path / "x.cbf")


@pytest.mark.parametrize("name", ["evil.cbf", "predictor.cbf"])
def test_files_that_end_the_process_inside_cbflib_are_refused(shared_data, name):
    with pytest.raises(FileFormatError, match=name):
        read_image(shared_data / "hostile" / name)


def test_files_with_one_section_for_each_asic_are_read(image, tmp_path):
    """Older CSPAD CBFs have 64 arrays of 185 × 194."""
    text = "".join(imgcif_header.header_text(image.geometry, 100.0))
    data = np.arange(np.prod(CSPAD.shape), dtype="<i4").reshape(CSPAD.shape)
    with (tmp_path / "x.cbf").open("wb") as file:
        file.write(f"###CBF: VERSION 1.5\n\ndata_old\n\n{text}".encode())
        file.write(b"loop_\n_array_data.array_id\n_array_data.binary_id\n_array_data.data\n")
        for number, (name, asic) in enumerate(
            zip(CSPAD.panel_names(), CSPAD.asic_stack(data), strict=True)
        ):
            cbf._write_section(file, asic[None], name, number + 1)
    assert np.array_equal(read_image(tmp_path / "x.cbf").data, data)


# ---- what DIALS sees ---------------------------------------------------------------------------

LOOK = """
import json, sys, dxtbx, numpy as np
image = dxtbx.load(sys.argv[1])
detector, beam = image.get_detector(), image.get_beam()
raw = image.get_raw_data()
panels = np.stack([panel.as_numpy_array() for panel in raw])
np.save(sys.argv[2], panels)
print(json.dumps({
    "format": type(image).__name__,
    "names": [panel.get_name() for panel in detector],
    "sizes": sorted({panel.get_image_size() for panel in detector}),
    "trusted": detector[0].get_trusted_range(),
    "wavelength": beam.get_wavelength(),
    "root": list(detector.hierarchy().get_origin()),
    "origins": [panel.get_origin() for panel in detector],
    "fast": [panel.get_fast_axis() for panel in detector],
    "slow": [panel.get_slow_axis() for panel in detector],
}))
"""


def look_with_dials(path, folder):
    done = subprocess.run(
        ["/usr/bin/python3", "-c", LOOK, path, folder / "raw.npy"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seen = json.loads(done.stdout.splitlines()[-1])
    return seen, np.load(folder / "raw.npy")


def dials_positions_um(seen):
    fast, slow = np.arange(194) + 0.5, np.arange(185) + 0.5
    panels = [
        np.array(o) + 0.10992 * (np.outer(fast, f)[None] + np.outer(slow, s)[:, None])
        for o, f, s in zip(seen["origins"], seen["fast"], seen["slow"], strict=True)
    ]
    return 1000 * np.stack(panels).reshape(32, 2, 185, 194, 3).swapaxes(1, 2).reshape(
        *CSPAD.shape, 3
    )


@pytest.mark.dials
def test_dials_sees_64_panels_the_right_place_and_every_value(image, written, tmp_path):
    seen, raw = look_with_dials(written, tmp_path)
    assert seen["format"] == "FormatCBFCspad"
    assert seen["names"] == CSPAD.panel_names()
    assert seen["sizes"] == [[194, 185]]
    assert seen["wavelength"] == image.wavelength_angstrom
    assert seen["root"][2] == pytest.approx(-image.distance_mm, abs=1e-12)
    assert np.array_equal(
        raw.reshape(32, 2, 185, 194).swapaxes(1, 2).reshape(CSPAD.shape), image.data
    )
    difference = dials_positions_um(seen) - image.geometry.pixel_positions_um()
    assert np.abs(difference[..., :2]).max() < 1e-6
    assert np.ptp(difference[..., 2]) < 1e-6


@pytest.mark.dials
@pytest.mark.slow
def test_dials_opens_an_image_of_which_nothing_is_known(tmp_path):
    data = np.arange(np.prod(CSPAD.shape), dtype=np.int32).reshape(CSPAD.shape)
    write_image(DetectorImage(data), tmp_path / "x.cbf")
    seen, raw = look_with_dials(tmp_path / "x.cbf", tmp_path)
    assert seen["names"] == CSPAD.panel_names()
    assert raw.sum() == data.sum()


@pytest.mark.dials
@pytest.mark.slow
def test_what_the_workbench_adds_survives_a_program_that_moves_a_quadrant(image, written, tmp_path):
    """A program of cctbx.xfel rewrites the file through CBFlib with one quadrant moved."""
    move = """
import sys, dxtbx, pycbf
from scitbx.matrix import col
image = dxtbx.load(sys.argv[1])
quadrant = image.get_detector().hierarchy()[2]
fast, slow = col(quadrant.get_fast_axis()), col(quadrant.get_slow_axis())
quadrant.set_frame(fast, slow, col(quadrant.get_origin()) - col((0.3, -0.1, 0)))
image.sync_detector_to_cbf()
image._cbf_handle.write_widefile(
    sys.argv[2].encode(), pycbf.CBF, pycbf.MIME_HEADERS | pycbf.MSG_DIGEST | pycbf.PAD_4K, 0)
"""
    subprocess.run(["/usr/bin/python3", "-c", move, written, tmp_path / "x.cbf"], check=True)
    found = read_image(tmp_path / "x.cbf")
    assert np.array_equal(found.data, image.data)
    assert found.distance_mm == pytest.approx(image.distance_mm, abs=1e-9)
    for name in FIELDS[1:]:
        assert getattr(found, name) == getattr(image, name)
    shift = found.geometry.pixel_positions_um() - image.geometry.pixel_positions_um()
    expected = np.zeros((4, 3))
    expected[2] = -300, 100, 0
    assert np.abs(shift.reshape(4, -1, 3) - expected[:, None]).max() < 1e-3
    before, after = (g.to_text().splitlines() for g in (image.geometry, found.geometry))
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
