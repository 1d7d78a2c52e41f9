"""mask.pickle: what DIALS reads and writes, and what a hostile file may try."""

import contextlib
import gzip
import pickle
import sys
import types

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.detectors import CSPAD
from workbench.errors import FileFormatError, MaskError
from workbench.mask.formats import dials

SHAPE = CSPAD.shape


@pytest.fixture(scope="module")
def good():
    return np.random.default_rng(4).random(CSPAD.shape) > 0.01


@pytest.fixture(scope="module")
def stream(good):
    return dials.to_bytes(CSPAD.asic_stack(good))


@pytest.fixture
def flex(monkeypatch):
    """Stand-ins for cctbx's classes, so that Python's own pickle writes the real opcodes."""
    module = types.ModuleType("scitbx_array_family_flex_ext")

    def make(name):
        def reduce(self, protocol=None):
            return getattr(module, name), self.arguments, self.state

        cls = type(name, (), {"__reduce_ex__": reduce, "__module__": module.__name__})
        cls.__init__ = lambda self, *arguments: setattr(self, "arguments", arguments)
        setattr(module, name, cls)
        return cls

    make("grid"), make("bool")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def flex_panel(flex, good, header=b"\x03\x32\x8c", ends=None):
    ends = ends or good.shape
    grid = flex.grid((0, 0), ends, True)
    grid.state = ends
    panel = flex.bool()
    panel.state = (grid, header + b"".join(b"1" if pixel else b"0" for pixel in good.flat))
    return panel


def refused(tmp_path, data, *words):
    path = tmp_path / "mask.pickle"
    path.write_bytes(data)
    with pytest.raises(FileFormatError) as caught:
        wb.read_mask(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("name", ["mask.pickle", "mask.pickle.gz", "mask.pkl"])
def test_what_is_written_is_read_back(tmp_path, good, name):
    path = tmp_path / name
    wb.write_mask(wb.Mask.from_good(good), path)
    np.testing.assert_array_equal(wb.read_mask(path).good, good)


def test_writing_twice_gives_the_same_bytes(tmp_path, good):
    for name in ("a.pickle.gz", "b.pickle.gz"):
        wb.write_mask(wb.Mask.from_good(good), tmp_path / name)
    assert (tmp_path / "a.pickle.gz").read_bytes() == (tmp_path / "b.pickle.gz").read_bytes()


def test_python_unpickles_the_stream_as_a_tuple_of_64_flex_bool(flex, good, stream):
    flex.bool.__setstate__ = lambda self, state: setattr(self, "state", state)
    flex.grid.__setstate__ = lambda self, state: setattr(self, "state", state)
    panels = pickle.loads(stream)
    assert type(panels) is tuple
    assert len(panels) == 64
    for panel, pixels in zip(panels, CSPAD.asic_stack(good), strict=True):
        grid, content = panel.state
        assert (grid.arguments, grid.state) == (((0, 0), (185, 194), True), (185, 194))
        assert content[:3] == b"\x03\x32\x8c"
        np.testing.assert_array_equal(np.frombuffer(content[3:], "S1") == b"1", pixels.ravel())


@pytest.mark.parametrize("protocol", range(6))
def test_reads_every_protocol(tmp_path, flex, good, protocol):
    panels = tuple(flex_panel(flex, panel) for panel in CSPAD.asic_stack(good))
    (tmp_path / "mask.pickle").write_bytes(pickle.dumps(panels, protocol))
    np.testing.assert_array_equal(wb.read_mask(tmp_path / "mask.pickle").good, good)


def test_reads_a_mask_that_python_2_made(shared_data):
    mask = wb.read_mask(shared_data / "mask" / "cxic0415_mask.pickle")
    assert mask.masked == 5186
    assert mask.counts["imported"].total == 5186


def test_refuses_nested_tuples_as_a_name(tmp_path, shared_data):
    """249 bytes that would be 2^40 texts if the name they stand for were written out."""
    data = (shared_data / "hostile" / "laughs.pickle").read_bytes()
    refused(tmp_path, data, "do not fit")


def test_reads_the_text_form_of_python_2(tmp_path):
    """Protocol 0 of Python 2: the bytes are a quoted text with escapes."""
    pixels = "1" * (185 * 194 - 1) + "0"
    name = "scitbx_array_family_flex_ext"
    first = (
        f"(c{name}\nbool\np1\n(tRp2\n(c{name}\ngrid\np3\n((I0\nI0\ntp4\n(I185\nI194\ntp5\n"
        f"I01\ntRp6\ng5\nb" + f"S'\\x032\\x8c{pixels}'\np7\ntp8\nb"
    )
    again = "g1\n(tR(g3\n(g4\n(I185\nL194L\ntI01\ntR(I185\nI194\ntbg7\ntb"
    (tmp_path / "mask.pickle").write_bytes((first + again * 63 + "t.").encode())
    mask = wb.read_mask(tmp_path / "mask.pickle")
    assert mask.masked == 64


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", ["os.system"]),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", ["builtins.eval"]),
        (b"(ios\nsystem\n.", ["operation INST"]),
        (b"\x80\x02\x82\x01.", ["operation"]),
        (b"c_codecs\nencode\n(V\nS'rot13'\ntR.", ["encodes"]),
        (b"", ["truncated"]),
        (b"\x80\x02", ["truncated"]),
        (b"\x80\x02N.", ["NoneType"]),
        (b"\x80\x02)t.", ["do not fit"]),
        (b"\x80\x02h\x05.", ["do not fit"]),
        (b"\x80\x05\x8e" + b"\xff" * 7 + b"\x7f.", ["truncated"]),
        (b"T\xff\xff\xff\xff.", ["malformed", "-1"]),
        (b"I" + b"9" * 100000 + b"\n.", ["malformed"]),
        (b"r\xff\xff\xff\xff.", ["place no mask needs"]),
        (b"Np4294967295\n.", ["place no mask needs"]),
        (b"]" * 100_000 + b".", ["operations"]),
        (b"c_codecs\nencode\nNb.", ["no array"]),
        (b"\x80\x09.", ["newer"]),
        (b"\x1f\x8b\x08\x00 not gzip", ["gzip"]),
        (b"GIF89a", ["operation BINFLOAT"]),
    ],
)
def test_refuses_anything_but_a_mask_in_one_line(tmp_path, data, words):
    refused(tmp_path, data, *words)


