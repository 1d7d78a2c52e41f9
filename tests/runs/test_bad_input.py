"""What is wrong with runs, geometry or constants is one sentence in the app."""

import contextlib
import re

import epix10ka_builder as epix
import ipywidgets
import pytest
from jungfrau_builder import ADDRESS, PHY, config, data, frame
from xtc_builder import CONFIGURE, Clock, container, dgram, run_bytes, write, xtc

from workbench.constants import constants_folder
from workbench.detectors import CSPAD, EPIX10K2M, EPIX10KA_QUAD, JUNGFRAU_05M, JUNGFRAU_1M
from workbench.errors import WorkbenchError
from workbench.geometry import Geometry
from workbench.recipe import Experiment, Output, Recipe
from workbench.ui.app import Workbench

GOOD = data(frame(1) & 0x3FFF)


def of_run(*objects, cfg=None):
    return run_bytes([[each] for each in objects], cfg=[cfg or config(1)])


def changing():
    clock = Clock()
    start = run_bytes([[GOOD]], cfg=[config(1)], clock=clock, close=False)
    return start + dgram(CONFIGURE, container(config(2)), **clock.next())


def bad_bits():
    pixels = frame(1) & 0x3FFF
    pixels[0, :256] |= 2 << 14
    return data(pixels)


def sentences(panel):
    text = re.sub(r"<[^>]+>", " ", panel.message.value)
    return re.sub(r"\s+", " ", text).strip()


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Open the workbench on a run of this content and average it; gives the workbench."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def open_it(content, address=ADDRESS, place_of=ADDRESS, **constants):
        calib = tmp_path / "calib"
        calib.mkdir()
        for kind, text in constants.items():
            folder = constants_folder(calib, place_of, kind)
            folder.mkdir(parents=True)
            (folder / "0-end.data").write_text(text)
        write(tmp_path, content, prefix="cxitest")
        place = Experiment(name="cxitest", address=address, dark=74, xtc_dir=str(tmp_path),
                           calib_dir=str(calib))  # fmt: skip
        recipe = Recipe(experiment=place, output=Output(folder=str(tmp_path / "out")))
        bench = Workbench(recipe.changed("dark_corrections.pedestal", "pedestals" in constants))
        bench.session.compute_images()
        with contextlib.suppress(WorkbenchError):  # what the panel says
            bench.session.wait(300)
        return bench

    yield open_it
    ipywidgets.Widget.close_all()


def assert_no_fault(bench):
    assert not any(entry.detail for entry in bench.session.log.entries), bench.session.log.text(
        detail=True
    )


NO_RUN = {
    "version of the configuration": (of_run(GOOD, cfg=config(1, 5)), "version 1 to 4, found"),
    "version of the data": (of_run(data(frame(1), 3)), "version 1 or 2, found version 3"),
    "type of the data": (of_run(xtc(2 << 16 | 999, b"", phy=PHY)), "TypeId 999 version 2"),
    "module missing": (of_run(GOOD, cfg=config(2)), "expected 2 modules of a Jungfrau 1M"),
}


@pytest.mark.parametrize("case", NO_RUN)
def test_a_run_that_cannot_be_averaged_is_one_sentence_in_the_panel(opened, case):
    content, words = NO_RUN[case]
    bench = opened(content)
    assert words in sentences(bench.panels[0])
    assert bench.session.images is None
    assert_no_fault(bench)


def test_a_detector_that_is_not_in_the_run_is_named_with_those_that_are(opened):
    bench = opened(of_run(GOOD), address="CxiDs1.0:Cspad.0")
    assert re.search(r"CxiDs1\.0:Cspad\.0.*CxiDs1\.0:Jungfrau\.0", sentences(bench.panels[0]))
    assert_no_fault(bench)


@pytest.mark.parametrize(
    ("content", "words"),
    [(changing(), "changes from Jungfrau 0.5M to Jungfrau 1M within the run"),
     (of_run(GOOD, bad_bits()), "have gain bits that stand for no")],
    ids=["mixture", "bits 10"],
)  # fmt: skip
def test_what_averages_can_do_without_is_a_warning(opened, content, words):
    bench = opened(content, geometry=Geometry.ideal(JUNGFRAU_05M).to_text())
    assert words in " ".join(bench.session.images.dark.warnings)
    assert words in bench.panels[0].averaged.value
    assert_no_fault(bench)


def test_constants_of_the_wrong_shape_are_one_sentence_in_the_panel(opened):
    row = " ".join(["3000"] * 1024) + "\n"
    bench = opened(of_run(GOOD), pedestals=row * 512)
    assert "pedestals of the Jungfrau 0.5M are 3 gain ranges" in sentences(bench.panels[0])
    assert_no_fault(bench)


