"""``workbench geometry``: the spellings scripts use, and output equal to that of cctbx.xfel."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workbench.cli import main
from workbench.geometry import Geometry, GeometryStore
from workbench.geometry.formats import cif
from workbench.geometry.rotations import rotation_matrix
from workbench.images import DetectorImage, read_image, write_image

ADDRESS = "CxiDs1.0:Cspad.0"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def corrected(here):
    """CBF with a geometry that a quadrant alignment has corrected."""
    rng = np.random.default_rng(4)
    geometry = Geometry.ideal()
    for one in geometry.objects[:36]:
        geometry = geometry.rotate(one, z=rng.normal(0, 0.3), y=rng.normal(0, 0.1), x=-0.04)
    geometry = geometry.move(("CSPAD:V1", 0), (150.5, -230.25, 0))
    geometry = geometry.move_quadrants([(6, 1), (-14, -3), (-7.25, 11), (-4, 11.5)])
    image = DetectorImage(np.zeros((32, 185, 388), np.int32), geometry, 121.5, 1.3)
    write_image(image, "x_cc.cbf")
    return geometry


def test_contract_spelling_of_convert(corrected, capsys):
    assert main(["geometry", "convert", "x_cc.cbf", "0-end.data"]) == 0
    assert Geometry.read("0-end.data") == corrected


def test_spelling_of_cbfheader2slaccalib(corrected):
    assert main(["geometry", "convert", "cbf_header=x_cc.cbf"]) == 0
    assert main(["geometry", "convert", "cbf_header=x_cc.cbf", "out_metrology_file=b.data"]) == 0
    assert Path("0-end.data").read_bytes() == Path("b.data").read_bytes()


def test_spelling_of_slaccalib2cbfheader(corrected):
    corrected.write("0-end.data")
    for words, out in (
        (["metrology_file=0-end.data", "out=h.cbf"], "h.cbf"),
        (["0-end.data", "out=refined"], "refined"),  # whatever it is called, a header
        (["0-end.data", "h.def"], "h.def"),
    ):
        assert main(["geometry", "convert", *words]) == 0
        assert Path(out).read_bytes().startswith(b"###CBF")
        assert Geometry.read(out).to_text() == corrected.to_text()


def test_a_version_name_is_a_slac_file(corrected):
    assert main(["geometry", "convert", "x_cc.cbf", "0-end.data.v1"]) == 0
    assert Path("0-end.data.v1").read_text() == corrected.to_text()


def test_an_output_that_differs_is_not_overwritten_unasked(corrected, capsys):
    Geometry.ideal().write("0-end.data")
    before = Path("0-end.data").read_bytes()
    assert main(["geometry", "convert", "x_cc.cbf"]) == 1
    assert "give --overwrite" in capsys.readouterr().err
    assert Path("0-end.data").read_bytes() == before
    assert main(["geometry", "convert", "x_cc.cbf", "--overwrite"]) == 0
    assert main(["geometry", "convert", "x_cc.cbf"]) == 0  # it is the same now
    assert Geometry.read("0-end.data") == corrected


def cctbx(program, *words):
    """Run a converter of cctbx.xfel, with a stand-in for the PSCalib classes it needs."""
    stand_in = Path(__file__).with_name("pscalib_stand_in.py")
    command = ["/usr/bin/python3", stand_in, program, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.dials
@pytest.mark.slow
def test_a_header_of_cctbx_gives_the_positions_of_the_file_it_was_made_from(corrected):
    corrected.write("0-end.data")
    cctbx("cxi_slaccalib2cbfheader", "metrology_file=0-end.data", "out=theirs.cbf")
    assert main(["geometry", "convert", "0-end.data", "ours.cbf"]) == 0
    theirs, ours = Geometry.read("theirs.cbf"), Geometry.read("ours.cbf")
    difference = theirs.pixel_positions_um() - ours.pixel_positions_um()
    assert np.abs(difference).max() < 1e-3
    assert read_axes("theirs.cbf") == pytest.approx(read_axes("ours.cbf"), abs=1e-9)


def read_axes(path):
    """Every number of the axis table of a header, flat."""
    rows = cif.parse_cbf(Path(path).read_bytes(), path).table("axis").rows()
    names = [f"offset[{i}]" for i in (1, 2, 3)]
    return [
        0.0 if row[name] == "." else float(row[name])
        for row in sorted(rows, key=lambda row: row["id"])
        for name in names
    ]


@pytest.mark.dials
def test_convert_gives_the_numbers_of_cctbx(corrected):
    cctbx("cxi_cbfheader2slaccalib", "cbf_header=x_cc.cbf", "out_metrology_file=theirs.json")
    theirs = json.loads(Path("theirs.json").read_text())
    assert main(["geometry", "convert", "x_cc.cbf", "ours.data"]) == 0
    assert main(["geometry", "convert", "x_cc.cbf", "rounded.data", "--rounded"]) == 0
    ours, rounded = Geometry.read("ours.data"), Geometry.read("rounded.data")
    assert [(o["pname"], o["pindex"], o["oname"], o["oindex"]) for o in theirs] == [
        (o.parent, o.parent_index, o.name, o.index) for o in ours.objects
    ]
    for their in theirs:
        key = (their["pname"], their["pindex"], their["oname"], their["oindex"])
        for geometry, um, degrees in ((ours, 1e-3, 1e-8), (rounded, 0.5, 5e-6)):
            one = geometry.find(key)
            assert np.abs(one.origin_um - [their[f"{a}0"] for a in "xyz"]).max() <= um + 1e-9
            turn = rotation_matrix(*(their[f"rot_{a}"] + their[f"tilt_{a}"] for a in "xyz"))
            assert np.abs(one.rotation - turn).max() <= np.radians(degrees) * 2


def test_contract_spelling_of_deploy(corrected, capsys):
    Geometry.ideal().write("0-end.data")
    store = GeometryStore("calib", ADDRESS)
    store.folder.mkdir(parents=True)
    Geometry.ideal().write(store.link)
    command = ["geometry", "deploy", "x_cc.cbf", "--calib-dir", "calib", "--address", ADDRESS]
    assert main([*command, "--dry-run"]) == 0
    assert "new version 0-end.data.v1" in capsys.readouterr().out
    assert store.history() == []
    assert main([*command, "--comment", "run 74"]) == 0
    assert os.readlink(store.link) == "0-end.data.v1"
    assert Geometry.read(store.link) == corrected
    assert store.current().comment == "run 74"
    assert store.current().record["inputs"][0]["path"] == "x_cc.cbf"


def test_underscores_run_ranges_and_json(corrected, capsys):
    Path("calib").mkdir()
    assert main(["geometry", "deploy", "x_cc.cbf", "--calib_dir=calib", "--run_range", "54-80",
                 "--json"]) == 0  # fmt: skip
    deployed = json.loads(capsys.readouterr().out)
    assert deployed["version"] == 0
    assert deployed["path"].endswith("54-80.data.v0")
    assert main(["geometry", "show", "--calib-dir", "calib", "--run", "60", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["leads_to"] == "54-80.data.v0"
    assert main(["geometry", "show", "--calib-dir", "calib", "--run", "81"]) == 1
    assert "no geometry serves run 81" in capsys.readouterr().err


def test_history_diff_rollback_and_verify(corrected, capsys):
    Path("calib").mkdir()
    Geometry.ideal().write("ideal.data")
    where = ["--calib-dir", "calib"]
    for file in ("ideal.data", "x_cc.cbf"):
        assert main(["geometry", "deploy", file, *where]) == 0
    capsys.readouterr()
    assert main(["geometry", "history", *where]) == 0
    assert "→ v1" in capsys.readouterr().out
    assert main(["geometry", "diff", "0", "1", *where, "--json"]) == 0
    changes = json.loads(capsys.readouterr().out)["changes"]
    quadrant = next(one for one in changes if one["object"].startswith("QUAD:V1 1"))
    assert quadrant["shift_px"][:2] == pytest.approx([14, 3])
    assert main(["geometry", "diff", "ideal.data", "x_cc.cbf"]) == 0
    assert main(["geometry", "rollback", "v0", *where, "--comment", "worse"]) == 0
    assert main(["geometry", "verify", *where]) == 0
    capsys.readouterr()
    store = GeometryStore("calib", ADDRESS)
    assert store.current().number == 0
    store.link.chmod(0o644)
    store.link.write_text(Geometry.read("x_cc.cbf").to_text())
    assert main(["geometry", "verify", *where]) == 1
    assert "was changed after" in capsys.readouterr().out
    assert main(["geometry", "verify", *where, "--repair"]) == 0
    assert Geometry.read(store.link) == Geometry.ideal()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["convert", "absent.cbf"], "absent.cbf: cannot read"),
        (["convert", "cbf_header="], "no input given"),
        (["convert", "a", "b", "c"], "expected an input and an output"),
        (["convert", "x_cc.cbf", "x.doc"], "cannot write .doc"),
        (["deploy", "x_cc.cbf", "--calib-dir", "nowhere"], "no such calibration directory"),
        (["rollback", "last", "--calib-dir", "."], "is not a version"),
        (["rollback", "3", "--calib-dir", "."], "there is no v3"),
        (["diff", "--calib-dir", "."], "fewer than two versions"),
        (["diff"], "give two files"),
        (["show"], "give a file"),
        (["history", "--calib-dir", ".", "--run-range", "x"], "not a range of runs"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(corrected, capsys, words, says):
    before = sorted(os.listdir())
    assert main(["geometry", *words]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert sorted(os.listdir()) == before


def test_a_crystfel_file_becomes_a_slac_file(here, crystfel_file):
    assert main(["geometry", "convert", str(crystfel_file), "0-end.data"]) == 0
    assert main(["geometry", "convert", "0-end.data", "x.geom", "--distance", "110"]) == 0
    again = Geometry.read("x.geom").pixel_positions_um()
    assert np.abs(again - Geometry.read("0-end.data").pixel_positions_um()).max() < 1e-6


def test_real_images_give_their_geometry(here, crystfel_file):
    cbf = crystfel_file.parents[1] / "cbf" / "idx-20130301060858401.cbf"
    assert main(["geometry", "convert", str(cbf)]) == 0
    expected = read_image(cbf).geometry.pixel_positions_um()
    assert np.abs(Geometry.read("0-end.data").pixel_positions_um() - expected).max() < 1e-6


def test_nothing_heavy_is_loaded_to_print_help():
    code = (
        "import sys, workbench.cli.geometry; print('scipy' in sys.modules, 'h5py' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