def test_refuses_a_lying_size_header(tmp_path, flex, stream):
    refused(tmp_path, stream.replace(b"2\xc2\x8c", b"2\xc2\x8b", 1), "announces", "holds 35890")
    panel = flex_panel(flex, np.ones((185, 194), bool), header=b"\x09" + b"\xff" * 8)
    refused(tmp_path, pickle.dumps((panel,) * 64), "announces 18446744073709551615")


def test_refuses_the_mask_of_another_detector(tmp_path, flex):
    one = np.ones((185, 194), bool)
    refused(tmp_path, pickle.dumps((flex_panel(flex, one),) * 10), "10 panels")
    refused(tmp_path, pickle.dumps(flex_panel(flex, one)), "one array")
    rayonix = flex_panel(flex, np.ones((19, 19), bool))
    refused(tmp_path, pickle.dumps((rayonix,) * 64), "19 × 19")
    other = flex_panel(flex, one)
    other.state = (other.state[0], b"\x03\x32\x8c" + b"2" * 35890)
    refused(tmp_path, pickle.dumps((other,) * 64), "other characters")


def test_refuses_truncated_and_exploding_files(tmp_path, stream):
    refused(tmp_path, stream[: len(stream) // 2], "truncated")
    refused(tmp_path, gzip.compress(stream)[:-2000], "truncated")
    refused(tmp_path, gzip.compress(bytes(dials.MAX_BYTES + 1)), "too many")


def test_a_missing_or_unnamed_file_is_refused(tmp_path, good):
    with pytest.raises(FileFormatError, match="cannot be read"):
        wb.read_mask(tmp_path / "none.pickle")
    with pytest.raises(MaskError, match="ending"):
        wb.write_mask(good, tmp_path / "mask.what")
    with pytest.raises(MaskError, match="no mask format 'gif'"):
        wb.write_mask(wb.Mask.from_good(good), tmp_path / "mask", format="gif")


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cut=st.integers(0, 71000),
    junk=st.binary(max_size=30),
    skip=st.integers(0, 40),
)
def test_damaged_bytes_are_refused_or_read_never_worse(tmp_path, stream, cut, junk, skip):
    path = tmp_path / "mask.pickle"
    path.write_bytes(stream[:cut] + junk + stream[cut + skip :])
    with contextlib.suppress(FileFormatError):
        assert wb.read_mask(path).good.shape == CSPAD.shape


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=80))
def test_arbitrary_bytes_are_refused(tmp_path, data):
    path = tmp_path / "mask.pickle"
    path.write_bytes(data)
    with pytest.raises(FileFormatError):
        wb.read_mask(path)


@pytest.mark.dials
def test_dials_reads_the_mask_with_no_pixel_different(tmp_path, good, dials):
    wb.write_mask(wb.Mask.from_good(good), tmp_path / "mask.pickle")
    np.save(tmp_path / "panels.npy", CSPAD.asic_stack(good))
    answer = dials(
        "import sys, numpy as np\n"
        "from libtbx import easy_pickle\n"
        "from scitbx.array_family import flex\n"
        "mask, panels = easy_pickle.load(sys.argv[1]), np.load(sys.argv[2])\n"
        "assert type(mask) is tuple and all(type(p) is flex.bool for p in mask)\n"
        "import pickle\n"  # as dials.image_viewer loads it
        "viewed = pickle.load(open(sys.argv[1], 'rb'))\n"
        "assert type(viewed) is tuple and all((p == q).count(False) == 0 "
        "for p, q in zip(mask, viewed))\n"
        "print(len(mask), sum(int((p.as_numpy_array() != q).sum()) "
        "for p, q in zip(mask, panels)))",
        tmp_path / "mask.pickle",
        tmp_path / "panels.npy",
    )
    assert answer.split() == ["64", "0"]


@pytest.mark.dials
@pytest.mark.parametrize("name", ["mask.pickle", "mask.pickle.gz"])
def test_reads_what_cctbx_writes(tmp_path, good, dials, name):
    np.save(tmp_path / "panels.npy", CSPAD.asic_stack(good))
    dials(
        "import sys, numpy as np\n"
        "from libtbx import easy_pickle\n"
        "from scitbx.array_family import flex\n"
        "easy_pickle.dump(sys.argv[1], tuple(flex.bool(p) for p in np.load(sys.argv[2])))",
        tmp_path / name,
        tmp_path / "panels.npy",
    )
    np.testing.assert_array_equal(wb.read_mask(tmp_path / name).good, good)
