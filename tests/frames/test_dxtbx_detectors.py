"""What DIALS sees of frames of the ePix10k2M and the Jungfrau 4M: panels, places, pixels, mask."""

import json

import numpy as np
import pytest

from workbench.detectors import EPIX10K2M, JUNGFRAU_4M
from workbench.frames.formats import Frame, Setting, find_format
from workbench.geometry import Geometry
from workbench.mask import Mask

pytestmark = [pytest.mark.slow, pytest.mark.dials]
DISTANCE_MM, WAVELENGTH_ANGSTROM = 121.0, 1.305
LOOK = """
import json, sys
import numpy as np
from dxtbx.model.experiment_list import ExperimentListFactory
experiment = ExperimentListFactory.from_filenames([sys.argv[1]])[0]
detector, images = experiment.detector, experiment.imageset
np.save(sys.argv[2], np.stack([panel.as_numpy_array() for panel in images.get_raw_data(0)]))
np.save(sys.argv[3], np.stack([panel.as_numpy_array() for panel in images.get_mask(0)]))
axes = ("get_origin", "get_fast_axis", "get_slow_axis", "get_pixel_size")
print(json.dumps({
    "panels": [[getattr(panel, axis)() for axis in axes] for panel in detector],
    "wavelength": experiment.beam.get_wavelength(),
}))
"""


def moved(detector):
    """A geometry in which nothing stands where it is designed to."""
    random = np.random.default_rng(7)
    geometry = Geometry.ideal(detector)
    for module in geometry.modules:
        x, y, z = random.normal(0, 150, 3)
        geometry = geometry.replace(
            module, x0=module.x0 + x, y0=module.y0 + y, z0=module.z0 + z,
            tilt_z=0.2 * random.normal(), tilt_x=0.1 * random.normal(),
        )  # fmt: skip
    return geometry


@pytest.mark.parametrize("detector", [EPIX10K2M, JUNGFRAU_4M], ids=lambda d: d.name)
@pytest.mark.parametrize("name", ["cbf", "nxmx"])
def test_dxtbx_sees_every_asic_where_it_is_with_its_pixels_and_mask(
    name, detector, dials, tmp_path
):
    geometry = moved(detector)
    pixels = np.random.default_rng(8).normal(100, 5, detector.shape).astype(np.float32)
    good = np.ones(detector.shape, bool)
    good[1, 20:30], good[-1, :, -3:] = False, False
    frame = Frame(0, 1_600_000_000, 0, 1, pixels, WAVELENGTH_ANGSTROM, DISTANCE_MM, 0)
    setting = Setting(
        "mfxx12345", 20, detector.address, geometry, Mask.from_good(good), pixels.dtype, "gzip"
    )
    form = find_format(name)
    path = tmp_path / f"frame{form.ending}"
    with form.load().opened(path, setting, False) as file:
        file.add(frame)
    seen = json.loads(dials(LOOK, path, tmp_path / "raw.npy", tmp_path / "mask.npy"))
    assert seen["wavelength"] == pytest.approx(WAVELENGTH_ANGSTROM, abs=1e-9)
    assert len(seen["panels"]) == detector.asics
    height, width = detector.asic_shape
    fast, slow = np.arange(width) + 0.5, np.arange(height) + 0.5
    places = np.stack([
        np.array(origin)
        + size[0] * np.outer(fast, along)[None]
        + size[1] * np.outer(slow, down)[:, None]
        for origin, along, down, size in seen["panels"]
    ])  # fmt: skip
    ours = geometry.pixel_positions_um() / 1000
    for axis in (0, 1):
        theirs = detector.from_asic_stack(places[..., axis])
        assert np.abs(theirs - ours[..., axis]).max() < 1e-6
    assert np.ptp(detector.from_asic_stack(places[..., 2]) - ours[..., 2]) < 1e-6
    assert places[..., 2].mean() == pytest.approx(-DISTANCE_MM, abs=0.2)
    raw = detector.from_asic_stack(np.load(tmp_path / "raw.npy"))
    assert np.array_equal(raw[good], pixels[good])
    assert np.array_equal(detector.from_asic_stack(np.load(tmp_path / "mask.npy")), good)
