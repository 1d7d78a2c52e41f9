"""How far a calibration is: states of its steps, progress of work, one line about the images."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, get_args

from workbench.recipe.mask import GrowLayer, MaskSettings

if TYPE_CHECKING:
    from workbench import pipeline

PARTIAL = "cancelled: the images are of the events until then; average again for all of them"
Step = Literal["images", "mask", "alignment", "geometry", "frames"]
STEPS: tuple[Step, ...] = get_args(Step)


class State(StrEnum):
    """Of a step; ``default``, ``looked at`` and ``warning`` say more of one that is done."""

    NOT_STARTED = "not started"
    RUNNING = "running"
    DONE = "done"
    DEFAULT = "default"
    LOOKED_AT = "looked at"
    WARNING = "warning"
    PARTIAL = "partial"
    STALE = "stale"
    FAILED = "failed"


@dataclass(frozen=True)
class Status:
    """Of a step: its state and, after an error, what to do next."""

    state: State = State.NOT_STARTED
    message: str = ""


@dataclass(frozen=True)
class JobProgress:
    """How far long work is; `step` is a step or the name of other work."""

    step: str
    done: float = 0
    total: float | None = None
    message: str = ""
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Units per second so far."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds left, if that can be said."""
        if self.total is None or self.rate <= 0:
            return None
        return max(0.0, (self.total - self.done) / self.rate)


def describe_images(images: pipeline.ImageSet) -> str:
    """One line about where the images come from."""
    parts = []
    if images.dark is not None:
        parts.append(f"dark run {images.dark.run}: {images.dark.count} events")
    parts += [f"bright run {bright.run}: {bright.count} events" for bright in images.bright]
    parts += [f"{kind} from {path.name}" for kind, path in images.files.items()]
    text = ", ".join(parts) or "no images"
    return text + (" (partial: cancelled)" if images.partial else "")


def same_pixels(settings: MaskSettings) -> MaskSettings:
    """Settings without what no pixel depends on: layers that are off, and names of layers."""
    on = tuple(layer for layer in settings.layers if layer.on)
    if not any(isinstance(layer, GrowLayer) and layer.of for layer in on):  # they name others
        on = tuple(dataclasses.replace(layer, name="") for layer in on)
    return dataclasses.replace(settings, layers=on)
