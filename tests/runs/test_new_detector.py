"""A new detector is its description and a decoder of its payload; nothing else changes.

Both are added in a process of its own, and a run with that detector is read and worked on.
"""

import subprocess
import sys

DESCRIBED = """
import sys
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from workbench import detectors
from workbench.detectors.base import Detector, GeometryTree, Placement, equal_groups

NEW = Detector(
    name="New", calib_group="New::CalibV1", device="Epix100a",
    address="XppEndstation.0:Epix100a.0", module_shape=(24, 32), asic_grid=(2, 2),
    groups=equal_groups("Q", 2, 1), pixel_um=50.0, wide_um=50.0, adc_max_adu=16383,
    tree=GeometryTree("EPIX100:V1", "QUAD:V1", "NEW:V1", 2 * (Placement(0, 0, 0),),
                      (Placement(-2000, 0, 0), Placement(2000, 0, 0))),
)
detectors.DETECTORS = (*detectors.DETECTORS, NEW)
"""
DECODED = """
from workbench.runs.xtc import decoders
from workbench.runs.xtc.decoders import ModulePixels

@dataclass(frozen=True)
class Configuration:
    detector: Detector = NEW
    name: str = "NewConfig"
    version: int = 1
    modules: tuple = (0, 1)
    low_gain = np.zeros(NEW.shape, bool)

    def same_as(self, other):
        return self == other

class Decoder:
    detector, largest_element = NEW, 32 + 2 * NEW.pixels
    config_types, element_types = frozenset({84}), frozenset({83})

    def read_config(self, xtc, payload):
        return Configuration()

    def read_element(self, xtc, payload, config):
        pixels = np.frombuffer(payload, "<i2", NEW.pixels, 32)
        return (ModulePixels((0, 1), pixels.reshape(NEW.shape)),)

decoders.CONFIG_DECODERS[84] = decoders.ELEMENT_DECODERS[83] = Decoder()
decoders.DETECTOR_TYPES = decoders.CONFIG_DECODERS.keys() | decoders.ELEMENT_DECODERS.keys()
"""
USED = """
import workbench as wb
from workbench.geometry import Geometry
from workbench.images import DetectorImage
from workbench.runs.xtc.sources import phy_of
from workbench.simulate import xtc_format
from workbench.simulate.xtc_format import Kind, Transition

folder, pixels = Path(sys.argv[1]), np.arange(NEW.pixels, dtype="<i2").reshape(NEW.shape)
source = xtc_format.SOURCE_LEVEL << 24, phy_of(NEW.address)
root, segment = (xtc_format.node(level, 1, 2)
                 for level in (xtc_format.EVENT_LEVEL, xtc_format.SEGMENT_LEVEL))

def datagram(transition, seconds, content=b"", **stamp):
    inner = xtc_format.xtc(Kind.CONTAINER, segment, content) if content else b""
    outer = xtc_format.xtc(Kind.CONTAINER, root, inner)
    return xtc_format.datagram(
        transition, outer, seconds=1_400_000_000 + seconds, nanoseconds=0, **stamp)

stream = datagram(Transition.CONFIGURE, 0, xtc_format.xtc(84 | 1 << 16, source))
stream += datagram(Transition.BEGIN_RUN, 1, env=7) + datagram(Transition.ENABLE, 2)
for number in range(3):
    element = xtc_format.xtc(83 | 1 << 16, source, bytes(32) + (pixels + number).tobytes())
    stream += datagram(
        Transition.EVENT, 3 + number, element, fiducials=10 + number, vector=number + 1)
(folder / "e1-r0007-s00-c00.xtc").write_bytes(stream)

run = wb.open_run("xppnew", 7, NEW.address, xtc_dir=folder)
events = list(run.events())
assert run.detector is NEW and len(events) == 3
assert all(np.array_equal(event.raw, pixels + event.index) for event in events)

geometry = Geometry.ideal(NEW)
geometry.write(folder / "0-end.data")
assert Geometry.read(folder / "0-end.data").detector is NEW
assert geometry.pixel_positions_um().shape == (*NEW.shape, 3)

image = DetectorImage(pixels.astype(float), geometry, kind="maximum")
wb.write_image(image, folder / "new.h5")
again = wb.read_image(folder / "new.h5")
assert again.detector is NEW and np.array_equal(again.data, pixels)
mask = wb.make_mask(image.data + 1, np.ones(NEW.shape), image.data, wb.Thresholds(2000, 10, 100))
assert mask.detector is NEW and mask.masked == 100
"""


def test_a_description_and_a_decoder_are_a_detector(tmp_path):
    code = DESCRIBED + DECODED + USED
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
