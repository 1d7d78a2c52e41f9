"""Offsets that would put one module on another."""

from __future__ import annotations

from workbench.detectors import Detector
from workbench.geometry import Geometry, overlapping_modules

MAX_OVERLAP_PX = 2.0
"""Modules are measured to better than this, so deeper overlap is impossible."""


def overlaps_px(geometry: Geometry) -> dict[tuple[int, int], float]:
    """Depth in pixels by which pairs of modules overlap; pairs that do not are absent."""
    pixel_um = geometry.detector.pixel_um
    return {pair: depth / pixel_um for pair, depth in overlapping_modules(geometry).items()}


def overlap_warnings(
    before: Geometry, after: Geometry, detector: Detector | None = None
) -> dict[int, str]:
    """Warnings per group about modules that overlap after the shift by over 2 px more.

    Parameters
    ----------
    detector : that of the geometries in the groups that are moved; by default its own.
    """
    detector = detector or after.detector
    word = detector.group_word
    already = overlaps_px(before)
    warnings: dict[int, str] = {}
    for pair, depth in overlaps_px(after).items():
        if depth - already.get(pair, 0.0) <= MAX_OVERLAP_PX:
            continue
        groups = [next(i for i, g in enumerate(detector.groups) if m in g.modules) for m in pair]
        first, second = (
            f"module {module}"
            if word == "module"
            else f"sensor {module - detector.groups[group].modules.start} of {word} {group}"
            for module, group in zip(pair, groups, strict=True)
        )
        text = f"After the shift {first} and {second} would overlap by {depth:.1f} px."
        for group in groups:
            warnings.setdefault(group, text)
    return warnings
