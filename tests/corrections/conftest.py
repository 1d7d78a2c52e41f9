"""The numpy restatement of psana's corrections, importable by the tests of this folder."""

import importlib.util
import sys
from pathlib import Path

path = Path(__file__).with_name("psana_in_numpy.py")
if "psana_in_numpy" not in sys.modules:  # importlib mode does not put this folder on the path
    specification = importlib.util.spec_from_file_location("psana_in_numpy", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["psana_in_numpy"] = module
    specification.loader.exec_module(module)
