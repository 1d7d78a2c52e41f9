"""cspad.quadrants_cbf of cctbx.xfel, restated: the same scores, maximum and printed lines.

It is made for the CSPAD and refuses other detectors. Per quadrant one ASIC, the one nearest the
beam, is correlated with itself rotated about each trial centre of an integer grid: nearest
neighbour, no mask, no upper limit, and with the program's own conventions for corners and origin,
which bias the answer by about half a pixel. It is here so that an answer can be compared with what
people trust; `method="quadrant"` is the better one. One thing differs: the shift applied is the
printed one (the program adds the parallax of a corner pixel to it, some 0.4 px). Pixels without a
value are left out, as with a dxtbx newer than 2022.

Compared with the program itself on eight simulated and two real images, all 41 x 41 trials at 45
degrees and over 21 angles: scores equal within 2e-12, printed lines the same, shifts apart by that
parallax to 2e-6 um.

Source of the rules: xfel/command_line/quadrants_cbf.py, xfel/metrology/quadrant.py and
xfel/metrology/legacy_scale/quadrants.h of cctbx_project, read and measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.alignment import prepare
from workbench.alignment.correlation import trial_offsets
from workbench.alignment.correlation_loops import cctbx_scores
from workbench.alignment.prepare import ImageLike
from workbench.alignment.result import QuadrantAlignment
from workbench.detectors import CSPAD, Detector
from workbench.errors import AlignmentError
from workbench.geometry import Geometry
from workbench.quantities import HC_EV_ANGSTROM

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
SENSOR_MM = 0.5
"""Thickness of the sensors."""

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
    shape: tuple[int, int]
    pixel_mm: float
    attenuation_per_mm: float

    def to_lab(self, x_mm: float, y_mm: float) -> NDArray[np.float64]:
        """Lab position (mm) of panel coordinates."""
        return np.asarray(self.origin + x_mm * self.fast + y_mm * self.slow)

    def pixel_to_mm(self, x: float, y: float) -> tuple[float, float]:
        """Panel coordinates of a pixel's corner, less the depth at which rays are absorbed."""
        x_mm, y_mm = x * self.pixel_mm, y * self.pixel_mm
        dx, dy = self._parallax(x_mm, y_mm)
        return x_mm - dx, y_mm - dy

    def mm_to_pixel(self, x_mm: float, y_mm: float) -> tuple[float, float]:
        """Pixel coordinates of panel coordinates."""
        dx, dy = self._parallax(x_mm, y_mm)
        return (x_mm + dx) / self.pixel_mm, (y_mm + dy) / self.pixel_mm

    def corners(self) -> NDArray[np.float64]:
        """Lab positions of the program's four corners, float64 ``(4, 3)``."""
        w, h = self.shape[1] - 1, self.shape[0] - 1
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
    energy = HC_EV_ANGSTROM / 1000 / wavelength_angstrom
    log = np.interp(np.log(energy), np.log(_SILICON_KEV), np.log(_SILICON_CM2_PER_G))
    return float(np.exp(log) * _SILICON_G_PER_CM3 / 10)


def panels(
    geometry: Geometry,
    detector: Detector,
    quadrant: int,
    distance_mm: float,
    wavelength_angstrom: float | None,
) -> list[Panel]:
    """Give the ASICs of a quadrant; without a wavelength there is no parallax."""
    positions = geometry.pixel_positions_um() / 1000
    height = float(np.round(positions[..., 2].mean(), 0))  # files put the detector at whole mm
    mu = silicon_attenuation_per_mm(wavelength_angstrom) if wavelength_angstrom else 0.0
    rows, columns = detector.asic_shape
    pixel_mm = detector.pixel_um / 1000
    names = detector.panel_names()
    made = []
    for module in detector.groups[quadrant].modules:
        for asic in range(detector.asics_per_module):
            corner = positions[module, :, asic * columns : (asic + 1) * columns]
            fast, slow = corner[0, -1] - corner[0, 0], corner[-1, 0] - corner[0, 0]
            fast, slow = fast / np.linalg.norm(fast), slow / np.linalg.norm(slow)
            origin = corner[0, 0] - (fast + slow) * pixel_mm / 2
            origin = origin - [0, 0, height + distance_mm]
            name = names[module * detector.asics_per_module + asic]
            made.append(Panel(name, origin, fast, slow, (rows, columns), pixel_mm, mu))
    return made


