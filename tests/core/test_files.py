"""Files appear whole or not at all."""

import hashlib
import os

import pytest

from workbench.errors import RecipeError, WorkbenchError
from workbench.files import parse_json, read_regular, replacing, sha256
from workbench.recipe import read_recipe
from workbench.report.reproduce import read_report


def test_the_file_appears_when_it_is_complete(tmp_path):
    target = tmp_path / "new" / "file.txt"
    with replacing(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert os.listdir(target.parent) == ["file.txt"]
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()
    assert sha256(target) == hashlib.sha256(b"whole").hexdigest()


def test_after_an_error_the_old_file_stands(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")

    def fail():
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_nothing_is_overwritten_unless_allowed(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(WorkbenchError, match="exists already"), replacing(target, overwrite=False):
        pass
    assert target.read_text() == "old"


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(WorkbenchError, match="is a folder"), replacing(tmp_path):
        pass


def test_a_pipe_is_not_waited_for(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    assert read_regular(tmp_path / "file", 3) == b"con"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_lists_within_lists_without_end_are_no_json():
    with pytest.raises(ValueError, match="within one another"):
        parse_json("[" * 100_000)


@pytest.mark.parametrize(("name", "read"), [("x.ipynb", read_report), ("x.toml", read_recipe)])
def test_notebooks_and_recipes_of_lists_within_lists_are_refused(tmp_path, name, read):
    (tmp_path / name).write_text("[" * 100_000 if name == "x.ipynb" else "a = " + "[" * 20_000)
    with pytest.raises(RecipeError, match=name):
        read(tmp_path / name)
