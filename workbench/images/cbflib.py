"""Decoding of compressed CBF sections by CBFlib, in a process of its own.

CBFlib trusts what it decodes: a damaged section can end its process. So this file is also run as a
program, which imports nothing of the workbench: ``cbflib.py FILE ROW KIND …`` writes the decoded
bytes of those rows of ``array_data`` (KIND ``real`` or ``integer``) to its standard output.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def decode(path: str, sections: Mapping[int, str]) -> bytes:
    """Decoded bytes of rows of ``array_data``, one after the other.

    Parameters
    ----------
    sections : by row, ``"real"`` or ``"integer"``.

    Raises
    ------
    GuardedError
        If CBFlib refuses them, dies, or takes too long.
    """
    from workbench.guarded import run_guarded

    words = [word for row, kind in sections.items() for word in (str(row), kind)]
    return run_guarded(__file__, os.path.abspath(path), *words, library="CBFlib")


def _main(path: str, *words: str) -> None:
    try:
        import pycbf
    except ModuleNotFoundError:
        sys.exit("without pycbf: pip install 'cspad-workbench[cbf]' (needs a C compiler)")

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
