"""A new rule with a slider is one entry in the table of `workbench.recipe.rules`.

The package is copied, the entry of a rule is added to the copy, and the rule is looked for wherever
the rules are used.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import workbench

ENTRY = """
    maxproj_max: float = _limit(
        ThresholdRule(
            name="maximum_high", bit=24, text="maximum above its limit: saturated in a bright run",
            cxi=CXI_SATURATED, nxmx=NX_OVER, psana=4,
            image="maximum", side="above", default=20000.0, slider=(20000.0, 10.0),
            label="Maximum ≤", hint="Pixels whose maximum is above this (ADU) are masked",
        )
    )

    def __post_init__"""

EVERYWHERE = """
import sys
from pathlib import Path
import h5py, numpy as np
import workbench as wb
from workbench.cli import main
from workbench.detectors import CSPAD
from workbench.images import DetectorImage
from workbench.mask import FORMATS, MaskEvaluator, sensitivity, suggest
from workbench.mask.formats.crystfel import geometry_lines
from workbench.pipeline import ImageSet
from workbench.recipe import MaskSettings, Recipe, Thresholds, recipe_from_text, recipe_to_text
from workbench.report import masks
from workbench.session import Session
from workbench.ui import MaskPanel

folder, place = Path(sys.argv[1]), (3, 60, 70)
average, stddev, maximum = (np.full(CSPAD.shape, value) for value in (1200.0, 4.0, 900.0))
maximum[place] = 16000.0

recipe = recipe_from_text("[mask.thresholds]\\nmaxproj_max = 15000")
assert recipe.mask.thresholds == Thresholds(maxproj_max=15000.0)
text = recipe_to_text(recipe)
assert "maxproj_max = 15000.0 # ADU; a good pixel has maximum <= this (bright runs)" in text

evaluator = MaskEvaluator(average, stddev, maximum)
mask = evaluator.mask(recipe.mask)
assert mask.masked == evaluator.evaluate(recipe.mask).masked == 1
assert mask.counts["maximum_high"] == (1, 1, 1)
assert mask.explain(place).reasons[0].text == "maximum 16000 > 15000"
assert [s.limit for s in suggest(evaluator)][-1] == "maxproj_max"
assert [s.limit for s in sensitivity(evaluator, recipe.mask)][-1] == "maxproj_max"

for name in FORMATS:
    path = folder / f"{name}.edf"
    wb.write_mask(mask, path, format=name)
    assert not wb.read_mask(path, format=name).good[place], name
with h5py.File(folder / "cxi.edf") as file:
    assert file["entry_1/instrument_1/detector_1/mask"][place] == 0x2
with h5py.File(folder / "nxmx.edf") as file:
    assert file["entry/instrument/detector/pixel_mask"][place[0] * 185 + place[1], place[2]] == 8
assert np.loadtxt(folder / "psana-status.edf", dtype=int).reshape(CSPAD.shape)[place] == 4
assert wb.read_mask(folder / "cxi.edf", format="cxi").counts["maximum_high"].total == 1

for name, image in (("a", average), ("s", stddev), ("m", maximum)):
    np.save(folder / f"{name}.npy", image)
images = [str(folder / f"{name}.npy") for name in "asm"]
written = folder / "command.npy"
words = ["--maxproj-max", "15000", "--low-gain-maxproj-max", "15000", "-o", str(written), "--force"]
np.save(folder / "gain.npy", np.zeros(CSPAD.shape, np.uint8))
assert main(["mask", *images, *words, "--gain-map", str(folder / "gain.npy")]) == 0
assert (~np.load(written)).sum() == 1

shown = masks.thresholds(mask, recipe.mask)
assert "maximum of the bright runs ≤" in str(shown.html if hasattr(shown, "html") else shown)

session = Session(Recipe(mask=recipe.mask))
kinds = zip(("average", "stddev", "maximum"), (average, stddev, maximum), strict=True)
session.use_images(ImageSet(**{kind: DetectorImage(data, kind=kind) for kind, data in kinds}))
session.wait(300)
panel = MaskPanel(session)
session.wait(300)
control = panel.limits["maxproj_max"]
assert (control.label, control.value, control.step) == ("Maximum ≤", 15000.0, 10.0)
assert control.drives[1] == "maxproj_max"
assert panel.view.traits()["maxproj_max"].metadata["sync"]
assert panel.view.limit_rules[-1] == {
    "rule": "maximum_high", "image": "maximum", "sign": ">", "limit": "maxproj_max", "unit": "ADU",
}
control.value = 20000.0
session.wait(300)
assert session.recipe.mask.thresholds.maxproj_max == 20000.0
assert session.mask.masked == 0
assert control.note.startswith("Removes 0 pixels")
print("found everywhere")
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package with one more rule in the table."""
    folder = tmp_path_factory.mktemp("package")
    leave = shutil.ignore_patterns("__pycache__", "node_modules")
    shutil.copytree(Path(workbench.__file__).parent, folder / "workbench", ignore=leave)
    table = folder / "workbench" / "recipe" / "rules.py"
    text = table.read_text()
    assert text.count("\n    def __post_init__") == 1
    table.write_text(text.replace("\n    def __post_init__", ENTRY))
    return folder


@pytest.mark.slow
def test_a_new_entry_in_the_table_is_found_everywhere(package, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", EVERYWHERE, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(package)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.endswith("found everywhere\n"), done.stderr[-2000:]
