"""The README of a sample experiment."""

README = """\
# Sample experiment cxim1416

A simulated powder calibration of the CSPAD at CXI, written by `workbench simulate`: 121 mm,
9.5 keV, silver behenate in a water jet, a beam stop with its arm. The same number of events and
the same seed give the same bytes.

| path | what it is |
|---|---|
| `CXI/cxim1416/xtc/` | dark run 54, bright runs 74 and 75: XTC, two streams of two chunks |
| `CXI/cxim1416/calib/` | geometry, pedestals, pixel_status, common_mode |
| `ExpNameDb/experiment-db.dat` | which experiment has the id 780 |
| `geometry/deployed.data` | the geometry as first deployed, quadrants misplaced by 5 to 10 pixels |
| `geometry/true.data` | the geometry in which the rings are round (whole micrometres) |
| `truth.json` | quadrant offsets, beam, distance, lists of faulty pixels |
| `cxim1416_r0074.calibration.toml` | recipe of the whole calibration |

With `--psdm-dir` (or `$SIT_PSDM_DATA`) naming this folder, experiment `cxim1416` is found. In the
pictures: pedestals of 1000 to 1400 ADU, read noise of 3 to 5 ADU, a common shift of each sensor
from shot to shot, 28 ADU per photon, low gain (1/6.85) within 150 pixels of the beam; 1500 hot,
2500 noisy, 800 dead, 100 stuck and 1216 unbonded pixels. With an average of at most 2000, a
standard deviation of at most 10 (both from run 54, raw) and a maximum of at least 300 ADU (run 74
or 75 with pedestals and gain) the mask takes away these and what the beam stop covers.
"""
