"""Decoding of compressed CBF sections by CBFlib, in a process of its own.

CBFlib trusts what it decodes: a damaged section can end its process. So this file is also run as a
program, which imports nothing of the workbench: ``cbflib.py FILE ROW KIND …`` writes the decoded
bytes of those rows of ``array_data`` (KIND ``real`` or ``integer``) to its standard output.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping

CPU_SECONDS = 20
"""A CSPAD needs a tenth of a second."""
MOST_SECONDS = 120
MOST_BYTES = 2 * 2**30


class CbflibError(Exception):
    """CBFlib did not decode the sections; the message says why in one clause."""


def decode(path: str, sections: Mapping[int, str]) -> bytes:
    """Decoded bytes of rows of ``array_data``, one after the other.

    Parameters
    ----------
    sections : by row, ``"real"`` or ``"integer"``.

    Raises
    ------
    CbflibError
        If CBFlib refuses them, dies, or takes too long.
    """
    words = [word for row, kind in sections.items() for word in (str(row), kind)]
    command = [sys.executable, "-P", __file__, os.path.abspath(path), *words]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=MOST_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise CbflibError("CBFlib does not finish") from None
    except OSError as error:
        raise CbflibError(f"no process can be started for CBFlib, {error.strerror}") from error
    if done.returncode:
        said = " ".join(done.stderr.decode("ascii", "replace").split())
        raise CbflibError(said[-80:] or "CBFlib fails on it")
    return done.stdout


def _main(path: str, *words: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    import pycbf

    with os.fdopen(os.dup(1), "wb") as result:
        os.dup2(2, 1)  # what CBFlib prints must not get among the pixels
        try:
            handle = pycbf.cbf_handle_struct()
            handle.read_widefile(os.fsencode(path), pycbf.MSG_NODIGEST)
            handle.find_category(b"array_data")
            handle.find_column(b"data")
            for row, kind in zip(words[::2], words[1::2], strict=True):
                handle.select_row(int(row))
                real = kind == "real"  # CBFlib would give the bits of reals as integers as well
                result.write(
                    handle.get_realarray_as_string()
                    if real
                    else handle.get_integerarray_as_string()
                )
        except Exception as error:  # pycbf raises bare Exceptions
            sys.exit(f"{error}")


if __name__ == "__main__":
    _main(*sys.argv[1:])
