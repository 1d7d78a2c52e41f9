"""Streams and chunks merged into events, by psana's rules."""

import numpy as np
import pytest
import xtc_builder as x

from workbench.errors import DetectorNotFoundError, FileFormatError, NoEventsError

FRAME = x.frame()


def shot(fid, *, sec=None, ns=None, data=True, seed=None, objects=(), **kwargs):
    """An L1Accept at this fiducial; the clock follows it unless given."""
    ticks = fid * 2_777_778
    objects = list(objects)
    if data:
        objects.append(x.full(FRAME if seed is None else x.frame(seed)))
    return x.dgram(
        x.L1, x.container(*objects), sec=x.T0 + ticks // 10**9 if sec is None else sec,
        ns=ticks % 10**9 if ns is None else ns, fid=fid, **kwargs,
    )  # fmt: skip


def small(fid, **kwargs):
    """An event without the detector: cheap, but not empty."""
    return shot(fid, data=False, objects=[x.evr(40)], **kwargs)


def transition(service, number, env=0):
    return x.dgram(service, sec=x.T0 - 1000 + number, env=env)


def begin(cfg=None, run=74):
    cfg = x.config() if cfg is None else cfg
    return (
        x.dgram(x.CONFIGURE, x.container(cfg), sec=x.T0 - 1000)
        + transition(x.BEGIN_RUN, 1, env=run)
        + transition(x.BEGIN_CALIB, 2)
        + transition(x.ENABLE, 3)
    )


def end(number=2000):
    services = (x.DISABLE, x.END_CALIB, x.END_RUN)
    return b"".join(transition(service, number + n) for n, service in enumerate(services))


def fiducials(run):
    return [event.fiducials for event in run.events()]


# ---- within a stream -------------------------------------------------------------------------


def test_small_disorder_is_repaired(opened):
    run = opened(begin() + small(300) + small(309) + small(303) + small(306) + end())
    assert fiducials(run) == [300, 303, 306, 309]


def test_events_are_never_sorted_past_a_transition(opened):
    cycle = transition(x.END_CALIB, 1500) + transition(x.BEGIN_CALIB, 1501)
    run = opened(begin() + small(300) + small(309) + cycle + small(303) + small(306) + end())
    assert fiducials(run) == [300, 309, 303, 306]


def test_disorder_beyond_the_read_ahead_of_20_stays(opened):
    order = [300 + 3 * n for n in range(1, 30)] + [300]
    run = opened(begin() + b"".join(small(fid) for fid in order) + end())
    found = fiducials(run)
    assert sorted(found) == sorted(order)
    assert found != sorted(order)


def test_a_control_stream_is_read_ahead_by_40(opened):
    late = [300 + 3 * n for n in range(1, 36)] + [300]
    control = b"".join(small(fid) for fid in late)
    run = opened(begin() + small(900) + end(), s80=begin() + control + end())
    assert fiducials(run) == [*sorted(late), 900]


def test_two_events_of_a_daq_stream_with_one_clock_are_both_kept(opened):
    run = opened(begin() + small(300) + small(303, sec=x.T0, ns=300 * 2_777_778) + end())
    assert fiducials(run) == [300, 303]
    assert any("a second event with the time" in problem for problem in run.problems)


def test_pieces_of_a_split_event_are_delivered_side_by_side(opened):
    piece = shot(300, damage=1 << 1, seed=1)
    run = opened(begin() + shot(300) + small(303) + piece + end())
    events = list(run.events())
    assert [event.fiducials for event in events] == [300, 300, 303]
    np.testing.assert_array_equal(events[0].raw, x.frame(1))  # the later piece goes first
    np.testing.assert_array_equal(events[1].raw, FRAME)


def test_an_empty_piece_of_a_split_event_vanishes(opened):
    run = opened(begin() + shot(300) + shot(300, damage=1 << 1, data=False) + end())
    assert fiducials(run) == [300]
    assert run.skipped == {"empty": 1}


# ---- chunks ------------------------------------------------------------------------------------


def test_chunks_follow_each_other_without_a_second_configure(opened):
    run = opened(
        begin() + shot(300, seed=1), s0c1=transition(x.ENABLE, 900) + shot(303, seed=2) + end()
    )
    for event, seed in zip(run.events(), (1, 2), strict=True):
        np.testing.assert_array_equal(event.raw, x.frame(seed))


