"""What the detector view needs to know of a mask's layers, pixel by pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.mask.reasons import bit_words
from workbench.mask.rules import OF_IMAGES
from workbench.ui.widgets.image_view import KEPT, LOW_GAIN, REASONS

if TYPE_CHECKING:
    from workbench.mask import Mask


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
    drawn = [removal for removal in mask.removals if by_kernel or removal.rule not in OF_IMAGES]
    names = [
        removal.name if removal.layer is None else removal.label for removal in drawn[:REASONS]
    ]
    if len(drawn) > REASONS:
        names[-1] = "further layers"
    two_gains = mask.settings is not None and mask.settings.low_gain is not None
    table = mask.table
    if table is None or not (drawn or mask.kept or two_gains):
        return LayerBits(None, [], None, [])
    columns = [removal.place for removal in drawn]
    row_bits = bit_words(table.removed[:, columns], REASONS).astype(np.uint32)
    spared = None
    if mask.kept:
        chosen = table.chosen[:, :255]
        keeper = np.where(chosen.any(axis=1), chosen.argmax(axis=1) + 1, 0).astype(np.uint32)
        row_spared = bit_words(table.spared[:, columns], REASONS).astype(np.uint32)
        spared = (row_spared | keeper << np.uint32(24))[table.row]
        if not by_kernel:
            row_bits[keeper != 0] |= np.uint32(KEPT)
    bits = row_bits[table.row]
    if two_gains and mask.images is not None and mask.images.low_gain is not None:
        bits[mask.images.low_gain] |= np.uint32(LOW_GAIN)
    return LayerBits(bits, names, spared, [kept.label for kept in mask.kept])
