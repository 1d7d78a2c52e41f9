"""Small calibrations that start from simulated images on file."""

import numpy as np
import pytest

from workbench.detectors import CSPAD
from workbench.geometry import Geometry
from workbench.images import DetectorImage, write_image
from workbench.recipe import Recipe, write_recipe
from workbench.report import write_report
from workbench.simulate.powder import powder_image

TRUTH = np.array([[3.0, -2.0], [-4.0, 5.0], [6.0, 1.0], [-2.0, -7.0]])


@pytest.fixture(scope="session")
def image_folder(made_once):
    """Average, stddev, maximum and bright average of a detector with known offsets, as HDF5."""
    return made_once("images-of-known-offsets", write_images)


def write_images(folder):
    folder.mkdir()
    true = Geometry.ideal()
    deployed = true.move_quadrants(-TRUTH)
    random = np.random.default_rng(4)
    average = random.normal(1200, 40, CSPAD.shape)
    stddev = random.gamma(60, 4 / 60, CSPAD.shape)
    hot, dead = random.random((2, *CSPAD.shape)) < 5e-4
    average[hot] = 9000
    average[dead] = stddev[dead] = 0
    powder = powder_image(true, events=8, seed=3)
    maximum = powder_image(true, events=8, seed=3, kind="maximum") + 400
    maximum[CSPAD.unbonded_pixels()] = 20
    images = {
        "average": average,
        "stddev": stddev,
        "maximum": maximum,
        "bright_average": powder,
    }
    for kind, data in images.items():
        write_image(
            DetectorImage(data, deployed, distance_mm=121.0, wavelength_angstrom=1.305, kind=kind),
            folder / f"{kind}.h5",
        )


def recipe_of(folder):
    found = Recipe()
    for kind in ("average", "stddev", "maximum", "bright_average"):
        found = found.changed(f"images.{kind}", str(folder / f"{kind}.h5"))
    return found


@pytest.fixture
def recipe(image_folder):
    """Recipe of these images; results go beside it."""
    return recipe_of(image_folder)


@pytest.fixture(scope="session")
def truth():
    """Offsets of the simulated quadrants, ``(4, 2)`` pixels."""
    return TRUTH


@pytest.fixture(scope="module")
def written(image_folder, tmp_path_factory):
    """One report of the simulated images."""
    path = tmp_path_factory.mktemp("report") / "powder.calibration.toml"
    write_recipe(recipe_of(image_folder), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workbench.report.export._PDF_SECONDS", 600)  # on a busy machine too
        return write_report(path)


@pytest.fixture
def recipe_file(recipe, tmp_path):
    path = tmp_path / "powder.calibration.toml"
    write_recipe(recipe, path)
    return path
