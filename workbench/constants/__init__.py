"""Calibration directories: which file serves which run, and the text of constants."""

from workbench.constants.choice import constants_folder, file_for_run, run_range, served_instead
from workbench.constants.store import (
    append_history,
    deploy_constants,
    free_path,
    read_common_mode,
    read_constants,
    write_constants,
)
from workbench.constants.text import parse_constants, read_constants_file, write_constants_file

__all__ = [
    "append_history",
    "constants_folder",
    "deploy_constants",
    "file_for_run",
    "free_path",
    "parse_constants",
    "read_common_mode",
    "read_constants",
    "read_constants_file",
    "run_range",
    "served_instead",
    "write_constants",
    "write_constants_file",
]