def test_chunks_are_ordered_by_number_not_by_name(opened, tmp_path):
    x.write(tmp_path / "xtc", small(309) + end(), chunk=10)
    x.write(tmp_path / "xtc", small(306), chunk=9)
    run = opened(begin() + small(303))
    assert fiducials(run) == [303, 306, 309]


def test_a_truncated_last_datagram_is_dropped(opened):
    run = opened(begin() + small(300) + shot(303)[:-100])
    assert fiducials(run) == [300]
    assert run.skipped == {"truncated": 1}
    assert "s00-c00.xtc, byte" in run.problems[0]


def test_a_truncated_chunk_does_not_hide_the_next(opened):
    run = opened(begin() + small(300) + small(303)[:-5], s0c1=small(306) + end())
    assert fiducials(run) == [300, 306]


def test_damage_in_the_middle_of_a_file_is_told(opened):
    run = opened(begin() + small(300) + b"\xff" * 1000)
    assert fiducials(run) == [300]
    assert run.skipped == {"damaged file": 1}
    assert "damaged here" in run.problems[0]


def test_a_file_in_progress_is_read_so_far(tmp_path):
    from workbench.runs import list_runs, open_run

    content = begin() + shot(300) + shot(303)[:-1000]
    x.write(tmp_path, content, end=".xtc.inprogress")
    run = open_run("cxim1416", 74, xtc_dir=tmp_path)
    assert fiducials(run) == [300]
    assert list_runs("cxim1416", xtc_dir=tmp_path)[0].in_progress


def test_a_finished_file_wins_over_the_one_in_progress(tmp_path):
    from workbench.runs import open_run

    x.write(tmp_path, begin() + small(300), end=".xtc.inprogress")
    x.write(tmp_path, begin() + small(300) + small(303) + end())
    assert fiducials(open_run("cxim1416", 74, xtc_dir=tmp_path)) == [300, 303]


def test_a_run_without_events_is_told(opened):
    with pytest.raises(NoEventsError, match="cxim1416 run 74 has no events"):
        opened(begin() + end())


def test_an_empty_file_is_told(opened):
    with pytest.raises(NoEventsError, match="1 files, 0 bytes"):
        opened(b"")


def test_a_foreign_file_is_told(opened):
    with pytest.raises(FileFormatError, match=r"s00-c00.xtc, byte 0: .*It is not an XTC file"):
        opened(b"\x89HDF\r\n\x1a\n" * 100)


# ---- between streams ---------------------------------------------------------------------------


def test_daq_streams_take_turns(opened):
    run = opened(
        begin() + small(300) + small(306) + end(), s1=begin() + small(303) + small(309) + end()
    )
    assert fiducials(run) == [300, 303, 306, 309]
    assert [event.index for event in run.events()] == [0, 1, 2, 3]


def test_the_same_fiducial_in_two_daq_streams_is_two_events(opened):
    run = opened(begin() + small(300) + end(), s1=begin() + shot(300) + end())
    assert fiducials(run) == [300, 300]
    assert [bool(event.modules) for event in run.events()] == [False, True]


def test_fiducials_order_events_across_their_wrap(opened):
    def at(fid, n):
        return small(fid, sec=x.T0 + n, ns=0)

    run = opened(
        begin() + at(131036, 0) + at(2, 2) + end(), s1=begin() + at(131039, 1) + at(5, 3) + end()
    )
    assert fiducials(run) == [131036, 131039, 2, 5]


def test_seconds_order_events_85_or_more_apart(opened):
    run = opened(
        begin() + small(300, sec=x.T0 + 85, ns=0) + end(),
        s1=begin() + small(309, sec=x.T0, ns=0) + end(),
    )
    assert fiducials(run) == [309, 300]


def test_fiducials_order_events_less_than_85_seconds_apart(opened):
    run = opened(
        begin() + small(300, sec=x.T0 + 84, ns=0) + end(),
        s1=begin() + small(309, sec=x.T0, ns=0) + end(),
    )
    assert fiducials(run) == [300, 309]


def test_calibration_cycles_of_all_streams_come_in_order(opened):
    cycle = transition(x.END_CALIB, 1500) + transition(x.BEGIN_CALIB, 1501)
    run = opened(
        begin() + small(400) + cycle + small(410) + end(),
        s1=begin() + cycle + small(300) + end(),
    )
    assert fiducials(run) == [400, 300, 410]


