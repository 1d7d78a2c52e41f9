"""Reading the pickle of a mask: with `pickle.Unpickler`, which finds three names and no other.

The names stand for objects of this module that only hold what they are given, so nothing in a file
is executed. Before that, the operations are looked through: only those that a mask needs, not more
of them than a mask has, and no place in the memo that would ask for much memory. Operations are
those of Python's ``pickletools``, protocols 0 to 5. Texts that Python 2 wrote as ``str`` come out
as bytes.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

FLEX = "scitbx_array_family_flex_ext"
MOST_OPERATIONS = 50_000
"""A mask of 64 panels has some 2000."""
NEWEST_PROTOCOL = 5

_NEEDED = frozenset({
    "INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "NONE", "NEWTRUE", "NEWFALSE",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE",
    "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "EMPTY_LIST", "APPEND", "APPENDS", "LIST",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "POP", "POP_MARK", "DUP", "MARK", "PUT",
    "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET", "MEMOIZE", "GLOBAL", "STACK_GLOBAL",
    "REDUCE", "BUILD", "PROTO", "FRAME", "STOP",
})  # fmt: skip
_OPERATIONS = {ord(info.code): info for info in pickletools.opcodes}
_LENGTHS = {  # how the length of an argument is stored: bytes, signed
    pickletools.TAKEN_FROM_ARGUMENT1: (1, False),
    pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False),
    pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
}


class PickleRefused(Exception):
    """The pickle holds something a mask never does; the message says what."""


class Grid:
    """Stand-in for ``flex.grid``: its arguments, and the state it is given (its focus)."""

    __slots__ = ("arguments", "state")

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class FlexBool(Grid):
    """Stand-in for ``flex.bool``: its state is a grid and the pixels."""

    __slots__ = ()


class _Encode:
    """Stand-in for ``codecs.encode``, as Python 3 pickles bytes in protocols 0 to 2."""

    __slots__ = ()

    def __call__(self, *arguments: object) -> bytes:
        match arguments:
            case (str() as text, "latin1" | "latin-1" | b"latin1"):
                return text.encode("latin-1")
            case ():
                return b""
        raise PickleRefused("it encodes a text in a way no mask needs")

    def __setstate__(self, state: object) -> None:
        raise PickleRefused("it gives a state to something that is no array")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Give the stand-in of a name that masks use; refuse any other."""
        allowed = {f"{FLEX} bool": FlexBool, f"{FLEX} grid": Grid, "_codecs encode": _Encode()}
        if f"{module} {name}" not in allowed:
            raise PickleRefused(f"it would call {module}.{name}, which no mask needs"[:200])
        return allowed[f"{module} {name}"]


def unpickle(data: bytes) -> object:
    """Give the object that a pickle describes, of tuples, lists, numbers, texts and stand-ins.

    Raises
    ------
    PickleRefused
        If it is truncated, malformed, or holds anything but what a mask needs.
    """
    _look_through(data)
    try:
        return _Unpickler(io.BytesIO(data), fix_imports=False, encoding="bytes").load()
    except PickleRefused:
        raise
    except Exception as error:  # pickle raises nearly any kind
        words = str(error).partition("\n")[0][:100]
        raise PickleRefused(f"its operations do not fit together ({words})") from error


def _look_through(data: bytes) -> None:
    """Refuse operations that no mask needs; see the module's text."""
    position = operations = 0
    while True:
        code = _piece(data, position, 1)[0]
        info = _OPERATIONS.get(code)
        if info is None or info.name not in _NEEDED:
            name = repr(chr(code)) if info is None else info.name
            raise PickleRefused(f"it uses the pickle operation {name}, which no mask needs")
        operations += 1
        if operations > MOST_OPERATIONS:
            raise PickleRefused(f"it has more than {MOST_OPERATIONS} operations")
        start = position + 1
        position = _end_of_argument(data, start, info)
        if info.name == "PROTO" and data[start] > NEWEST_PROTOCOL:
            raise PickleRefused(f"it is of a pickle protocol newer than {NEWEST_PROTOCOL}")
        if info.name.endswith("PUT"):
            place = _memo_place(data[start:position], decimal=info.name == "PUT")
            if place > MOST_OPERATIONS:
                raise PickleRefused("it stores something in a place no mask needs")
        if info.name == "STOP":
            return


def _end_of_argument(data: bytes, start: int, info: pickletools.OpcodeInfo) -> int:
    """Position after an operation's argument."""
    if info.arg is None:
        return start
    if info.arg.n >= 0:
        return start + len(_piece(data, start, info.arg.n))
    if info.arg.n == pickletools.UP_TO_NEWLINE:
        for _ in range(2 if info.name == "GLOBAL" else 1):
            end = data.find(b"\n", start)
            if end < 0:
                raise PickleRefused("it is truncated in a line")
            start = end + 1
        return start
    width, signed = _LENGTHS[info.arg.n]
    length = int.from_bytes(_piece(data, start, width), "little", signed=signed)
    if length < 0:
        raise PickleRefused(f"it claims a negative size ({length})")
    return start + width + len(_piece(data, start + width, length))


def _piece(data: bytes, start: int, size: int) -> bytes:
    if start + size > len(data):
        left = len(data) - start
        raise PickleRefused(f"it is truncated: {size} bytes are announced, {left} are left")
    return data[start : start + size]


def _memo_place(argument: bytes, decimal: bool) -> int:
    if not decimal:
        return int.from_bytes(argument, "little")
    digits = argument.strip()
    return int(digits) if digits.isdigit() and len(digits) < 10 else MOST_OPERATIONS + 1
