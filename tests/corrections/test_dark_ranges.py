"""Constants of all gain ranges, from dark runs that show one range each."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from workbench.constants import constants_folder
from workbench.corrections import join_ranges, range_dark
from workbench.detectors import CSPAD, EPIX10KA_QUAD, JUNGFRAU_05M
from workbench.errors import ConstantsError
from workbench.recipe import Events

SHAPE = EPIX10KA_QUAD.shape
CODES = {"FH": 7, "FM": 3, "FL": 2, "AHL-H": 4, "AML-M": 0}
"""Configuration of the pixels in the five dark runs of psana's calibration."""


class DarkRun:
    """A run of the quad whose pixels have one value, with gain bits, in all events."""

    experiment, event_count, calib_dir, source = "mfxtest", 24, None, "XTC"
    address, detector = EPIX10KA_QUAD.address, EPIX10KA_QUAD

    def __init__(self, number, mode, value):
        self.number, self.value, self.problems, self.seen = number, value, [], []
        self.gain_code = np.full(SHAPE, CODES[mode], np.uint8)
        self.raw = np.full(SHAPE, value, np.uint16)
        if mode in ("FL", "AHL-L"):
            self.raw |= 1 << 14

    def events(self, corrections, selection):
        for index in range(24):
            if selection is None or selection.why_not_index(index) is None:
                self.seen.append(index)
                yield SimpleNamespace(raw=None if index == 3 else self.raw)

    @property
    def images(self):
        average = np.full(SHAPE, float(self.value))
        return SimpleNamespace(
            detector=self.detector, average=average, stddev=np.full(SHAPE, 3.0),
            maximum=average + 12, count=24, pixel_count=np.full(SHAPE, 24),
        )  # fmt: skip


def dark(number, mode, value):
    made = DarkRun(number, mode, value)
    return range_dark(made.images, made)


def test_the_configuration_and_the_gain_bits_say_which_range_a_run_shows():
    shown = [dark(number, mode, 2000) for number, mode in enumerate(CODES)]
    assert [each.name for each in shown] == list(CODES)
    assert [each.gain_range for each in shown] == [0, 1, 2, 3, 4]


def test_a_pixel_in_another_range_or_in_none_has_bit_64():
    run = DarkRun(10, "AHL-H", 2000)
    run.raw[2, 5, 7] |= 1 << 14  # always in low gain
    images = run.images
    images.pixel_count[1, 2, 3] = 23  # gain bits of no range in one event
    images.pixel_count[3] = 20  # absent in four events: no fault of the pixels
    constants = range_dark(images, run).constants
    assert np.argwhere(constants.pixel_status).tolist() == [[1, 2, 3], [2, 5, 7]]
    assert set(constants.pixel_status.flat) == {0, 64}
    assert constants.counts["gain bits of no range, or not of the run's"] == 2


def test_the_events_that_were_averaged_tell_the_range():
    run = DarkRun(10, "AHL-H", 2000)
    range_dark(run.images, run)
    assert run.seen[::3] == [0, 3, 6, 9, 12, 15, 18, 21]
    run.seen.clear()
    range_dark(run.images, run, selection=Events(indices=(5, 9, 20)))
    assert set(run.seen) <= {5, 9, 20}


def test_pixels_in_several_ranges_are_refused():
    run = DarkRun(10, "AHL-H", 2000)
    run.raw[:2] |= 1 << 14
    with pytest.raises(ConstantsError, match=r"run 10 are not in one .*50 % in AHL-H, 50 % in AHL"):
        range_dark(run.images, run)
    run = DarkRun(10, "FH", 2000)
    run.problems = ["x.xtc, byte 9: the gain map of it changes within the run; the first one is "
                    "used."]  # fmt: skip
    with pytest.raises(ConstantsError, match="take a dark run of each range"):
        range_dark(run.images, run)
    run.raw = run.raw.astype(np.float32)
    with pytest.raises(
        ConstantsError, match=r"with gain bits, those of mfxtest run 10 are float32"
    ):
        range_dark(run.images, run)
    run.detector = CSPAD
    with pytest.raises(ConstantsError, match="CSPAD has no gain ranges"):
        range_dark(run.images, run)


def write_lines(calib_dir, kind, of_ranges):
    folder = constants_folder(calib_dir, EPIX10KA_QUAD.address, kind)
    folder.mkdir(parents=True)
    (folder / "0-end.data").write_text("".join(4 * 352 * (line + "\n") for line in of_ranges))


def test_ranges_that_no_dark_run_shows_stay_as_they_are_deployed(tmp_path):
    address = EPIX10KA_QUAD.address
    write_lines(tmp_path, "pedestals", [f"{1000 + gain_range} " * 384 for gain_range in range(7)])
    write_lines(tmp_path, "pixel_status", ["1 " + "0 " * 383])  # of all ranges together
    darks = [dark(20, "FM", 2100), dark(21, "AHL-H", 2300)]
    joined = join_ranges(darks, tmp_path, address, 20)
    assert joined.kept == ("FH", "FL", "AML-M", "AHL-L", "AML-L")
    assert joined.describe() == (
        "FM of run 20 (24 events), AHL-H of run 21 (24 events); FH, FL, AML-M, AHL-L, AML-L as "
        "deployed before"
    )
    pedestals, rms = joined.constants.pedestals, joined.constants.pixel_rms
    assert pedestals[:, 3, 100, 100].tolist() == [1000, 2100, 1002, 2300, 1004, 1005, 1006]
    assert rms[:, 3, 100, 100].tolist() == [1, 3, 1, 3, 1, 1, 1]
    assert joined.constants.pixel_status[:, 0, 9, 0].tolist() == [1, 0, 1, 0, 1, 1, 1]
    assert joined.constants.bad_pixels == 4 * 352


def test_a_range_without_pedestals_is_refused_and_two_runs_of_one_range():
    nothing = Path("nothing")
    darks = [dark(number, mode, 2000) for number, mode in enumerate(CODES)]
    with pytest.raises(ConstantsError, match=r"No dark run shows AHL-L, AML-L .* serve run 0 in"):
        join_ranges(darks, nothing, EPIX10KA_QUAD.address, 0)
    with pytest.raises(ConstantsError, match="Runs 0 and 8 both show FH"):
        join_ranges([*darks, dark(8, "FH", 2000)], nothing, EPIX10KA_QUAD.address, 0)
    other = dataclasses.replace(darks[1], detector=JUNGFRAU_05M)
    with pytest.raises(ConstantsError, match=r"Run 1 is of a Jungfrau 0\.5M, run 0 of an ePix"):
        join_ranges([darks[0], other], nothing, EPIX10KA_QUAD.address, 0)
    with pytest.raises(ConstantsError, match="no dark runs"):
        join_ranges([], nothing, EPIX10KA_QUAD.address, 0)
