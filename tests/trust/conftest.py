"""Helpers of these tests, beside them and in the folders of the rooms."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
for folder in (TESTS / "trust", TESTS / "runs"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
