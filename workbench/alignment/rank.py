"""Which image has the clearest rings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from workbench.alignment.align import MAP_VERDICT, align_quadrants
from workbench.alignment.plain import plain
from workbench.alignment.prepare import ImageLike, MaskOrArray
from workbench.geometry import Geometry
from workbench.recipe import AlignmentSettings


@dataclass(frozen=True)
class RankedImage:
    """An image and how clear its rings are.

    Attributes
    ----------
    name : as given.
    mean_cc : mean of the quadrants' largest correlations.
    cc : these.
    clear : number of quadrants whose map is far above its noise.
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
    images: Mapping[str, ImageLike],
    geometry: Geometry | None = None,
    mask: MaskOrArray | None = None,
    settings: AlignmentSettings | None = None,
) -> list[RankedImage]:
    """Rank images by the mean correlation of their maps, the clearest first.

    Parameters
    ----------
    images : DetectorImages or arrays ``(modules, rows, columns)`` by name.
    geometry, mask, settings : as for `align_quadrants`; maps are not refined.
    """
    settings = replace(settings or AlignmentSettings(), refine="none")
    ranked = []
    for name, image in images.items():
        alignment = align_quadrants(image, geometry, mask, settings=settings)
        clear = sum(
            quadrant.measures.significance > MAP_VERDICT.clear_significance
            for quadrant in alignment.quadrants
        )
        cc = tuple(quadrant.cc for quadrant in alignment.quadrants)
        ranked.append(RankedImage(str(name), alignment.mean_cc, cc, clear))
    return sorted(ranked, key=lambda image: (-image.mean_cc, image.name))
