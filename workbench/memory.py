"""Memory given back to the system."""

from __future__ import annotations

import ctypes
import gc


def give_back(collect: bool = True) -> None:
    """Free what nothing refers to any more, and hand freed memory to the system.

    The allocator of glibc keeps freed arrays of some megabytes for the thread that made them;
    where threads come and go, a process grows to many times of what it uses.

    Parameters
    ----------
    collect : look for objects that refer to each other only, some 0.2 s during which no other
        thread runs.
    """
    if collect:
        gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # not on every system
    if trim is not None:
        trim(0)
