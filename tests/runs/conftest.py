"""Fixtures of the run reader's tests."""

import importlib.util
import sys
from pathlib import Path

import pytest


def _load(name):
    """Tests have no packages: the builders beside this file are loaded by hand."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)
    return module


build = _load("xtc_builder")
_load("jungfrau_builder")
_load("epix10ka_builder")


@pytest.fixture(autouse=True)
def _no_data_tree(monkeypatch):
    for name in ("SIT_PSDM_DATA", "SIT_DATA", "SIT_ROOT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def opened(tmp_path):
    """Writes one-stream content and opens it: ``opened(content).events()``."""
    from workbench.runs import open_run

    def write_and_open(content, address="CxiDs1.0:Cspad.0", **streams):
        folder = tmp_path / "xtc"
        if content is not None:
            build.write(folder, content)
        for name, more in streams.items():  # s01=…, s80c01=…
            number, _, chunk = name[1:].partition("c")
            build.write(folder, more, stream=int(number), chunk=int(chunk or 0))
        return open_run("cxim1416", 74, address, xtc_dir=folder)

    return write_and_open