def nearest_panel(candidates: list[Panel]) -> int:
    """Index of the panel nearest the beam."""
    return int(np.argmin([panel.beam_distance() for panel in candidates]))


def score_map(
    array: NDArray[np.float64],
    origin_px: tuple[float, float],
    trials_px: NDArray[np.float64],
    angles_deg: tuple[float, ...],
) -> NDArray[np.float64]:
    """Scores ``(n, n)`` of a turned ASIC array at trial offsets, the maximum over the angles."""
    scores = np.full((len(trials_px), len(trials_px)), -np.inf)
    values = np.ascontiguousarray(array, dtype=np.float64)
    cctbx_scores(values, *origin_px, trials_px, np.radians(angles_deg), LOWEST_ADU, scores)
    return scores


def quadrant_map(
    image: ImageLike,
    geometry: Geometry,
    quadrant: int,
    range_px: int,
    angles_deg: tuple[float, ...],
) -> CctbxMap:
    """Map of one quadrant.

    Raises
    ------
    AlignmentError
        If the image has no distance, or is of another detector than the CSPAD.
    """
    detector, data = prepare.detector_data(image)
    if detector is not CSPAD:
        raise AlignmentError(
            f"Method cctbx is for the {CSPAD.name} only, this image is of the {detector.name}; "
            "use method quadrant."
        )
    distance = prepare.distance_mm(image)
    if distance is None:
        raise AlignmentError(
            "Method cctbx needs the detector distance, which this image does not carry; "
            "use method quadrant or an image with a distance."
        )
    wavelength = prepare.wavelength_angstrom(image)
    candidates = panels(geometry, detector, quadrant, distance, wavelength)
    chosen = nearest_panel(candidates)
    panel = candidates[chosen]
    module, asic = divmod(chosen, detector.asics_per_module)
    module += detector.groups[quadrant].modules.start
    array = np.rot90(detector.by_asic(data)[module, asic], QUARTER_TURNS[quadrant])
    low = panel.corners()[:, :2].min(axis=0)
    trials = trial_offsets(range_px)
    cc = score_map(array, panel.mm_to_pixel(*low), trials, angles_deg)
    best, best_cc = (range_px, range_px), 0.0
    if cc.max() > 0:
        i, j = np.unravel_index(int(np.argmax(cc)), cc.shape)
        best, best_cc = (int(i), int(j)), float(cc[i, j])
    return CctbxMap(panel.name, cc, trials, best, best_cc)


def align_as_cctbx(
    image: ImageLike, geometry: Geometry, range_px: int, angles_deg: tuple[float, ...]
) -> tuple[QuadrantAlignment, ...]:
    """All quadrants."""
    return tuple(
        _quadrant(quadrant_map(image, geometry, quadrant, range_px, angles_deg), quadrant, range_px)
        for quadrant in range(len(CSPAD.groups))
    )


def _quadrant(scores: CctbxMap, quadrant: int, range_px: int) -> QuadrantAlignment:
    offset = scores.trials_px[list(scores.best)]
    warnings: tuple[str, ...] = ()
    if scores.best_cc <= 0:
        warnings = ("No score above 0: the program prints (0, 0) and moves nothing.",)
    elif max(scores.best) >= 2 * range_px or min(scores.best) == 0:
        warnings = ("The peak lies at the edge of the grid; the offset may be larger.",)
    return QuadrantAlignment(
        quadrant=quadrant,
        offset_px=offset,
        covariance_px2=np.full((2, 2), np.nan),
        cc=scores.best_cc,
        map=scores.cc,
        trials_px=scores.trials_px,
        peak_px=offset.copy(),
        pairs=0,
        verdict="uncertain" if scores.best_cc > 0 else "not determined",
        warnings=warnings,
        accepted=scores.best_cc > 0,
        panel=scores.panel,
    )
