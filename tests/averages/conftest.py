"""Runs made of arrays for the tests of this folder."""

import importlib.util
import sys
from pathlib import Path

path = Path(__file__).with_name("fake_runs.py")
if "fake_runs" not in sys.modules:  # importlib mode does not put this folder on the path
    specification = importlib.util.spec_from_file_location("fake_runs", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["fake_runs"] = module
    specification.loader.exec_module(module)
