"""cspad.quadrants_cbf of cctbx.xfel, restated: the same scores, maximum and printed lines.

Per quadrant one ASIC, the one nearest the beam, is correlated with itself rotated about each
trial centre of an integer grid: nearest neighbour, no mask, no upper limit, and with the program's
own conventions for corners and origin, which bias the answer by about half a pixel. It is here so
that an answer can be compared with what people trust; `method="quadrant"` is the better one. One
thing differs: the shift applied is the printed one (the program adds the parallax of a corner
pixel to it, some 0.4 px). Pixels without a value are left out, as with a dxtbx newer than 2022.

Compared with the program itself on eight simulated and two real images, all 41 x 41 trials at 45
degrees and over 21 angles: scores equal within 2e-12, printed lines the same, shifts apart by that
parallax to 2e-6 um.

Source of the rules: xfel/command_line/quadrants_cbf.py, xfel/metrology/quadrant.py and
xfel/metrology/legacy_scale/quadrants.h of cctbx_project, read and measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.correlation import trial_offsets
from workbench.alignment.prepare import image_data
from workbench.alignment.result import QuadrantAlignment
from workbench.detector import (
    ASIC_COLUMNS,
    PIXEL_SIZE_UM,
    QUADRANTS,
    ROWS,
    SENSORS_PER_QUADRANT,
    asic_name,
    by_asic,
)
from workbench.errors import AlignmentError

MULTI_ANGLES = tuple(float(angle) for angle in np.arange(20, 70.1, 2.5))
"""The 21 angles of ``multi_angle=True``, degrees; their maximum counts."""
SINGLE_ANGLE = (45.0,)
QUARTER_TURNS = (0, 3, 2, 1)
"""Anticlockwise quarter turns that bring a quadrant's array to lab x, y (CXI mounting)."""
LOWEST_ADU = -400.0
"""Least trusted value of a CSPAD CBF."""
HEADING = """Based on the file %s,
    this program will compute incremental quadrant translations to circularize
    powder rings on the inner four sensors.  The algorithm treats each quadrant
    independently and scores based on self-correlation upon 45-degree rotation.
    """
"""What the program prints first."""
PIXEL_MM = PIXEL_SIZE_UM / 1000
SENSOR_MM = 0.5

# Mass attenuation of silicon, NIST (Hubbell & Seltzer 1995), cm²/g at keV; log-log in between.
_SILICON_KEV = (3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50)
_SILICON_CM2_PER_G = (978.4, 452.9, 245.0, 147.0, 64.68, 33.89, 10.34, 4.464, 1.436, 0.7012, 0.4385)
_SILICON_G_PER_CM3 = 2.33


@dataclass(frozen=True)
class Panel:
    """One ASIC as a dxtbx panel: lab frame in mm, sample at the origin, beam along -z."""

    name: str
    origin: NDArray[np.float64]
    fast: NDArray[np.float64]
    slow: NDArray[np.float64]
    attenuation_per_mm: float

    def to_lab(self, x_mm: float, y_mm: float) -> NDArray[np.float64]:
        """Lab position (mm) of panel coordinates."""
        return np.asarray(self.origin + x_mm * self.fast + y_mm * self.slow)

    def pixel_to_mm(self, x: float, y: float) -> tuple[float, float]:
        """Panel coordinates of a pixel's corner, less the depth at which rays are absorbed."""
        x_mm, y_mm = x * PIXEL_MM, y * PIXEL_MM
        dx, dy = self._parallax(x_mm, y_mm)
        return x_mm - dx, y_mm - dy

    def mm_to_pixel(self, x_mm: float, y_mm: float) -> tuple[float, float]:
        """Pixel coordinates of panel coordinates."""
        dx, dy = self._parallax(x_mm, y_mm)
        return (x_mm + dx) / PIXEL_MM, (y_mm + dy) / PIXEL_MM

    def corners(self) -> NDArray[np.float64]:
        """Lab positions of the program's four corners, float64 ``(4, 3)``."""
        w, h = ASIC_COLUMNS - 1, ROWS - 1
        places = ((0, 0), (w, 0), (w, h), (0, h))
        return np.array([self.to_lab(*self.pixel_to_mm(*place)) for place in places])

    def beam_distance(self) -> float:
        """From the middle of the corners to where the beam meets the panel's plane, mm."""
        normal = np.cross(self.fast, self.slow)
        beam = np.array([0.0, 0.0, 1.0]) * (self.origin @ normal) / normal[2]
        return float(np.linalg.norm(self.corners().mean(axis=0) - beam))

    def _parallax(self, x_mm: float, y_mm: float) -> tuple[float, float]:
        """Mean depth of absorption projected on the panel, mm (dxtbx, parallax_correction)."""
        mu, t = self.attenuation_per_mm, SENSOR_MM
        if mu <= 0:
            return 0.0, 0.0
        ray = self.to_lab(x_mm, y_mm)
        ray = ray / np.linalg.norm(ray)
        cosine = abs(float(ray @ np.cross(self.fast, self.slow)))
        depth = 1 / mu - (t / cosine + 1 / mu) * np.exp(-mu * t / cosine)
        return float(ray @ self.fast * depth), float(ray @ self.slow * depth)


