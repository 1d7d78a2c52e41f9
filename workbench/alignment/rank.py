"""Which image has the clearest rings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from workbench.alignment.align import CLEAR_SIGNIFICANCE, align_quadrants
from workbench.alignment.result import plain
from workbench.recipe import AlignmentSettings


@dataclass(frozen=True)
class RankedImage:
    """An image and how clear its rings are.

    Attributes
    ----------
    name : as given.
    mean_cc : mean of the four largest correlations.
    cc : the four.
    clear : quadrants (0 … 4) whose map is far above its noise.
    """

    name: str
    mean_cc: float
    cc: tuple[float, ...]
    clear: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "image": self.name,
            "mean_cc": plain(self.mean_cc),
            "cc": plain(self.cc),
            "clear": self.clear,
        }


def rank_images(
    images: Mapping[str, Any],
    geometry: Any = None,
    mask: Any = None,
    settings: AlignmentSettings | None = None,
) -> list[RankedImage]:
    """Rank images by the mean correlation of their maps, the clearest first.

    Parameters
    ----------
    images : DetectorImages or arrays ``(32, 185, 388)`` by name.
    geometry, mask, settings : as for `align_quadrants`; maps are not refined.
    """
    settings = replace(settings or AlignmentSettings(), refine="none")
    found = []
    for name, image in images.items():
        alignment = align_quadrants(image, geometry, mask, settings=settings)
        clear = sum(
            one.measures.get("significance", 0.0) > CLEAR_SIGNIFICANCE
            for one in alignment.quadrants
        )
        cc = tuple(one.cc for one in alignment.quadrants)
        found.append(RankedImage(str(name), alignment.mean_cc, cc, clear))
    return sorted(found, key=lambda one: (-one.mean_cc, one.name))