def test_a_control_stream_joins_by_fiducial(opened):
    control = small(300, sec=x.T0 + 84, ns=5) + small(309, sec=x.T0 + 84, ns=9)
    run = opened(begin() + shot(300) + shot(303) + end(), s80=begin() + control + end())
    events = list(run.events())
    assert [event.fiducials for event in events] == [300, 303, 309]
    assert (events[0].seconds, events[0].event_codes) == (x.T0, (40,))  # time of the DAQ stream
    assert events[1].event_codes == ()
    assert events[2].raw is None  # control only: delivered with its own clock


def test_a_control_stream_85_seconds_off_does_not_join(opened):
    run = opened(
        begin() + small(300) + end(), s80=begin() + small(300, sec=x.T0 + 85, ns=0) + end()
    )
    assert fiducials(run) == [300, 300]


@pytest.mark.parametrize(("stream", "joins"), [(1, False), (79, False), (80, True), (81, True)])
def test_control_streams_are_those_from_80_on(opened, stream, joins):
    run = opened(begin() + shot(300) + end(), **{f"s{stream}": begin() + small(300) + end()})
    assert fiducials(run) == ([300] if joins else [300, 300])


def test_two_control_streams_join_one_event(opened):
    extra = {"s80": begin() + small(300) + end(), "s81": begin() + small(300) + end()}
    run = opened(begin() + small(300) + end(), **extra)
    assert fiducials(run) == [300]


def test_the_detector_may_be_in_a_control_stream(opened):
    run = opened(begin() + small(300) + end(), s80=begin() + shot(300) + end())
    (event,) = run.events()
    np.testing.assert_array_equal(event.raw, FRAME)
    assert event.event_codes == (40,)


def test_of_two_events_of_a_control_stream_with_one_clock_the_first_is_kept(opened):
    control = shot(300, seed=1) + shot(300, seed=2)
    run = opened(begin() + small(300) + end(), s80=begin() + control + end())
    (event,) = run.events()
    np.testing.assert_array_equal(event.raw, x.frame(1))
    assert run.skipped == {"duplicate in control stream": 1}


def test_the_configuration_of_the_lowest_daq_stream_counts(opened):
    low = np.zeros((4, 185, 194))
    run = opened(begin() + small(300) + end(), s1=begin(x.config(gains=low)) + shot(303) + end())
    assert not run.low_gain.any()


def test_a_control_stream_configures_what_the_daq_does_not(opened):
    run = opened(begin(x.evr()) + small(300) + end(), s80=begin() + shot(300) + end())
    assert run.config.version == 5


def test_a_calibration_cycle_may_bring_a_configuration(opened):
    new = x.config(quad_mask=1, roi=0b100)
    cycle = x.dgram(x.BEGIN_CALIB, x.container(new), sec=x.T0 - 900)
    first = x.dgram(x.CONFIGURE, x.container(x.config()), sec=x.T0 - 1000)
    section = x.data([x.element(0, FRAME[2:3])])
    run = opened(first + shot(300) + cycle + shot(303, data=False, objects=[section]) + end())
    before, after = run.events()
    assert before.complete
    assert after.modules[0].modules == (2,)
    np.testing.assert_array_equal(after.raw[2], FRAME[2])


def test_a_configuration_in_a_higher_daq_stream_alone_does_not_count(opened):
    with pytest.raises(DetectorNotFoundError, match="no configuration"):
        opened(begin(x.evr()) + shot(300) + end(), s1=begin() + shot(303) + end())


def test_two_ends_of_a_calibration_cycle_in_a_row_count_once(opened):
    cycle = transition(x.END_CALIB, 1500) + transition(x.BEGIN_CALIB, 1502)
    doubled = transition(x.END_CALIB, 1500) + cycle
    run = opened(
        begin() + small(300) + doubled + small(400) + end(),
        s1=begin() + small(303) + cycle + small(410) + transition(x.END_CALIB, 1700)
        + transition(x.BEGIN_CALIB, 1701) + small(390) + end(),
    )  # fmt: skip
    assert fiducials(run) == [300, 303, 400, 410, 390]


def test_a_transition_with_the_clock_of_the_previous_one_of_its_kind_is_ignored(opened):
    again = x.dgram(x.CONFIGURE, x.container(x.config(quad_mask=1)), sec=x.T0 - 1000)
    run = opened(begin() + again + shot(300) + end())
    (event,) = run.events()
    assert event.complete


def test_the_run_number_is_that_of_begin_run(opened):
    run = opened(begin(run=77) + small(300) + end())
    assert (run.number, run.file_number) == (77, 74)


def test_the_run_number_is_that_of_the_name_if_begin_run_has_none(opened):
    assert opened(begin(run=0) + small(300) + end()).number == 74


