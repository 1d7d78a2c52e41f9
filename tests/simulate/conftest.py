"""A small sample experiment, written once for all tests of this folder."""

from functools import partial

import pytest

from workbench.simulate import write_experiment
from workbench.simulate.experiment import SampleExperiment

EVENTS = 4


@pytest.fixture(scope="session")
def sample(made_once):
    write = partial(write_experiment, events=EVENTS, seed=7)
    return SampleExperiment(made_once("small-sample", write))
