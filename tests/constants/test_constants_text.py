"""Text of per-pixel constants, as psana reads and writes it."""

import contextlib
import os

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workbench.constants import parse_constants, read_constants_file, write_constants_file
from workbench.constants import text as text_module
from workbench.constants.number_loops import read_decimals
from workbench.constants.store import append_history
from workbench.errors import FileFormatError, WorkbenchError


def test_comments_blank_lines_and_any_line_length_are_read():
    text = b"# TITLE pedestals\n# DTYPE float64\n\n1 2.5\n  # between\n-3e2\n\n4\t5 6\n"
    values = parse_constants(text, 6)
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, [1, 2.5, -300, 4, 5, 6])


def test_numbers_are_float32_unless_the_file_says_otherwise():
    assert parse_constants(b"1 2").dtype == np.float32
    assert parse_constants(b"# DTYPE int32\n1 2").dtype == np.int32
    assert parse_constants(b"1 2", dtype=np.int64).dtype == np.int64


def test_a_wrong_count_is_told_with_both_numbers():
    with pytest.raises(FileFormatError, match=r"expected 4 numbers, found 3"):
        parse_constants(b"1 2 3", 4)
    with pytest.raises(FileFormatError, match=r"expected 4 numbers, found 0"):
        parse_constants(b"# nothing\n", 4)


def test_what_is_no_number_is_told_with_its_line():
    with pytest.raises(FileFormatError, match=r"line 3: expected numbers, found 'three'"):
        parse_constants(b"# head\n1 2\n2 three\n")
    with pytest.raises(FileFormatError, match="numbers"):
        parse_constants(b"\x89HDF\r\n\x1a\n\x00\x00")


def test_an_unknown_type_and_broken_integers_are_refused():
    with pytest.raises(FileFormatError, match="DTYPE 'complex'"):
        parse_constants(b"# DTYPE complex\n1")
    for text in (b"1.5 2", b"nan 1", b"1e30 1"):
        with pytest.raises(FileFormatError, match="whole numbers"):
            parse_constants(text, dtype=np.int64)


def test_a_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_constants_file(tmp_path / "0-end.data")


def test_an_existing_file_is_not_replaced(tmp_path):
    path = tmp_path / "0-end.data"
    path.write_text("old")
    with pytest.raises(WorkbenchError, match="exists already"):
        write_constants_file(np.zeros((2, 3), np.float32), path)
    assert path.read_text() == "old"


@given(arrays(np.float32, (3, 4), elements=st.floats(-1e6, 1e6, width=32)))
def test_float32_comes_back_bit_for_bit(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("text") / "0-end.data"
    write_constants_file(values, path, {"TITLE": "any"})
    np.testing.assert_array_equal(read_constants_file(path, 12).reshape(3, 4), values)


@given(arrays(np.int32, (2, 5)))
def test_whole_numbers_are_written_without_a_point(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("text") / "0-end.data"
    write_constants_file(values, path)
    numbers = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert "." not in "".join(numbers)
    np.testing.assert_array_equal(read_constants_file(path, 10).reshape(2, 5), values)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_parse_or_be_refused(content):
    with contextlib.suppress(FileFormatError):
        assert parse_constants(content, 3).size == 3


@given(
    st.lists(st.decimals(-99999, 99999, places=4).map(str) | st.text("0123456789.+-e", max_size=18))
)
@example(["1.5", "-0", "+.25", "7.", "999999999999999", "0.000000000000001", "9007199254740993"])
@example(["."])
@example(["1.2.3"])
def test_large_texts_give_what_small_ones_give(words):
    """The compiled loop reads every decimal as numpy does, or leaves the text to numpy."""

    def read(large_from):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_module, "_LARGE", large_from)
            try:
                return parse_constants(" ".join(words).encode(), dtype=np.float64).tobytes()
            except FileFormatError as error:
                return str(error)

    assert read(0) == read(10**9)


def test_decimals_do_not_need_numpy():
    values = np.empty(20)
    assert read_decimals(np.frombuffer(b" 1.5\n-0 +.25 7.\r\n12", np.uint8), values) == 5
    assert values[:5].tolist() == [1.5, 0.0, 0.25, 7.0, 12.0]
    assert read_decimals(np.frombuffer(b"1 2e3", np.uint8), values) == -1


def test_a_comment_that_is_no_unicode_and_a_pipe_in_place_of_a_file(tmp_path):
    """Names of files may hold bytes that are no text; they must not stop a deployment."""
    write_constants_file(np.ones((2, 2)), tmp_path / "x.data", ["made from \udcff.cbf"])
    assert b"made from ?.cbf" in (tmp_path / "x.data").read_bytes()
    append_history(tmp_path, "x.data", "\ud800 and \udcff")
    assert "comment:? and ?" in (tmp_path / "HISTORY").read_text()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileFormatError, match="not a regular file"):
        read_constants_file(tmp_path / "pipe")


def test_words_of_more_than_32_bits_are_read_back(tmp_path):
    words = np.array([[0, 1 << 40], [3, 5]], np.int64)
    write_constants_file(words, tmp_path / "x.data")
    assert np.array_equal(read_constants_file(tmp_path / "x.data"), words.reshape(-1))