def test_some_streams_leave_the_run_number_0(opened):
    run = opened(begin(run=0) + small(300) + end(), s1=begin(run=76) + small(303) + end())
    assert run.number == 76


@pytest.mark.parametrize("service", [0, 1, 2, 3, 5, 13, 15])
def test_other_transitions_are_tolerated(opened, service):
    run = opened(begin() + transition(service, 50) + small(300) + end())
    assert fiducials(run) == [300]


def test_a_map_may_come_first(opened):
    assert fiducials(opened(transition(2, 0) + begin() + small(300) + end())) == [300]


# ---- what is skipped ---------------------------------------------------------------------------


@pytest.mark.parametrize("bit", [1, 11, 12, 13, 14, 15, 16, 24])
def test_damaged_data_are_left_out_but_the_event_is_delivered(opened, bit):
    damaged = x.full(FRAME, damage=1 << bit)
    run = opened(begin() + shot(300, data=False, objects=[damaged]) + end())
    (event,) = run.events()
    assert event.raw is None
    assert event.modules == ()
    assert event.missing.startswith("damaged (")


def test_a_placeholder_tells_the_damage_of_a_source(opened):
    run = opened(begin() + shot(300, data=False, objects=[x.xtc(0, b"", damage=2)]) + end())
    (event,) = run.events()
    assert event.missing == "damaged (DroppedContribution)"


def test_an_event_without_the_detector_is_delivered(opened):
    run = opened(begin() + small(300) + end())
    (event,) = run.events()
    assert event.raw is None
    assert event.missing == "detector not in the event"


def test_an_incomplete_datagram_is_not_delivered(opened):
    run = opened(begin() + shot(300, damage=1 << 15) + small(303) + end())
    assert fiducials(run) == [303]
    assert run.skipped == {"incomplete": 1}


def test_a_datagram_that_contains_incomplete_parts_is_normal(opened):
    run = opened(begin() + shot(300, damage=1 << 16) + end())
    (event,) = run.events()
    assert event.complete


@pytest.mark.parametrize("objects", [[], [x.epics_time(1, 2.0)], [x.container()]])
def test_an_event_with_nothing_but_containers_and_epics_is_not_an_event(opened, objects):
    run = opened(begin() + shot(300, data=False, objects=objects) + small(303) + end())
    assert [(event.index, event.fiducials) for event in run.events()] == [(0, 303)]
    assert run.skipped == {"empty": 1}


def test_an_event_trimmed_by_the_trigger_is_dropped(opened):
    run = opened(begin() + small(300, env=1 << 31) + small(303, env=2 << 8) + end())
    assert fiducials(run) == [303]  # failed but not trimmed: kept
    assert run.skipped == {"trimmed by the trigger": 1}


@pytest.mark.parametrize("result", [0, 1, 2])
def test_what_the_trigger_said_does_not_matter_without_trimming(opened, result):
    run = opened(begin() + shot(300, env=1 << 30 | result << 8 | 0xFF) + end())
    (event,) = run.events()
    assert event.complete


def test_an_event_trimmed_in_the_daq_is_dropped_with_its_control_piece(opened):
    run = opened(
        begin() + small(300, env=1 << 31) + small(303) + end(),
        s80=begin() + small(300) + small(303) + end(),
    )
    assert fiducials(run) == [303]
    assert run.skipped == {"trimmed by the trigger": 1}


@pytest.mark.parametrize("where", ["segment", "element"])
def test_an_incomplete_part_is_not_looked_at_but_the_event_is_delivered(opened, where):
    part = x.full(FRAME, damage=1 << 15)
    if where == "segment":
        part = x.container(x.full(FRAME), damage=1 << 15)
    run = opened(begin() + shot(300, data=False, objects=[part, x.evr(40)]) + end())
    (event,) = run.events()
    assert event.raw is None
    assert event.event_codes == (40,)


@pytest.mark.parametrize("fid", [131040, 0x1FFFE, 0x1FFFF])
def test_an_event_with_an_invalid_fiducial_is_dropped(opened, fid):
    run = opened(begin() + small(300) + small(fid, sec=x.T0 + 1, ns=0) + small(903) + end())
    assert fiducials(run) == [300, 903]
    assert run.skipped == {"invalid fiducial": 1}


def test_small_data_objects_are_passed_over(opened):
    extra = [x.xtc(1 << 16 | kind, bytes(16), log=0x04000000) for kind in (89, 90, 91)]
    run = opened(begin() + shot(300, objects=extra) + end())
    (event,) = run.events()
    assert event.complete
