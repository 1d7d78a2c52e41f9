"""Time of a complete mask (good pixels, reasons, counts per rule and layer) after a limit moved.

The reference is the formula of ``cxi.make_dials_mask`` in numpy, panel by panel as that program
works, without reasons, layers or counts per rule except the printed ones.

    python benchmarks/mask.py
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from workbench.detectors import CSPAD
from workbench.geometry import Geometry
from workbench.mask import Mask, MaskEvaluator, write_mask
from workbench.recipe import MaskSettings, Thresholds
from workbench.recipe import mask as layers

SHAPE = CSPAD.shape


STATIC = (
    layers.UnbondedLayer(neighbours=8),
    layers.WideLayer(),
    layers.BorderLayer(pixels=2),
    layers.PartLayer(parts=("Q1S2",)),
)
SHAPES = (
    *STATIC,
    layers.CircleLayer("beam stop", radius_mm=4.0),
    layers.LineLayer("arm", end_mm=(0.0, 90.0), width_mm=2.0),
    layers.RectangleLayer("shadow", x_mm=(20.0, 40.0), y_mm=(-60.0, -20.0)),
    layers.PolygonLayer("nozzle", points_mm=((-50.0, 20.0), (-30.0, 60.0), (-60.0, 50.0))),
    layers.RadiusLayer("corners", from_mm=110.0),
    layers.ResolutionLayer("ice", from_angstrom=3.6, to_angstrom=3.7),
    layers.SaturatedLayer(),
    layers.OutlierLayer(),
    layers.OutlierLayer(image="stddev"),
    layers.PixelLayer(pixels=((3, 4, 5), (20, 100, 200))),
    layers.FileLayer("imported", path="imported.npy"),
    layers.PartLayer("trusted", mode="exclude", parts=("Q2S3A0",)),
)
GROW = layers.GrowLayer()
ISLANDS = layers.IslandLayer()
SETS: dict[str, MaskSettings] = {
    "thresholds alone": MaskSettings(),
    "limits of their own for low gain": MaskSettings(low_gain=Thresholds(maxproj_min=150.0)),
    "border and 4 layers": MaskSettings(border=1, layers=STATIC),
    "16 layers, one of them keeps pixels": MaskSettings(border=1, layers=SHAPES),
    "4 layers and grow by 1": MaskSettings(layers=(*STATIC, GROW)),
    "4 layers, grow, islands": MaskSettings(layers=(*STATIC, GROW, ISLANDS)),
    "16 layers, grow by 3, islands": MaskSettings(
        layers=(*SHAPES, layers.GrowLayer(pixels=3), layers.IslandLayer(smaller_than=50))
    ),
    "grow, shapes, grow, islands": MaskSettings(
        layers=(GROW, *SHAPES, layers.GrowLayer(neighbours=4), ISLANDS)
    ),
}


def images() -> list[np.ndarray]:
    """Average and stddev like a dark run's, maximum like a bright run's."""
    random = np.random.default_rng(7)
    average = random.normal(1200, 90, SHAPE)
    stddev = random.gamma(40, 0.1, SHAPE)
    maximum = 300 + random.gamma(3, 200, SHAPE)
    maximum[CSPAD.unbonded_pixels()] = random.normal(
        60, 12, np.count_nonzero(CSPAD.unbonded_pixels())
    )
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


def drag(settings: MaskSettings, step: int) -> MaskSettings:
    """One limit after the other is dragged, 5 ADU (0.05 of the deviation) a step."""
    old = settings.thresholds
    which, along = step // 40 % 3, step % 40
    limits = [
        Thresholds(1500.0 - 5 * along, old.stddev_max, old.maxproj_min),
        Thresholds(old.avg_max, 8.0 - 0.05 * along, old.maxproj_min),
        Thresholds(old.avg_max, old.stddev_max, 200.0 + 5 * along),
    ]
    return _with(settings, limits[which])


def leap(settings: MaskSettings, step: int) -> MaskSettings:
    """One limit after the other changes by so much that 0.15, 0.4 or 0.7 million pixels change."""
    low, high = (1250.0, 5.0, 600.0), (1950.0, 9.0, 250.0)
    limits = [(low, high)[step // 3 + (place <= step % 3) & 1][place] for place in range(3)]
    return _with(settings, Thresholds(*limits))


def jump(settings: MaskSettings, step: int) -> MaskSettings:
    """All three limits change at once, by as much."""
    odd = step % 2
    return _with(settings, Thresholds(1250.0 + 700 * odd, 5.0 + 4 * odd, 600.0 - 350 * odd))


def _with(settings: MaskSettings, limits: Thresholds) -> MaskSettings:
    return MaskSettings(limits, settings.border, settings.low_gain, settings.layers)


def timed(work: Callable[[int], object], repeats: int = 120) -> np.ndarray:
    """Times of calls in milliseconds: float64 ``(repeats, 2)``, by the clock and of the CPU."""
    times = np.empty((repeats, 2))
    for number in range(repeats):
        start = time.perf_counter(), time.thread_time()
        work(number)
        times[number] = time.perf_counter() - start[0], time.thread_time() - start[1]
    return 1e3 * times


def line(name: str, times: np.ndarray, reference: float) -> None:
    """Print one line of the table; the CPU's time tells the same on a machine that is shared."""
    (median, cpu), (late, _) = np.median(times, axis=0), np.quantile(times, 0.95, axis=0)
    worst = times[:, 0].max()
    print(f"{name:40} {median:8.2f} {late:8.2f} {worst:8.2f} {cpu:8.2f} {reference / median:7.1f}")


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        imported = np.random.default_rng(3).random(SHAPE) > 0.001
        write_mask(Mask.from_good(imported), Path(folder) / "imported.npy")
        table(folder)


