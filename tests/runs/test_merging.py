"""Whatever way events are spread over streams and chunks, they come out once and in time order."""

import pytest
import xtc_builder as x
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.runs import open_run

# without any detector in the configuration a run cannot be opened: 288 kB, written once
HEAD = x.dgram(x.CONFIGURE, x.container(x.config()), sec=x.T0 - 1000)


def event(number, first_fiducial, *, clock_offset=0, code=40):
    ns = number * 8_333_333 + clock_offset
    fid = (first_fiducial + 3 * number) % 131040
    return x.dgram(x.L1, x.evr(code), sec=x.T0 + ns // 10**9, ns=ns % 10**9, fid=fid)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("merged")


shots = st.lists(
    st.tuples(st.integers(0, 3), st.booleans(), st.booleans(), st.integers(0, 9)),
    min_size=1, max_size=60,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(shots=shots, first=st.sampled_from([300, 131000, 130950]), split=st.integers(0, 60))
def test_events_come_once_and_in_order(folder, shots, first, split):
    """Each shot goes to one of four DAQ streams, maybe with a piece in a control stream."""
    for path in folder.iterdir():
        path.unlink()
    streams: dict[int, list[tuple[float, bytes]]] = {number: [] for number in (0, 1, 2, 3, 80)}
    expected = []
    for number, (stream, controlled, late, delay) in enumerate(shots):
        place = number + (delay if late else 0)  # disorder within the read-ahead
        streams[stream].append((place, event(number, first)))
        if controlled:
            # the control stream's clock is 40 s off
            piece = event(number, first, clock_offset=40 * 10**9, code=162)
            streams[80].append((place, piece))
        expected.append((number, (40,)))
    for stream, events in streams.items():
        events.sort(key=lambda one: one[0])
        contents = [content for _, content in events]
        x.write(folder, HEAD + b"".join(contents[:split]), stream=stream)
        if contents[split:]:
            x.write(folder, b"".join(contents[split:]), stream=stream, chunk=1)
    run = open_run("cxim1416", 74, xtc_dir=folder)
    found = list(run.events())
    fiducials = [(first + 3 * number) % 131040 for number, _ in expected]
    assert [one.fiducials for one in found] == fiducials
    assert [one.index for one in found] == list(range(len(shots)))
    assert [one.event_codes for one in found] == [codes for _, codes in expected]
    assert all(one.seconds < x.T0 + 2 for one in found)  # the time is the DAQ's
    assert not run.skipped
