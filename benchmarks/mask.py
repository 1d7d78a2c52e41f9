"""Time of a complete mask (good pixels, reasons, counts per rule) after a threshold change.

The reference is the formula of ``cxi.make_dials_mask`` in numpy, panel by panel as that program
works, without reasons and without counts per rule except the printed ones.

    python benchmarks/mask.py
"""

import time

import numpy as np

from workbench.detector import SHAPE, asic_stack
from workbench.mask import MaskEngine
from workbench.recipe import MaskSettings, Thresholds
from workbench.recipe.mask import (
    BorderLayer,
    GrowLayer,
    IslandLayer,
    PartLayer,
    UnbondedLayer,
    WideLayer,
)

STATIC = (
    UnbondedLayer(neighbours=8),
    WideLayer(),
    BorderLayer(pixels=2),
    PartLayer(parts=("Q1S2",)),
)


def images() -> list[np.ndarray]:
    """Average and stddev like a dark run's, maximum like a bright run's."""
    random = np.random.default_rng(7)
    average = random.normal(1200, 90, SHAPE)
    stddev = random.gamma(40, 0.1, SHAPE)
    maximum = 300 + random.gamma(3, 200, SHAPE)
    average.flat[random.choice(average.size, 1500)] = 4000
    stddev.flat[random.choice(average.size, 2500)] = 30
    return [average, stddev, maximum]


def numpy_panel_by_panel(panels: list[np.ndarray], limits: Thresholds) -> int:
    """Masked pixels, by the formula of make_dials_mask."""
    masked = 0
    for a, s, m in zip(*panels, strict=True):
        mask = np.ones(a.shape, bool)
        count = 0
        for test in (a > 0, a <= limits.avg_max, s > 0, s <= limits.stddev_max,
                     m >= limits.maxproj_min):  # fmt: skip
            count += np.count_nonzero(~test)
            mask &= test
        masked += mask.size - np.count_nonzero(mask)
    return masked


def timed(work, repeats: int = 60) -> tuple[float, float, float]:
    """Best, median and worst time of calls, in milliseconds."""
    times = []
    for number in range(repeats):
        limits = Thresholds(1700 + number, 8 + 0.01 * number, 300 + 3.7 * number)
        start = time.perf_counter()
        work(limits)
        times.append(1e3 * (time.perf_counter() - start))
    return min(times), float(np.median(times)), max(times)


def main() -> None:
    """Print the table."""
    pictures = images()
    panels = [asic_stack(picture) for picture in pictures]
    start = time.perf_counter()
    engine = MaskEngine(*pictures)
    engine.evaluate(MaskSettings())
    first = 1e3 * (time.perf_counter() - start)
    start = time.perf_counter()
    MaskEngine(*pictures).evaluate(MaskSettings())
    again = 1e3 * (time.perf_counter() - start)
    cases = {
        "numpy, formula of make_dials_mask": lambda limits: numpy_panel_by_panel(panels, limits),
        "engine.mask (numpy, reasons, counts)": lambda limits: engine.mask(MaskSettings(limits)),
        "engine.evaluate": lambda limits: engine.evaluate(MaskSettings(limits)),
        "engine.evaluate, border and 4 layers": lambda limits: engine.evaluate(
            MaskSettings(limits, border=1, layers=STATIC)
        ),
        "engine.evaluate, layers and grow by 1": lambda limits: engine.evaluate(
            MaskSettings(limits, layers=(*STATIC, GrowLayer()))
        ),
        "engine.evaluate, layers, grow, islands": lambda limits: engine.evaluate(
            MaskSettings(limits, layers=(*STATIC, GrowLayer(), IslandLayer()))
        ),
    }
    for work in cases.values():
        work(Thresholds())
    print(f"{'':40} {'best ms':>10} {'median ms':>10} {'worst ms':>10} {'ratio':>8}")
    reference = None
    for name, work in cases.items():
        best, median, worst = timed(work)
        reference = reference or best
        print(f"{name:40} {best:10.2f} {median:10.2f} {worst:10.2f} {reference / best:8.1f}")
    print(
        f"first engine and evaluation in a process {first:.0f} ms, a second engine {again:.0f} ms"
    )


if __name__ == "__main__":
    main()
