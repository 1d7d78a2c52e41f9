"""psana's choice of the constants that serve a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.constants import constants_folder, file_for_run, run_range
from workbench.errors import ConstantsError

OBSERVED = ["0-end", "5-10", "7-end", "7-8", "12-20", "0015-0016"]


@pytest.mark.parametrize(
    ("run", "chosen"),
    [(4, "0-end"), (5, "5-10"), (7, "7-8"), (8, "7-8"), (9, "7-end"), (11, "7-end"),
     (12, "12-20"), (17, "12-20"), (15, "0015-0016"), (30, "7-end")],
)  # fmt: skip
def test_the_choice_psana_was_seen_to_make(tmp_path, run, chosen):
    for stem in OBSERVED:
        (tmp_path / f"{stem}.data").touch()
    assert file_for_run(tmp_path, run).name == f"{chosen}.data"


def test_other_files_do_not_count(tmp_path):
    for name in ("HISTORY", "0-end.data.v0", "0-end.data~", "a-end.data", "1-2-3.data",
                 "-5-end.data", "0-end.txt", "0-END.data"):  # fmt: skip
        (tmp_path / name).touch()
    assert file_for_run(tmp_path, 3) is None


def test_no_folder_and_no_serving_file_give_none(tmp_path):
    assert file_for_run(tmp_path / "absent", 1) is None
    (tmp_path / "10-20.data").touch()
    assert file_for_run(tmp_path, 9) is None
    assert file_for_run(tmp_path, 21) is None
    assert file_for_run(tmp_path / "10-20.data", 10) is None


def test_a_version_link_is_chosen_as_a_file(tmp_path):
    (tmp_path / "0-end.data.v1").touch()
    (tmp_path / "0-end.data").symlink_to("0-end.data.v1")
    assert file_for_run(tmp_path, 74).name == "0-end.data"


@given(
    ranges=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30) | st.none()), max_size=8),
    run=st.integers(0, 35),
)
def test_the_choice_is_the_latest_begin_then_the_earliest_end(tmp_path_factory, ranges, run):
    folder = tmp_path_factory.mktemp("constants")
    for begin, end in ranges:
        (folder / f"{begin}-{'end' if end is None else end}.data").touch()
    serving = [(b, e) for b, e in ranges if b <= run and (e is None or run <= e)]
    found = file_for_run(folder, run)
    if not serving:
        assert found is None
        return
    begin, end = run_range(found.name)
    assert begin == max(b for b, _ in serving)
    assert end == min(float("inf") if e is None else e for b, e in serving if b == begin)


def test_the_folder_follows_the_detector(tmp_path):
    folder = constants_folder(tmp_path, "CxiDs1.0:Cspad.0", "pedestals")
    assert folder == tmp_path / "CsPad::CalibV1" / "CxiDs1.0:Cspad.0" / "pedestals"
    small = constants_folder(tmp_path, "XppGon.0:Cspad2x2.1", "geometry")
    assert small == tmp_path / "CsPad2x2::CalibV1" / "XppGon.0:Cspad2x2.1" / "geometry"


@pytest.mark.parametrize(("address", "kind"), [("", "pedestals"), ("a/b", "x"), ("a", "..")])
def test_names_that_would_leave_the_directory_are_refused(tmp_path, address, kind):
    with pytest.raises(ConstantsError):
        constants_folder(tmp_path, address, kind)
