"""What all tests share: the sample experiment, the real data beside the checkout, DIALS."""

import dataclasses
import fcntl
import gc
import hashlib
import itertools
import os
import pickle
import resource
import shutil
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# a busy machine is no failure
settings.register_profile("workbench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("workbench")

gc.disable()  # until all tests are collected: nothing of them is garbage


@pytest.hookimpl(trylast=True)  # when those that are not to run are gone
def pytest_collection_modifyitems(items):
    """Take a file of each folder in turn, for the sake of several processes.

    Two that are in one room would compile its loops both; files of the browser, which mostly wait,
    go on beside others that compute.
    """
    files = [list(own) for _, own in itertools.groupby(items, lambda item: item.path)]
    rooms = [list(own) for _, own in itertools.groupby(files, lambda own: own[0].path.parent)]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*rooms, fillvalue=[]))
    items[:] = itertools.chain.from_iterable(turns)


def pytest_collection_finish():
    """Let the garbage collector pass over modules and tests, which stay to the end."""
    gc.enable()
    gc.freeze()


SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
DEBIAN_PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="session", autouse=True)
def _own_state_folder(tmp_path_factory):
    """Let the workbench remember things elsewhere than in the user's state folder."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(autouse=True)
def _memory_given_back():
    """Let a test process stay small: what tests leave behind goes now and then."""
    yield
    if resident_mb() > _resident["mb"] + 300:
        from workbench.memory import give_back

        give_back()
        _resident["mb"] = resident_mb()


_resident = {"mb": 0.0}


def resident_mb() -> float:
    """Memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real detector files; it is not part of the product."""
    if not SHARED.is_dir():
        pytest.skip(f"real detector data are not beside the checkout ({SHARED})")
    return SHARED


@pytest.fixture(scope="session")
def dials():
    """Run a Python text in Debian's Python, which has dxtbx, DIALS and cctbx; gives its output."""
    found = subprocess.run([DEBIAN_PYTHON, "-c", "import dxtbx, xfel"], capture_output=True)
    if found.returncode:
        if os.environ.get("CI"):
            pytest.fail("python3-dials is not installed")
        pytest.skip("python3-dials is not installed")

    def run(code: str, *arguments: object) -> str:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        done = subprocess.run(
            [DEBIAN_PYTHON, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser that the browser tests drive."""
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    return path


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Make a file or folder once for all test processes; gives its path.

    ``made_once(name, make)`` calls ``make(path)`` in the process that comes first.
    """
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent

    def path_of(name, make):
        done = base / f"{name}.made"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                make(base / name)
                done.touch()
        return base / name

    return path_of


@pytest.fixture(scope="session")
def sample(made_once):
    """Sample experiment of 12 events a run, written once for all test processes; read only."""
    from workbench.simulate.experiment import SampleExperiment, write_experiment

    return SampleExperiment(made_once("sample", partial(write_experiment, events=12)))


@pytest.fixture(scope="module")
def aligned_once(made_once):
    """Align an image once in all test processes: the next to ask the same gets that answer.

    For modules that prove what is done with an alignment. Whether it is right and the same each
    time is proven in tests that do not use this. Gives the function that does align each time.
    """
    from workbench.alignment import align_quadrants
    from workbench.alignment.prepare import geometry_of
    from workbench.progress import raise_if_cancelled

    def kept(image, geometry=None, mask=None, method=None, settings=None, progress=None,
             halves=None):  # fmt: skip
        present = geometry_of(image, geometry)
        asked = [present.pixel_positions_um(), getattr(mask, "good", mask), method, settings]
        for one in (image, *(halves or ())):
            asked += [getattr(one, name, None) for name in ("distance_mm", "wavelength_angstrom")]
            asked += [getattr(one, "data", one), getattr(one, "provenance", None) if halves else 0]

        def make(path):
            found = align_quadrants(image, geometry, mask, method, settings, progress, halves)
            path.write_bytes(pickle.dumps(found))

        raise_if_cancelled(progress, "The alignment")
        path = made_once(f"alignment-{digest(asked)}", make)
        return dataclasses.replace(pickle.loads(path.read_bytes()), present=present)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("workbench.alignment.align_quadrants", "workbench.align_quadrants"):
            patch.setattr(name, kept)
        yield align_quadrants


def digest(values) -> str:
    """Hash of the content of arrays and of the text of everything else."""
    made = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            made.update(f"{value.dtype}{value.shape}".encode())
            made.update(np.ascontiguousarray(value))
        else:
            made.update(repr(value).encode())
    return made.hexdigest()


@pytest.fixture(scope="session")
def own_copy(sample):
    """Make a sample experiment of one's own to deploy into: runs linked, the rest copied."""
    from workbench.simulate.experiment import SampleExperiment

    def copy(folder: Path) -> SampleExperiment:
        own = SampleExperiment(folder)
        shutil.copytree(sample.folder, own.folder, ignore=shutil.ignore_patterns("xtc"))
        own.xtc_dir.symlink_to(sample.xtc_dir)
        return own

    return copy


@pytest.fixture
def experiment(own_copy, tmp_path):
    """Sample experiment that the test may change."""
    return own_copy(tmp_path / "experiment")


OFFSETS = np.array([[3.0, 1.0], [-4.0, -2.0], [-2.0, 3.0], [1.0, -3.0]])


@pytest.fixture(scope="session")
def image_set():
    """Small believable dark and bright images of a detector whose quadrants are off by OFFSETS."""
    from workbench.detectors import CSPAD
    from workbench.geometry import Geometry
    from workbench.images import DetectorImage
    from workbench.pipeline import ImageSet

    rng = np.random.default_rng(5)
    deployed = Geometry.ideal()
    true = deployed.move_quadrants(OFFSETS)
    x, y = np.moveaxis(true.pixel_positions_um()[..., :2], -1, 0)
    radius = np.hypot(x, y) / 109.92
    bright = 400 + 3000 * np.exp(-0.5 * (((radius % 60) - 30) / 3) ** 2)
    bright = rng.normal(bright, 30)
    bright[CSPAD.unbonded_pixels()] = 60
    average = rng.normal(1200, 20, CSPAD.shape)
    average[0, :5, :10] = 3000
    stddev = rng.normal(4, 0.3, CSPAD.shape)
    stddev[1, :4, :10] = 30

    def image(data, kind):
        return DetectorImage(
            data, geometry=deployed, distance_mm=121.0, wavelength_angstrom=1.3, kind=kind
        )

    return ImageSet(
        average=image(average, "average"),
        stddev=image(stddev, "stddev"),
        maximum=image(bright + 100, "maximum"),
        bright_average=image(bright, "average"),
        geometry=deployed,
    )


@pytest.fixture
def offsets():
    """True offsets of the quadrants, px."""
    return OFFSETS


@pytest.fixture
def session(image_set):
    """Session with images and a finished mask; an error on a worker's thread fails the test."""
    from workbench.recipe import AlignmentSettings, Recipe
    from workbench.session import Session

    quick = AlignmentSettings(range_px=6, angles_deg=(45.0,))
    made = Session(Recipe(alignment=quick))
    made.use_images(image_set)
    made.wait(300)
    yield made
    made.wait(300)
