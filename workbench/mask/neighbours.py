"""Growing and small islands, in numpy and scipy.

Both stay within a sensor ``(185, 388)``, whose ASICs are neighbours across the wide columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def grown(masked: NDArray[np.bool_], pixels: int, neighbours: int) -> NDArray[np.bool_]:
    """Masked pixels and those up to `pixels` steps away, 4 or 8 directions a step."""
    now = masked
    for _ in range(pixels):
        upright = now.copy()
        upright[:, 1:] |= now[:, :-1]
        upright[:, :-1] |= now[:, 1:]
        source = upright if neighbours == 8 else now
        after = upright.copy()
        after[..., 1:] |= source[..., :-1]
        after[..., :-1] |= source[..., 1:]
        now = after
    return now


def islands(good: NDArray[np.bool_], smaller_than: int, neighbours: int) -> NDArray[np.bool_]:
    """Good pixels of connected regions with fewer than `smaller_than` pixels."""
    from scipy import ndimage

    structure = np.zeros((3, 3, 3), np.bool_)  # nothing connects two sensors
    structure[1] = ndimage.generate_binary_structure(2, 2 if neighbours == 8 else 1)
    regions, number = ndimage.label(good, structure)
    small = np.bincount(regions.reshape(-1), minlength=number + 1) < smaller_than
    small[0] = False
    return small[regions]
