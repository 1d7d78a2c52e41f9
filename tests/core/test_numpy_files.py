"""Arrays of numpy: read exactly, and never more memory than the file has."""

import tracemalloc

import numpy as np
import pytest

from workbench.errors import FileFormatError
from workbench.numpy_files import opened_archive, read_array


@pytest.mark.parametrize("array", [
    np.arange(24.0).reshape(2, 3, 4), np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.array(7), np.zeros((0, 3)), np.array("text"), np.arange(3, dtype=">i2"),
])  # fmt: skip
def test_what_was_saved_is_read(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", x=array)
    with opened_archive(tmp_path / "x.npz", "an array") as stored:
        for found in (read_array(tmp_path / "x.npy"), stored["x"]):
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("shape", [b"(99999999999, 99)", b"(-1, 3)", b"(2**9,)", b"(True, 1)"])
def test_a_size_is_held_against_the_file(tmp_path, shape):
    array = np.zeros((1000, 16))
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", x=array)
    for name in ("x.npy", "x.npz"):
        content = (tmp_path / name).read_bytes()
        stated = b"(1000, 16), }" + b" " * 20
        assert stated in content
        changed = (shape + b", }").ljust(len(stated))
        (tmp_path / name).write_bytes(content.replace(stated, changed))
    tracemalloc.start()
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_array(tmp_path / "x.npy")
    with (
        pytest.raises(FileFormatError, match="expected an array"),
        opened_archive(tmp_path / "x.npz", "an array") as stored,
    ):
        stored["x"]
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_an_array_that_was_compressed_is_refused(tmp_path):
    """A few kilobytes may hold gigabytes; the workbench writes none."""
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(10**6))
    with (
        pytest.raises(FileFormatError, match="x is compressed"),
        opened_archive(tmp_path / "x.npz", "an array") as stored,
    ):
        stored["x"]
