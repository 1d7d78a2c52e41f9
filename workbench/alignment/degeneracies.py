"""What powder rings cannot tell, whatever their quality.

Rings about the beam say how far a pixel is from it, nothing else. With the middle of a quadrant
at M, a small turn ω of the quadrant

* about the beam moves every pixel along its ring: no ring changes, ω is invisible;
* about its own middle moves the pixel at p by ``ω z × (p - M)``. The part along ``z × p`` is
  invisible, what is left is the same everywhere, ``-ω z × M``: the quadrant sees the centre of
  the rings displaced by ``ω (M_y, -M_x)``. That is an offset along the ring through the middle,
  and no ring can tell it from one.

So turns are not fitted but taken from the geometry, and each offset is told with the turn about
the quadrant's middle that would look the same. Nor can rings tell a shift of the whole detector
from one of the beam.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.quantities import plus_minus

EXAMPLE_DEG = 0.1
"""The turn that the notes take as an example."""


def turns_alike_deg(
    offsets_px: NDArray[np.float64], middles: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turns about their middles that would show the offsets' part along the rings, ``(groups,)``.

    Degrees, positive anticlockwise in lab (x, y), as the present geometry would be turned against
    the truth. An offset's part towards or away from the beam is no turn.
    """
    along = middles[:, ::-1] * [1.0, -1.0]
    turns = np.sum(offsets_px * along, axis=1) / np.sum(along**2, axis=1)
    return np.asarray(np.degrees(turns))


def degeneracy_notes(
    offsets_px: NDArray[np.float64],
    covariance_px2: NDArray[np.float64],
    known: NDArray[np.bool_],
    middles: NDArray[np.float64],
    held: bool = False,
) -> tuple[str, ...]:
    """Sentences for a person; none where no quadrant is known.

    Parameters
    ----------
    offsets_px : float64 ``(groups, 2)``.
    covariance_px2 : float64 ``(2 groups, 2 groups)``, NaN where a person set an offset.
    known : bool ``(groups,)``, groups whose offset is determined.
    middles : as `Geometry.middles_px` gives them.
    held : a quadrant held fixed tells where the beam is.
    """
    if not known.any():
        return ()
    far = float(np.hypot(*middles[known].T).mean())
    turns = (
        "Turning quadrants about the beam changes no ring, so turns are taken from the geometry. A "
        f"turn of {EXAMPLE_DEG:g}° about a quadrant's own middle looks like an offset of "
        f"{np.radians(EXAMPLE_DEG) * far:.1f} px along the rings."
    )
    if held:
        return (turns,)
    x, y = offsets_px[known].mean(axis=0)
    own = np.repeat(known, 2)
    part = covariance_px2[np.ix_(own, own)].reshape(known.sum(), 2, known.sum(), 2)
    sure = plus_minus(np.sqrt(np.einsum("iaja->a", part)) / known.sum())
    return (
        f"Common to the quadrants is ({x:+.2f}, {y:+.2f}){sure} px: rings cannot "
        "tell whether the detector or the beam moved; afterwards the beam is at the lab's origin.",
        turns,
    )