@pytest.mark.parametrize("other", [CSPAD, JUNGFRAU_1M], ids=["CSPAD", "Jungfrau 1M"])
def test_a_geometry_of_another_detector_is_one_sentence_in_the_panel(opened, other):
    bench = opened(of_run(GOOD), geometry=Geometry.ideal(other).to_text())
    said = " ".join(map(sentences, bench.panels))
    assert other.name in said
    assert "Jungfrau 0.5M" in said
    assert_no_fault(bench)


# ---- the ePix10k2M ------------------------------------------------------------------------------

EPIX = epix.ADDRESS[16]
EPIX_GOOD = epix.data(epix.frame(16))


def of_epix(*objects, cfg=None):
    return run_bytes([[each] for each in objects], cfg=[epix.config(16)] if cfg is None else cfg)


def changing_epix():
    clock = Clock()
    start = run_bytes([[EPIX_GOOD]], cfg=[epix.config(16)], clock=clock, close=False)
    quad = epix.config(4, phy=epix.MFX_2M)
    return start + dgram(CONFIGURE, container(quad), **clock.next())


NO_EPIX_RUN = {
    "type of the configuration": (
        of_epix(EPIX_GOOD, cfg=[xtc(1 << 16 | 998, b"", phy=epix.MFX_2M)]),
        "configuration of TypeId 998 version 1",
    ),
    "version of the configuration": (
        of_epix(EPIX_GOOD, cfg=[epix.config(16, 3)]), "version 1 or 2, found version 3"
    ),
    "no configuration": (of_epix(EPIX_GOOD, cfg=[]), "configuration"),
    "type of the data": (
        of_epix(xtc(2 << 16 | 999, b"", phy=epix.MFX_2M)), "TypeId 999 version 2"
    ),
    "version of the data": (
        of_epix(epix.data(epix.frame(16), version=2)), "version 1, found version 2"
    ),
    "module missing": (
        of_epix(epix.data(epix.frame(15), phy=epix.MFX_2M)), "expected 16 modules of an ePix10k2M"
    ),
    "data of a quad": (
        of_epix(epix.data(epix.frame(4), phy=epix.MFX_2M)), "expected 16 modules of an ePix10k2M"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_EPIX_RUN)
def test_a_run_of_an_epix10k2m_that_cannot_be_averaged_is_one_sentence(opened, case):
    content, words = NO_EPIX_RUN[case]
    bench = opened(content, EPIX, EPIX)
    assert words in sentences(bench.panels[0])
    assert bench.session.images is None
    assert_no_fault(bench)


def test_a_quad_within_a_run_of_an_epix10k2m_is_a_warning(opened):
    bench = opened(changing_epix(), EPIX, EPIX, geometry=Geometry.ideal(EPIX10K2M).to_text())
    words = "changes from ePix10k2M to ePix10ka quad within the run"
    assert words in " ".join(bench.session.images.dark.warnings)
    assert words in bench.panels[0].averaged.value
    assert_no_fault(bench)


def test_constants_of_another_detector_are_one_sentence_for_an_epix10k2m(opened):
    row = " ".join(["3000"] * 384) + "\n"
    bench = opened(of_epix(EPIX_GOOD), EPIX, EPIX, pedestals=row * (16 * 352))
    assert "pedestals of the ePix10k2M are 7 gain ranges" in sentences(bench.panels[0])
    assert_no_fault(bench)


@pytest.mark.parametrize("other", [CSPAD, EPIX10KA_QUAD, JUNGFRAU_1M], ids=lambda each: each.name)
def test_a_geometry_of_another_detector_is_one_sentence_for_an_epix10k2m(opened, other):
    bench = opened(of_epix(EPIX_GOOD), EPIX, EPIX, geometry=Geometry.ideal(other).to_text())
    said = " ".join(map(sentences, bench.panels))
    assert other.name in said
    assert "ePix10k2M" in said
    assert_no_fault(bench)


def test_a_geometry_without_a_module_is_one_sentence_for_an_epix10k2m(opened):
    lines = Geometry.ideal(EPIX10K2M).to_text().splitlines(keepends=True)
    module = next(line for line in lines if "EPIX10KA:V1" in line and not line.startswith("#"))
    lines.remove(module)
    bench = opened(of_epix(EPIX_GOOD), EPIX, EPIX, geometry="".join(lines))
    assert "expected the 16 modules (EPIX10KA) of the ePix10k2M" in sentences(bench.panels[0])
    assert "found 15" in sentences(bench.panels[0])
    assert_no_fault(bench)
