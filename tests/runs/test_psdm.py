"""Finding experiments and runs on disk."""

import pytest
import xtc_builder as x

from workbench.errors import RunNotFoundError
from workbench.runs import find_experiment, list_experiments, list_runs
from workbench.runs.psdm import parse_database, parse_name


def make_run(folder, run=74, **kwargs):
    return x.write(folder, b"x", run=run, **kwargs)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("e780-r0074-s00-c00.xtc", ("e780", 74, 0, 0)),
        ("cxim1416-r0074-s80-c12.xtc", ("cxim1416", 74, 80, 12)),
        ("cxix12345-r12345-s1-c0.xtc", ("cxix12345", 12345, 1, 0)),
        ("e780-r0000-s00-c00.xtc", ("e780", 0, 0, 0)),
        ("e780-r0074-s00-c00.xtc.inprogress", ("e780", 74, 0, 0)),
        ("e780-r0074-s00-c00.smd.xtc", None),
        ("e780-r0074-s00-c00.xtc.idx", None),
        ("e780-r0074-s00-c00.xtc.md5", None),
        ("e780-r0074-s00-c00.xtc ", None),
        ("e780-r0074-s00.xtc", None),
        ("-r0074-s00-c00.xtc", None),
        ("e780-r٣-s00-c00.xtc", None),
        ("e780-r" + "9" * 5000 + "-s00-c00.xtc", None),
    ],
)
def test_file_names(name, expected):
    assert parse_name(name) == expected


def test_small_data_and_index_files_are_ignored(tmp_path):
    xtc = tmp_path / "CXI" / "cxim1416" / "xtc"
    make_run(xtc)
    make_run(xtc, end=".smd.xtc")
    make_run(xtc, end=".xtc.idx")
    make_run(xtc / "smalldata", end=".smd.xtc")
    make_run(xtc / "index", run=75, end=".xtc.idx")
    (xtc / "cxim1416-r0099-s00-c00.xtc").mkdir()
    runs = list_runs("cxim1416", tmp_path)
    assert [(run.number, len(run.files)) for run in runs] == [(74, 1)]


@pytest.mark.parametrize("instrument", ["CXI", "cxi"])
@pytest.mark.parametrize("experiment", ["cxim1416", "CXI/cxim1416", "cxi/cxim1416"])
def test_the_instrument_folder_in_upper_or_lower_case(tmp_path, instrument, experiment):
    make_run(tmp_path / instrument / "cxim1416" / "xtc")
    place = find_experiment(experiment, tmp_path)
    assert place.name == "cxim1416"
    assert place.instrument == "CXI"
    assert place.calib_dir == tmp_path / instrument / "cxim1416" / "calib"
    assert [run.number for run in place.runs()] == [74]


def test_the_data_tree_of_the_environment(tmp_path, monkeypatch):
    make_run(tmp_path / "CXI" / "cxim1416" / "xtc")
    monkeypatch.setenv("SIT_PSDM_DATA", str(tmp_path))
    assert len(list_runs("cxim1416")) == 1


@pytest.mark.parametrize("name", ["xppa1234", "xppx12345", "xpplv123456"])
def test_an_experiment_in_no_database_gives_the_instrument_by_its_name(tmp_path, name):
    """Names of 8, 9 and 11 characters; the files are named by the experiment then."""
    make_run(tmp_path / "xpp" / name / "xtc", prefix=name, run=3)
    place = find_experiment(name, tmp_path)
    assert (place.instrument, [run.number for run in place.runs()]) == ("XPP", [3])


@pytest.mark.parametrize("place", ["ExpNameDb/experiment-db.dat", "experiment-db.dat"])
def test_an_experiment_in_the_database(tmp_path, monkeypatch, place):
    database = tmp_path / "second" / place
    database.parent.mkdir(parents=True)
    database.write_text("279 CXI other\n280 XPP cxim1416\n\nnonsense line\n")
    monkeypatch.setenv("SIT_DATA", f"{tmp_path / 'first'}:{tmp_path / 'second'}")
    xtc = tmp_path / "XPP" / "cxim1416" / "xtc"  # the database decides, not the name
    make_run(xtc, prefix="e280")
    make_run(xtc, prefix="e279", run=80)
    place = find_experiment("cxim1416", tmp_path)
    assert place.instrument == "XPP"
    assert [run.number for run in place.runs()] == [74]
    assert find_experiment("280", tmp_path).name == "cxim1416"


