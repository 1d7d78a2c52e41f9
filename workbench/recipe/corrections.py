"""Which corrections are applied to each event, in the order psana applies them."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.recipe.fields import require, setting

LOW_GAIN_FACTOR = 6.85
"""Default ratio of high to low gain, that of the CSPAD (psana's ``gain_mask`` factor)."""


@dataclass(frozen=True)
class Corrections:
    """Corrections of an event, applied in this order; all off means raw ADU.

    ``Corrections(gain=6.85)`` is what ``cxi.mpi_average -g 6.85`` does,
    ``Corrections.psana()`` what ``Detector.calib`` does.
    """

    pedestal: bool = setting(True, "subtract the pedestals of the calibration directory")
    common_mode: bool = setting(False, "subtract the common mode per sensor")
    gain: float | None = setting(None, "factor for low-gain pixels (6.85)")
    pixel_gain: bool = setting(False, "multiply by the pixel_gain constants, if deployed")
    status_mask: bool = setting(False, "set pixels with a non-zero pixel_status to 0")

    def __post_init__(self) -> None:
        require(self.gain is None or self.gain > 0, f"gain is {self.gain}; it must be above 0")

    @classmethod
    def none(cls) -> Corrections:
        """Raw ADU."""
        return cls(pedestal=False)

    @classmethod
    def psana(cls, gain: float = LOW_GAIN_FACTOR) -> Corrections:
        """All corrections of psana's ``Detector.calib``."""
        return cls(pedestal=True, common_mode=True, gain=gain, pixel_gain=True, status_mask=True)

    @property
    def is_raw(self) -> bool:
        """True if nothing at all is applied."""
        return self == Corrections.none()

    def describe(self) -> str:
        """Give one line for people, e.g. ``pedestal, gain × 6.85``."""
        steps = []
        if self.pedestal:
            steps.append("pedestal")
        if self.common_mode:
            steps.append("common mode")
        if self.gain is not None:
            steps.append(f"gain × {self.gain:g}")
        if self.pixel_gain:
            steps.append("pixel gain")
        if self.status_mask:
            steps.append("status mask")
        return ", ".join(steps) or "raw"
