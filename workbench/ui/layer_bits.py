"""What the detector view needs to know of a mask's layers, pixel by pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.detector import SHAPE
from workbench.ui.widgets.image_view import KEPT, LOW_GAIN, REASONS

if TYPE_CHECKING:
    from workbench.mask import Mask

DRAWN_BY_FRONT_END = ("average_low", "average_high", "stddev_low", "stddev_high", "maximum_low",
                      "not_a_number")  # fmt: skip


class LayerBits(NamedTuple):
    """Arguments of `ImageView.set_bits`."""

    bits: NDArray[np.uint32] | None
    names: list[str]
    spared: NDArray[np.uint32] | None
    keepers: list[str]


def layer_bits(mask: Mask, by_kernel: bool = False) -> LayerBits:
    """Bits of a mask made by `MaskEvaluator.mask`.

    Parameters
    ----------
    by_kernel : whether the rules with limits are among the bits too.
    """
    from workbench.mask import bit_words
    from workbench.mask.planes import unpack
    from workbench.mask.program import Keep

    told = [one for one in mask.removals if by_kernel or one.rule not in DRAWN_BY_FRONT_END]
    names = [one.name if one.layer is None else one.label for one in told[:REASONS]]
    if len(told) > REASONS:
        names[-1] = "further layers"
    settings, stack = mask.settings, mask.stack
    keeps = []
    if settings is not None and stack is not None:
        keeps = [step for step in stack.steps(settings) if isinstance(step, Keep)]
    two_gains = settings is not None and settings.low_gain is not None
    if not (told or keeps or two_gains):
        return LayerBits(None, [], None, [])
    bits = bit_words([one.plane for one in told if one.plane is not None], REASONS)
    bits = bits.astype(np.uint32)
    if two_gains and stack is not None and stack.images.low_gain is not None:
        bits[stack.images.low_gain] |= np.uint32(LOW_GAIN)
    if not keeps:
        return LayerBits(bits, names, None, [])
    spared = bit_words([one.spared for one in told if one.spared is not None], REASONS)
    keeper = np.zeros(SHAPE, np.uint32)
    for number, step in reversed(list(enumerate(keeps[:255]))):
        keeper[unpack(step.plane)] = number + 1
    if not by_kernel:
        bits[keeper != 0] |= np.uint32(KEPT)
    labels = [f"layer {step.layer + 1} “{step.name}”" for step in keeps]
    return LayerBits(bits, names, spared.astype(np.uint32) | keeper << np.uint32(24), labels)
