"""A small sample experiment, written once for all tests of this folder."""

import pytest

from workbench.simulate import write_experiment

EVENTS = 4


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    return write_experiment(tmp_path_factory.mktemp("sample") / "data", events=EVENTS, seed=7)