def test_a_database_that_came_along_with_the_files(tmp_path):
    (tmp_path / "experiment-db.dat").write_text("780 CXI cxim1416\n281 CXI cxi78513\n")
    xtc = tmp_path / "CXI" / "cxim1416" / "xtc"
    make_run(xtc, prefix="e780")
    assert len(list_runs("cxim1416", xtc_dir=xtc)) == 1
    with pytest.raises(RunNotFoundError, match="none of cxi78513 or e281; check the name"):
        list_runs("cxi78513", xtc_dir=xtc)
    with pytest.raises(RunNotFoundError, match="holds files of cxim1416, none of cxix00001"):
        list_runs("cxix00001", xtc_dir=xtc)


def test_an_experiment_named_by_an_id_no_database_tells(tmp_path):
    make_run(tmp_path, prefix="e780")
    assert len(list_runs("cxim1416", xtc_dir=tmp_path)) == 1
    make_run(tmp_path, prefix="e781")
    with pytest.raises(RunNotFoundError, match="holds files of e780, e781"):
        list_runs("cxim1416", xtc_dir=tmp_path)


def test_files_of_another_experiment_are_not_taken(tmp_path):
    make_run(tmp_path, prefix="cxi78513")
    with pytest.raises(RunNotFoundError, match="holds files of cxi78513, none of cxim1416"):
        list_runs("cxim1416", xtc_dir=tmp_path)


def test_an_unknown_experiment_lists_those_there_are(tmp_path):
    make_run(tmp_path / "CXI" / "cxim1416" / "xtc")
    make_run(tmp_path / "xpp" / "xpp63412" / "xtc")
    (tmp_path / "CXI" / "cxiempty1").mkdir()
    (tmp_path / "etc" / "etcetera" / "xtc").mkdir(parents=True)
    with pytest.raises(RunNotFoundError, match="experiments there: cxim1416, xpp63412"):
        find_experiment("cxim9999", tmp_path)
    assert [(p.instrument, p.name) for p in list_experiments(tmp_path)] == [
        ("CXI", "cxim1416"), ("XPP", "xpp63412"),
    ]  # fmt: skip


def test_an_unknown_run_lists_those_there_are(tmp_path):
    for run in range(1, 31):
        make_run(tmp_path, run=run)
    place = find_experiment("cxim1416", xtc_dir=tmp_path)
    with pytest.raises(RunNotFoundError, match=r"no run 74 in .*: 1, 2, .* 20 and 10 more"):
        place.run(74)


@pytest.mark.parametrize("name", ["", "..", "../..", "CXI/", "12345678901234567890"])
def test_names_that_cannot_be(tmp_path, name):
    with pytest.raises(RunNotFoundError):
        find_experiment(name, tmp_path)


def test_missing_folders(tmp_path):
    with pytest.raises(RunNotFoundError, match="SIT_PSDM_DATA"):
        find_experiment("cxim1416", tmp_path / "nowhere")
    with pytest.raises(RunNotFoundError, match="is not a folder"):
        find_experiment("cxim1416", xtc_dir=tmp_path / "nowhere")
    (tmp_path / "CXI" / "cxim1416").mkdir(parents=True)
    with pytest.raises(RunNotFoundError, match=r"cannot be listed .* --xtc-dir"):
        list_runs("cxim1416", tmp_path)


def test_the_calibration_directory(tmp_path):
    xtc = tmp_path / "somewhere" / "xtc"
    make_run(xtc)
    assert find_experiment("cxim1416", xtc_dir=xtc).calib_dir is None
    (tmp_path / "somewhere" / "calib").mkdir()
    assert find_experiment("cxim1416", xtc_dir=xtc).calib_dir == tmp_path / "somewhere" / "calib"
    given = find_experiment("cxim1416", xtc_dir=xtc, calib_dir=tmp_path / "mine")
    assert given.calib_dir == tmp_path / "mine"


def test_streams_and_chunks_are_grouped(tmp_path):
    for stream, chunk in [(80, 0), (1, 1), (0, 10), (0, 2), (1, 0)]:
        make_run(tmp_path, stream=stream, chunk=chunk)
    (run,) = list_runs("cxim1416", xtc_dir=tmp_path)
    found = [
        (stream.number, stream.is_control, [parse_name(path.name)[3] for path in stream.paths])
        for stream in run.streams
    ]
    assert found == [(0, False, [2, 10]), (1, False, [0, 1]), (80, True, [0])]


def test_a_database_may_be_odd(tmp_path):
    path = tmp_path / "experiment-db.dat"
    path.write_bytes(
        b"\xff\xfe\n1 CXI\n99999999999 CXI cxi1\nx CXI cxi2\n# 4 CXI cxi4\n5 CXI Cxi5 z\n"
    )
    assert parse_database(path) == {"cxi5": (5, "CXI")}
