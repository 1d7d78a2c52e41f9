"""Reports: a recipe executed as a notebook, with every figure as a static picture."""

from workbench.report.calibration import CalibrationReport
from workbench.report.comparison import ComparisonReport
from workbench.report.write import ReportFiles, write_comparison, write_report

__all__ = [
    "CalibrationReport",
    "ComparisonReport",
    "ReportFiles",
    "write_comparison",
    "write_report",
]