def table(folder: str) -> None:
    """Measure, with the imported mask in a folder."""
    pictures = images()
    panels = [CSPAD.asic_stack(picture) for picture in pictures]
    low_gain = np.zeros(SHAPE, bool)
    low_gain[::8] = True
    known = {
        "geometry": Geometry.ideal(), "distance_mm": 121.0, "wavelength_angstrom": 1.3,
        "low_gain": low_gain,
    }  # fmt: skip
    start = time.perf_counter()
    evaluator = MaskEvaluator(*pictures, **known, folder=folder)
    evaluator.evaluate(MaskSettings())
    first = 1e3 * (time.perf_counter() - start)
    formula = timed(lambda n: numpy_panel_by_panel(panels, drag(MaskSettings(), n).thresholds), 60)
    reference = float(np.median(formula[:, 0]))
    print(f"{'ms':40} {'median':>8} {'p95':>8} {'worst':>8} {'CPU':>8} {'ratio':>7}")
    line("numpy, formula of make_dials_mask", formula, reference)
    added = {}
    for title, move in (
        ("a limit is dragged", drag), ("a limit leaps", leap), ("all limits leap at once", jump),
    ):  # fmt: skip
        print(f"\n{title}")
        for name, settings in SETS.items():
            start = time.perf_counter()
            evaluator.evaluate(move(settings, 0))
            added.setdefault(name, 1e3 * (time.perf_counter() - start))
            line(
                name,
                timed(lambda n, s=settings, m=move: evaluator.evaluate(m(s, n + 1))),
                reference,
            )
    print("\nonce, after other layers were chosen")
    for name, milliseconds in added.items():
        print(f"{name:40} {milliseconds:8.0f}")
    kept = np.median(
        timed(lambda n: evaluator.mask(drag(SETS["16 layers, grow by 3, islands"], n)), 6)[:, 0]
    )
    print(f"\na mask to keep, with who removed each pixel: {kept:.0f} ms (18 layers)")
    print(f"first engine and evaluation in a process: {first:.0f} ms")


if __name__ == "__main__":
    main()
