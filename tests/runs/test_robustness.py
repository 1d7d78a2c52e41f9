"""No bytes make the reader crash, hang or take much memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import xtc_builder as x
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.runs import inspect_run, open_run
from workbench.runs.psdm import find_experiment


def seed_run():
    """A short run with every kind of object in two streams, few sections to keep it small."""
    pixels = np.arange(185 * 388, dtype=np.int16).reshape(1, 185, 388)
    cfg = [x.config(quad_mask=3, roi=0x0101), x.epics_control(7, "CXI:DS1:MMS:06.RBV", -500.0)]
    event = [
        x.data([x.element(1, pixels), x.element(0, pixels)]),
        x.evr(40), x.ebeam(), x.epics_time(7, -499.0),
    ]  # fmt: skip
    packed = x.xtc(0x8002001C, b"\x20\0\0\0" + x.element_header(0) + bytes(60))
    first = x.run_bytes([event, [packed, *event[1:]], event], cfg)
    return first, x.run_bytes([event], cfg, clock=x.Clock(3001))


FIRST, SECOND = seed_run()
MARKERS = (b"\x1c\0\2\0", b"\1\0\1\0", b"\x1d\0\5\0", b"\x0d\0\1\0", b"\x0f\0\7\0")


def interesting_places():
    """Where most bytes matter: around the headers of datagrams, objects and elements."""
    for marker in MARKERS:
        place = FIRST.find(marker)
        while place >= 0:
            yield from range(max(0, place - 36), min(len(FIRST), place + 60))
            place = FIRST.find(marker, place + 1)


INTERESTING = sorted(set(interesting_places()))


def check_message(error):
    assert "\n" not in str(error)


def read_everything(folder: Path) -> int:
    """Everything a user may ask of a run; only the workbench's own errors may come out."""
    events = 0
    try:
        run = open_run("cxim1416", 74, xtc_dir=folder)
        run.describe()
        for event in run.events():
            events += 1
            raw = event.raw
            assert (raw is None) == bool(event.missing)
            assert raw is None or raw.shape == run.detector.shape
            assert event.wavelength_angstrom is None or np.isfinite(event.wavelength_angstrom)
            assert event.encoder_mm is None or np.isfinite(event.encoder_mm)
            assert isinstance(event.event_codes, tuple)
    except WorkbenchError as error:
        check_message(error)
    try:
        inspect_run(find_experiment("cxim1416", xtc_dir=folder).run(74)).to_dict()
    except WorkbenchError as error:
        check_message(error)
    return events


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mutated")


def test_the_seed_itself_is_read(folder):
    x.write(folder, FIRST)
    x.write(folder, SECOND, stream=1)
    assert read_everything(folder) == 4
    events = list(open_run("cxim1416", 74, xtc_dir=folder).events())
    assert [len(event.modules) for event in events] == [2, 2, 0, 2]
    assert [event.encoder_mm for event in events] == [-499.0] * 4


edits = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(INTERESTING), st.integers(0, len(FIRST) - 1)),
        st.one_of(
            st.binary(min_size=1, max_size=8),
            st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x13\0\0\0", b"\x14\0\0\0",
                             b"\0\0\0\x80", b"\xff\xff\xff\x7f", b"\1\0\1\0", b"\x1c\0\2\x80"]),
        ),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(edits=edits, cut=st.one_of(st.none(), st.integers(0, len(FIRST))))
def test_changed_bytes(folder, edits, cut):
    content = bytearray(FIRST)
    for place, new in edits:
        content[place : place + len(new)] = new
    x.write(folder, bytes(content[:cut]))
    x.write(folder, SECOND, stream=1)
    read_everything(folder)


pieces = st.lists(
    st.tuples(st.integers(0, len(FIRST)), st.integers(0, 4000)), min_size=1, max_size=8
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pieces=pieces)
def test_pieces_out_of_place(folder, pieces):
    """Pieces of a run put together at random, after a good beginning."""
    start = len(x.dgram(x.CONFIGURE, x.container(x.config())))
    tail = b"".join(FIRST[place : place + size] for place, size in pieces)
    x.write(folder, FIRST[: start + 200] + tail)
    x.write(folder, SECOND, stream=1)
    read_everything(folder)


@settings(max_examples=60, deadline=None)
@given(noise=st.binary(max_size=400), good=st.booleans())
def test_noise(folder, noise, good):
    x.write(folder, (FIRST if good else b"") + noise)
    x.write(folder, noise, stream=1)
    read_everything(folder)


@pytest.mark.parametrize(
    "filler",
    [
        pytest.param(x.xtc(0, b"") * 8_000, marks=pytest.mark.slow),
        x.epics_control(1, "CXI:DS1:MMS:06.RBV", 1.0) * 3_000,
        pytest.param(b"".join(x.xtc(28, b"", phy=n) for n in range(8_000)), marks=pytest.mark.slow),
        x.full(np.zeros((32, 185, 388), np.int16))[:20] * 8_000,
    ],
    ids=["placeholders", "control records", "sources", "lying extents"],
)
def test_objects_are_not_kept(folder, filler):
    x.write(folder, x.run_bytes([[filler]] * 3))
    (folder / "cxim1416-r0074-s01-c00.xtc").unlink(missing_ok=True)
    tracemalloc.start()
    try:
        read_everything(folder)
        # the configuration takes 6 MB to read; keeping the 24 000 objects would take 7 MB more
        assert tracemalloc.get_traced_memory()[1] < 9e6
    finally:
        tracemalloc.stop()


def test_very_deep_nesting(folder):
    # headers only, outermost first: built by hand since the extents reach 1.2 MB
    deep = b"".join(x.xtc(0x00010001, b"", extent=20 * (60_000 - level)) for level in range(60_000))
    x.write(folder, x.run_bytes([[deep, x.xtc(0, b"")]]))
    assert read_everything(folder) == 1


def test_many_tiny_datagrams(folder):
    x.write(folder, x.run_bytes([[x.evr(40)]]) + x.dgram(x.L1, sec=x.T0 + 1, fid=9) * 20_000)
    (folder / "cxim1416-r0074-s01-c00.xtc").unlink(missing_ok=True)
    assert read_everything(folder) == 1
