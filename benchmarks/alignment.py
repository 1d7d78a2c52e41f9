"""Quadrant alignment against a known truth: error, claimed uncertainty and time.

    python benchmarks/alignment.py [--seeds 2] [--first 0] [--cases many weak …]
                                   [--cctbx multi|single|none]
    python benchmarks/alignment.py --junk 5    pictures without rings: is anything claimed?
    python benchmarks/alignment.py --real ../shared/data/rings --seeds 40 --first 4000
                                               a real ring, moved by known shifts of up to 12 px

Each case is a simulated powder image seen in a geometry whose quadrants are off by known amounts
(drawn anew for each seed). Columns, in pixels: RMS and largest error of the eight offsets from
the maps alone and after the joint refinement, the claimed sigma (RMS), how many of the errors are
within it, the RMS of the errors along the axes of their covariance over its deviations (should be
about 1: the eight errors of an image depend on one another, mostly through all quadrants moving
outwards, so a few images give few independent errors), verdicts, and beside them the restated
method of cspad.quadrants_cbf. Times are CPU seconds; as machines differ, compare them with those of
that method in the same run. The case "photon by photon" comes from another simulation, which traces
photons along cones (workbench/simulate/tracing.py).
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np

from workbench.alignment import align_quadrants
from workbench.detectors import CSPAD
from workbench.geometry import Geometry
from workbench.images import DetectorImage
from workbench.recipe import AlignmentSettings
from workbench.simulate import powder_image
from workbench.simulate.junk import JUNK, junk_image
from workbench.simulate.tracing import Cone, traced_powder

FEW = [(7.0, 1.0), (5.0, 0.6)]
CASES: dict[str, dict[str, Any]] = {
    "many rings": {},
    "many rings, maximum": {"kind": "maximum"},
    "few rings": {"rings": FEW, "photons_per_pixel": 10},
    "CeO2": {"rings": "CeO2"},
    "LaB6, maximum": {"rings": "LaB6", "photons_per_pixel": 5, "kind": "maximum"},
    "weak": {"photons_per_pixel": 0.3, "background": 1},
    "weak, maximum": {"photons_per_pixel": 1, "background": 1, "kind": "maximum"},
    "Bragg spots": {"spots": 3000, "spots_on_rings": False, "photons_per_pixel": 5},
    "Bragg spots, maximum": {
        "spots": 500, "spots_on_rings": False, "photons_per_pixel": 5, "kind": "maximum",
    },
    "coarse grains": {"spots": 2000, "photons_per_pixel": 0.5},
    "coarse grains, maximum": {"spots": 500, "photons_per_pixel": 0.5, "kind": "maximum"},
    "strong background": {"photons_per_pixel": 1, "background": 40},
    "beam stop": {"shadow": True},
    "dead sensors": {"dead_sensors": [1, 8, 19, 25]},
    "offsets to 12 px": {"reach": 12},
    "rotated quadrants": {"turn": 0.1},
    "four frames": {"events": 4, "photons_per_pixel": 5},
    "close LaB6": {"rings": "LaB6", "distance_mm": 60.0},
    "spots alone": {"spots": 3000, "photons_per_pixel": 0.05, "kind": "maximum"},
    "unknown distance": {"known_distance": False},
    "heights": {"heights_um": 300.0},
    "tilted root": {"tilt_deg": 0.5},
    "photon by photon": {
        "cones": [
            Cone(angle, 3e5, skew_deg=0.05, texture=0.4) for angle in (5, 8, 11, 14.5, 18, 23, 28)
        ],
        "background": 2e6,
    },
}  # fmt: skip


def scene(name: str, seed: int) -> tuple[DetectorImage, np.ndarray, np.ndarray]:
    """Image in the wrong geometry, mask, and true offsets ``(4, 2)``."""
    case = dict(CASES[name])
    reach, turn = case.pop("reach", 8), case.pop("turn", 0.0)
    heights_um, tilt_deg = case.pop("heights_um", 60.0), case.pop("tilt_deg", 0.0)
    distance_mm = case.get("distance_mm", 121.0) if case.pop("known_distance", True) else None
    random = np.random.default_rng(1000 + seed)
    true = Geometry.ideal()
    for quadrant in true.quadrants:  # sensors are not where the design puts them
        middle = np.array(quadrant.origin_um[:2])
        true = true.move(quadrant, [*(middle / np.linalg.norm(middle) * 500), 0.0])
    for sensor in true.sensors:
        true = true.move(sensor, random.normal(0, (50, 50, heights_um)))
        true = true.rotate(sensor, z=float(random.normal(0, 0.05)))
    if tilt_deg:
        true = true.rotate(true.objects[-1], x=tilt_deg, y=-0.6 * tilt_deg)  # holds all others
    present = true.move_quadrants(-random.uniform(-reach, reach, (4, 2)))
    for quadrant in present.quadrants:
        present = present.rotate(quadrant, z=float(random.normal(0, turn)))
    data = (traced_powder if "cones" in case else powder_image)(true, seed=seed, **case)
    mask = np.ones(CSPAD.shape, bool)
    mask[case.get("dead_sensors", [])] = False
    image = DetectorImage(data, present, distance_mm=distance_mm, wavelength_angstrom=1.3051)
    return image, mask, centres_px(present, true)


def centres_px(present: Geometry, true: Geometry) -> np.ndarray:
    """Where each quadrant of `present` has what is the origin in `true`, ``(4, 2)``."""
    seen, meant = (
        geometry.pixel_positions_um()[..., :2].reshape(4, -1, 2)[:, ::997]
        for geometry in (present, true)
    )
    found = []
    for one, other in zip(seen, meant, strict=True):
        terms = np.column_stack([other, np.ones(len(other))])
        found.append(np.linalg.lstsq(terms, one, rcond=None)[0][2] / CSPAD.pixel_um)
    return np.array(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="first seed; up to 301 tuned")
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--cctbx", choices=("multi", "single", "none"), default="single")
    parser.add_argument("--junk", type=int, metavar="SEEDS", help="only pictures without rings")
    parser.add_argument(
        "--real", type=Path, metavar="FOLDER", help="only the real ring of cspad_agbeh.npz there"
    )
    options = parser.parse_args()
    if options.junk:
        return try_junk(options.junk)
    if options.real:
        return move_real(options.real, options.first, options.seeds)
    settings = AlignmentSettings()
    maps_only = dataclasses.replace(settings, refine="none")
    compat = AlignmentSettings(method="cctbx", multi_angle=options.cctbx == "multi")
    warm, mask, _ = scene("many rings", 0)
    for one in (settings, compat):
        align_quadrants(warm, mask=mask, settings=one)
    print(f"{'case':24}{'maps':>7}{'refined':>9}{'largest':>9}{'sigma':>7}{'<1s':>6}{'pull':>6}{'time':>7}"
          f"{'cctbx':>8}{'time':>7}  verdicts")  # fmt: skip
    within, errors, worst = [], [], []
    for name in options.cases:
        rows = [measure(name, seed, settings, maps_only, compat, options.cctbx != "none")
                for seed in range(options.first, options.first + options.seeds)]  # fmt: skip
        error = np.array([row["error"] for row in rows])
        sigma = np.array([row["sigma"] for row in rows])
        inside = np.abs(error) < sigma
        within.append(inside)
        errors.append(error)
        worst.append(np.nanmax(np.abs(error) / sigma))
        times = np.mean([row["seconds"] for row in rows], axis=0)
        print(
            f"{name:24}{rms([row['maps'] for row in rows]):7.2f}{rms(error):9.3f}"
            f"{np.abs(error).max():9.3f}{rms(sigma):7.3f}{100 * inside.mean():5.0f}%"
            f"{rms([row['pull'] for row in rows]):6.2f}{times[0]:6.1f}s"
            f"{rms([row['cctbx'] for row in rows]):8.2f}{times[1]:6.1f}s  "
            + " ".join(sorted({verdict for row in rows for verdict in row["verdicts"]})),
            flush=True,
        )
    print(f"{'all':24}{'':7}{rms(np.array(errors)):9.3f}{np.nanmax(np.abs(errors)):9.3f}{'':7}"
          f"{100 * np.mean(within):5.0f}%   largest {max(worst):.1f} sigma")  # fmt: skip


def move_real(folder: Path, first: int, shifts: int) -> None:
    """Move the quadrants of a real ring by known shifts and see whether they are measured.

    The truth is not known, so what is told is the scatter of offsets less shifts: of the part
    common to all quadrants outwards, and of the rest; and how far a second alignment moves.
    """
    with np.load(folder / "cspad_agbeh.npz") as file:
        image, good = file["image"], file["good"]
    present = Geometry.read(folder / "cspad_agbeh-0-end.data")
    settings = AlignmentSettings(outward="full")
    rest, again, verdicts, sigma, seconds = [], [], [], [], []
    for seed in range(first, first + shifts):
        shift = np.random.default_rng(seed).uniform(-12, 12, (4, 2))
        started = time.process_time()
        aligned = align_quadrants(image, present.move_quadrants(-shift), good, settings=settings)
        seconds.append(time.process_time() - started)
        rest.append(aligned.offsets_px - shift)
        sigma.append(aligned.sigmas_px)
        verdicts += [quadrant.verdict for quadrant in aligned.quadrants]
        if seed < first + shifts // 4:
            second = align_quadrants(image, aligned.geometry, good, settings=settings)
            again.append(np.abs(second.offsets_px).max())
        print(seed, np.round(rest[-1], 3).tolist(), f"{seconds[-1]:.1f} s", flush=True)
    offsets = np.array(rest) - np.median(rest, axis=0)
    middles = present.pixel_positions_um()[..., :2].reshape(4, -1, 2).mean(axis=1)
    outwards = middles / np.linalg.norm(middles, axis=1)[:, None]
    common = np.sum(offsets * outwards, axis=(1, 2)) / 4
    relative = offsets - common[:, None, None] * outwards
    counts = {name: verdicts.count(name) for name in sorted(set(verdicts))}
    print(f"median offsets {np.round(np.median(rest, axis=0), 3).tolist()} px, "
          f"claimed sigma {rms(sigma):.3f} px")  # fmt: skip
    print(f"{shifts} shifts: common outwards {rms(common):.4f} px RMS, largest "
          f"{np.abs(common).max():.4f}; the rest {rms(relative):.4f} px RMS, largest "
          f"{np.abs(relative).max():.4f}; {counts}; {np.mean(seconds):.1f} CPU s")  # fmt: skip
    print(f"a second alignment moves by up to {max(again, default=np.nan):.4f} px")


def try_junk(seeds: int) -> None:
    """Align pictures of every kind of structure that is not rings; count what is claimed."""
    claimed = 0
    for kind in JUNK:
        verdicts: list[str] = []
        for seed in range(seeds):
            true = Geometry.ideal()
            shift = np.random.default_rng(seed).uniform(-6, 6, (4, 2))
            image = DetectorImage(
                junk_image(kind, true, seed), true.move_quadrants(shift),
                distance_mm=121.0, wavelength_angstrom=1.3051,
            )  # fmt: skip
            verdicts += [one.verdict for one in align_quadrants(image).quadrants]
        counts = {name: verdicts.count(name) for name in sorted(set(verdicts))}
        claimed += counts.get("good", 0)
        print(f"{kind:24}" + ", ".join(f"{n} {name}" for name, n in counts.items()), flush=True)
    print(f"{claimed} quadrants called good")


def measure(
    name: str, seed: int, settings: Any, maps_only: Any, compat: Any, reference: bool
) -> dict[str, Any]:
    """One case, one seed."""
    image, mask, truth = scene(name, seed)
    maps = align_quadrants(image, mask=mask, settings=maps_only)
    started = time.process_time()
    found = align_quadrants(image, mask=mask, settings=settings)
    middle = time.process_time()
    reference = reference and bool(image.distance_mm)  # the program needs it
    other = align_quadrants(image, settings=compat) if reference else maps
    seconds = middle - started, time.process_time() - middle
    known = np.array([one.verdict != "not determined" for one in found.quadrants])
    pull = np.nan
    if found.refinement is not None and known.any():
        own = np.flatnonzero(np.repeat(known, 2))
        errors = (found.offsets_px - truth).ravel()[own]
        covariance = found.refinement.covariance_px2[np.ix_(own, own)]
        pull = np.sqrt(errors @ np.linalg.solve(covariance, errors) / own.size)
    return {
        "pull": pull,
        "error": np.where(known[:, None], found.offsets_px - truth, np.nan),
        "sigma": np.where(known[:, None], found.sigmas_px, np.nan),
        "maps": np.array([one.peak_px for one in maps.quadrants]) - truth,
        "cctbx": other.offsets_px - truth if reference else np.full((4, 2), np.nan),
        "verdicts": [one.verdict for one in found.quadrants],
        "seconds": seconds,
    }


def rms(values: Any) -> float:
    """Root of the mean square of the finite values."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")


if __name__ == "__main__":
    main()
