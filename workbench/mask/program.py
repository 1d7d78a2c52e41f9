"""What settings do to a mask, step by step; the one statement of their meaning.

`program` turns settings into steps, `run` takes the steps in numpy. A pixel is masked if any
*part* (a rule of the images, the border, a layer) removes it in the end:

- a part removes its pixels, whether or not others remove them too;
- a layer of mode ``exclude`` keeps its pixels, whatever removed them before it; one of mode
  ``intersection`` keeps all pixels but its own;
- grow and island layers look at the mask as the steps before them left it, and remove pixels
  that were good until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workbench.errors import MaskError
from workbench.mask.planes import VALID, Plane, pack, union, unpack
from workbench.mask.rules import NAMES
from workbench.recipe.mask import GrowLayer, IslandLayer

MOVING = ("average_high", "stddev_high", "maximum_low")
"""Rules that depend on a limit; a step refers to them by their place here."""


class Part(NamedTuple):
    """What a step removes pixels for.

    Attributes
    ----------
    rule : of `workbench.mask.RULES`.
    name : for people.
    layer : place of its layer in the settings, or None.
    """

    rule: str
    name: str
    layer: int | None = None


@dataclass(frozen=True, eq=False)
class Remove:
    """A part that no limit and no other step changes."""

    part: Part
    plane: Plane


@dataclass(frozen=True, eq=False)
class Moving:
    """A part that depends on a limit: `limit` is its place in `MOVING`."""

    part: Part
    limit: int


@dataclass(frozen=True, eq=False)
class Follow:
    """A part that looks at the mask so far."""

    part: Part
    settings: GrowLayer | IslandLayer

    @property
    def sources(self) -> tuple[str, ...]:
        """Rules whose pixels it looks at (empty: all)."""
        return self.settings.of if isinstance(self.settings, GrowLayer) else ()

    def check(self) -> None:
        """Raise `MaskError` if a rule that it names does not exist."""
        unknown = [name for name in self.sources if name not in NAMES]
        if unknown:
            raise MaskError(
                f"A grow layer names the rule {unknown[0]!r}; known are {', '.join(NAMES)}."
            )


@dataclass(frozen=True, eq=False)
class Keep:
    """A layer that takes pixels out of the mask."""

    name: str
    layer: int
    plane: Plane


Step = Remove | Moving | Follow | Keep


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the steps of a program come to.

    Attributes
    ----------
    parts : in the order of the steps.
    removed : per part, the pixels it removes in the end.
    spared : per part, the pixels it removed and a later layer kept; None if no layer keeps any.
    keepers : names and places of the layers that keep pixels.
    kept : per keeper, the pixels that were masked before it and not after it.
    """

    parts: tuple[Part, ...]
    removed: tuple[Plane, ...]
    spared: tuple[Plane, ...] | None
    keepers: tuple[tuple[str, int], ...]
    kept: tuple[Plane, ...]

    @property
    def masked(self) -> Plane:
        """Pixels any part removes."""
        return union(self.removed, self.removed[0])


def run(steps: Sequence[Step], moving: Sequence[Plane], sensors: slice = slice(None)) -> Outcome:
    """Take the steps.

    Parameters
    ----------
    moving : planes of the rules in `MOVING`, with their limits.
    sensors : do it for these only; all planes are cut accordingly.
    """
    from workbench.mask import neighbours

    keeps = any(isinstance(step, Keep) for step in steps)
    parts: list[Part] = []
    removed: list[Plane] = []
    spared: list[Plane] = []
    keepers: list[tuple[str, int]] = []
    kept: list[Plane] = []
    for step in steps:
        if isinstance(step, Keep):
            chosen = step.plane[sensors]
            keepers.append((step.name, step.layer))
            kept.append(union(removed, chosen) & chosen)
            for place, plane in enumerate(removed):
                spared[place] |= plane & chosen
                removed[place] = plane & ~chosen
            continue
        if isinstance(step, Remove):
            plane = step.plane[sensors]
        elif isinstance(step, Moving):
            plane = moving[step.limit][sensors]
        else:
            step.check()
            masked = union(removed, removed[0])
            wanted = step.sources
            sources = [
                plane for part, plane in zip(parts, removed, strict=True) if part.rule in wanted
            ]
            settings = step.settings
            if isinstance(settings, GrowLayer):
                source = union(sources, masked) if wanted else masked
                found = neighbours.grown(unpack(source), settings.pixels, settings.neighbours)
            else:
                good = unpack(~masked & VALID)
                found = neighbours.islands(good, settings.smaller_than, settings.neighbours)
            plane = pack(found) & ~masked
        parts.append(step.part)
        removed.append(plane)
        if keeps:
            spared.append(np.zeros_like(plane))
    return Outcome(
        tuple(parts),
        tuple(removed),
        tuple(spared) if keeps else None,
        tuple(keepers),
        tuple(kept),
    )
