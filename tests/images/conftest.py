"""Real CBF files, looked for beside the checkout."""

from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def real_cbf():
    """Give the path of a real CBF by its name."""

    def find(name: str) -> Path:
        for folder in CHECKOUT.parents:
            path = folder / "shared" / "data" / "cbf" / name
            if path.exists():
                return path
        pytest.skip(f"no real data: ../shared/data/cbf/{name} is absent")

    return find