@dataclass(frozen=True)
class CctbxMap:
    """Scores of one quadrant.

    Attributes
    ----------
    panel : name of the ASIC used.
    cc : float64 ``(n, n)`` over integer trial offsets [x index, y index], maximum over angles.
    trials_px : float64 ``(n,)``.
    best : indices of the first largest score above 0; that of (0, 0) if there is none.
    best_cc : that score, or 0.
    """

    panel: str
    cc: NDArray[np.float64]
    trials_px: NDArray[np.float64]
    best: tuple[int, int]
    best_cc: float


def silicon_attenuation_per_mm(wavelength_angstrom: float) -> float:
    """Linear attenuation of silicon, 1/mm, for 0.25 … 4.1 Å."""
    energy = 12.39842 / wavelength_angstrom
    log = np.interp(np.log(energy), np.log(_SILICON_KEV), np.log(_SILICON_CM2_PER_G))
    return float(np.exp(log) * _SILICON_G_PER_CM3 / 10)


def panels(
    geometry: Any, quadrant: int, distance_mm: float, wavelength_angstrom: float | None
) -> list[Panel]:
    """Give the 16 ASICs of a quadrant; without a wavelength there is no parallax."""
    positions = geometry.pixel_positions_um() / 1000
    height = float(np.round(positions[..., 2].mean(), 0))  # files put the detector at whole mm
    mu = silicon_attenuation_per_mm(wavelength_angstrom) if wavelength_angstrom else 0.0
    found = []
    for sensor in range(SENSORS_PER_QUADRANT):
        place = positions[quadrant * SENSORS_PER_QUADRANT + sensor]
        for asic in (0, 1):
            first = asic * ASIC_COLUMNS
            fast = place[0, first + ASIC_COLUMNS - 1] - place[0, first]
            slow = place[ROWS - 1, first] - place[0, first]
            fast, slow = fast / np.linalg.norm(fast), slow / np.linalg.norm(slow)
            origin = place[0, first] - (fast + slow) * PIXEL_MM / 2
            origin = origin - [0, 0, height + distance_mm]
            found.append(Panel(asic_name(quadrant, sensor, asic), origin, fast, slow, mu))
    return found


def nearest_panel(found: list[Panel]) -> int:
    """Index of the panel nearest the beam."""
    return int(np.argmin([panel.beam_distance() for panel in found]))


def score_map(
    array: NDArray[np.float64],
    origin_px: tuple[float, float],
    trials_px: NDArray[np.float64],
    angles_deg: tuple[float, ...],
) -> NDArray[np.float64]:
    """Scores ``(n, n)`` of a turned ASIC array at trial offsets, the maximum over the angles."""
    from workbench.alignment.kernels import cctbx_scores

    scores = np.full((len(trials_px), len(trials_px)), -np.inf)
    values = np.ascontiguousarray(array, dtype=np.float64)
    cctbx_scores(values, *origin_px, trials_px, np.radians(angles_deg), LOWEST_ADU, scores)
    return scores


def quadrant_map(
    image: Any, geometry: Any, quadrant: int, range_px: int, angles_deg: tuple[float, ...]
) -> CctbxMap:
    """Map of one quadrant.

    Raises
    ------
    AlignmentError
        If the image has no distance.
    """
    distance = getattr(image, "distance_mm", None)
    if distance is None:
        raise AlignmentError(
            "Method cctbx needs the detector distance, which this image does not carry; "
            "use method quadrant or an image with a distance."
        )
    found = panels(geometry, quadrant, distance, getattr(image, "wavelength_angstrom", None))
    chosen = nearest_panel(found)
    panel = found[chosen]
    sensor = quadrant * SENSORS_PER_QUADRANT + chosen // 2
    array = np.rot90(by_asic(image_data(image))[sensor, chosen % 2], QUARTER_TURNS[quadrant])
    low = panel.corners()[:, :2].min(axis=0)
    trials = trial_offsets(range_px)
    cc = score_map(array, panel.mm_to_pixel(*low), trials, angles_deg)
    best, best_cc = (range_px, range_px), 0.0
    if cc.max() > 0:
        i, j = np.unravel_index(int(np.argmax(cc)), cc.shape)
        best, best_cc = (int(i), int(j)), float(cc[i, j])
    return CctbxMap(panel.name, cc, trials, best, best_cc)


def align_as_cctbx(
    image: Any, geometry: Any, range_px: int, angles_deg: tuple[float, ...]
) -> tuple[list[QuadrantAlignment], list[str]]:
    """All quadrants, and the names of the ASICs used."""
    quadrants, names = [], []
    for quadrant in range(QUADRANTS):
        found = quadrant_map(image, geometry, quadrant, range_px, angles_deg)
        offset = found.trials_px[list(found.best)]
        warnings: tuple[str, ...] = ()
        if found.best_cc <= 0:
            warnings = ("No score above 0: the program prints (0, 0) and moves nothing.",)
        elif max(found.best) >= 2 * range_px or min(found.best) == 0:
            warnings = ("The peak lies at the edge of the grid; the offset may be larger.",)
        quadrants.append(
            QuadrantAlignment(
                quadrant=quadrant,
                offset_px=offset,
                covariance_px2=np.full((2, 2), np.nan),
                cc=found.best_cc,
                map=found.cc,
                trials_px=found.trials_px,
                peak_px=offset.copy(),
                pairs=0,
                verdict="uncertain" if found.best_cc > 0 else "not determined",
                warnings=warnings,
                accepted=found.best_cc > 0,
            )
        )
        names.append(found.panel)
    return quadrants, names
