"""A run made of arrays, with the interface of `workbench.runs.Run`."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np

from workbench.detectors import CSPAD, find
from workbench.detectors.base import equal_groups
from workbench.errors import WorkbenchError
from workbench.recipe import Events
from workbench.runs import ModulePixels
from workbench.runs.select import selected

SHAPE = (32, 185, 388)
SMALL = (3, 185, 388)


def detector_of(shape):
    """Detector of this shape: a known one, or one made up."""
    try:
        return find(shape)
    except WorkbenchError:
        grid = (1, 2) if shape[2] == CSPAD.columns else (1, 1)
        groups = equal_groups("Q", 1, shape[0])
        return dataclasses.replace(
            CSPAD, name=f"made up {shape}", module_shape=shape[1:], asic_grid=grid, groups=groups
        )


class FakeEvent:
    distance_mm = None

    def __init__(self, index, raw, absent=(), as_quads=False):
        self.index = index
        self.seconds, self.nanoseconds = 1_400_000_000 + index, 500_000_000
        self.encoder_mm = -464.0 + 0.01 * index
        self.photon_energy_ev = 9500.0 + index
        self.wavelength_angstrom = 12398.4187 / self.photon_energy_ev
        self.event_codes = (140,)
        self.key = (self.seconds, self.nanoseconds, index)
        self.raw = raw
        self.missing = "" if raw is not None else "damaged (UserDefined)"
        self.has_pixels = raw is not None
        self.modules = ()
        if raw is not None and not as_quads:
            self.modules = (ModulePixels(tuple(range(len(raw))), raw),)
        elif raw is not None:
            present = {}
            for module in range(raw.shape[0]):
                if module not in absent:
                    present.setdefault(module // 8, []).append(module)
            # quadrants in any order, as the detector sends them
            self.modules = tuple(
                ModulePixels(tuple(modules), raw[modules])
                for _, modules in sorted(present.items(), reverse=True)
            )

    def load(self, buffer):
        return self.raw is not None


class FakeRun:
    """Picklable, as real runs are."""

    experiment, number, address = "cxim1416", 74, "CxiDs1.0:Cspad.0"
    source, event_count = "XTC", None

    def __init__(self, frames, calib_dir=None, absent=(), low_gain=None, as_quads=True):
        self.frames = frames
        self.calib_dir = calib_dir
        self.absent, self.as_quads = absent, as_quads
        self.shape = next(f.shape for f in frames if f is not None)
        self.low_gain = np.zeros(self.shape, bool) if low_gain is None else low_gain
        self.skipped, self.problems = Counter(), []
        self.files: tuple[Path, ...] = ()

    @property
    def detector(self):
        return detector_of(self.shape)

    def events(self, corrections=None, selection: Events | None = None):
        self.skipped = Counter()
        made = (
            FakeEvent(i, frame, self.absent, self.as_quads) for i, frame in enumerate(self.frames)
        )
        return selected(made, selection, self.skipped)

    def subset(self, events):
        """Only these events, as `workbench.runs.Run.subset` gives them."""
        return FakeSubset(self, [event.index for event in events])

    def describe(self):
        return {"experiment": self.experiment, "run": self.number, "files": []}


class FakeSubset:
    def __init__(self, run, indices):
        self.run, self.indices = run, indices
        self.shape, self.calib_dir, self.low_gain = run.shape, run.calib_dir, run.low_gain
        self.number, self.address = run.number, run.address
        self.experiment, self.source, self.event_count = run.experiment, run.source, len(indices)
        self.skipped, self.problems = Counter(), []

    @property
    def detector(self):
        return detector_of(self.shape)

    def events(self, corrections=None, selection=None):
        assert corrections is None
        assert selection is None
        return (event for event in self.run.events() if event.index in self.indices)


def random_frames(count, shape=SMALL, seed=0, mean=1200, spread=6):
    rng = np.random.default_rng(seed)
    base = rng.normal(mean, 60, shape)
    return [np.rint(base + rng.normal(0, spread, shape)).astype(np.int16) for _ in range(count)]
