"""Reading the pickle of a mask: with `pickle.Unpickler`, which finds three names and no other.

The names stand for objects of this module that only hold what they are given, so nothing in a file
is executed. Python's ``pickletools`` reads the operations first (protocols 0 to 5), because the
unpickler sets memory aside for what a file announces: 10 bytes can ask for a text of 2⁶² bytes,
5 bytes for a memo of 2³² places. So only operations that a mask needs are let through, not more of
them than a mask has, and small places in the memo. Texts that Python 2 wrote as ``str`` come out as
bytes.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

from workbench.errors import first_line

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
_OPERATIONS = {info.code.encode("latin-1"): info for info in pickletools.opcodes}


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
        problem = f"its operations do not fit together ({first_line(error)[:100]})"
        raise PickleRefused(problem) from error


def _look_through(data: bytes) -> None:
    """Refuse operations that no mask needs; see the module's text."""
    stream = io.BytesIO(data)
    for _ in range(MOST_OPERATIONS):
        code = stream.read(1)
        if not code:
            raise PickleRefused("it is truncated")
        operation = _OPERATIONS.get(code)
        name = f"{code!r}" if operation is None else operation.name
        if operation is None or name not in _NEEDED:
            raise PickleRefused(f"it uses the pickle operation {name}, which no mask needs")
        if name == "STOP":
            return
        try:
            argument = _argument(operation, stream)
        except ValueError as error:
            problem = f"it is truncated or malformed ({first_line(error)[:100]})"
            raise PickleRefused(problem) from error
        if name == "PROTO" and argument > NEWEST_PROTOCOL:
            raise PickleRefused(f"it is of a pickle protocol newer than {NEWEST_PROTOCOL}")
        if name.endswith("PUT") and argument > MOST_OPERATIONS:
            raise PickleRefused("it stores something in a place no mask needs")
    raise PickleRefused(f"it has more than {MOST_OPERATIONS} operations")


def _argument(operation: pickletools.OpcodeInfo, stream: io.BytesIO) -> Any:
    if operation.arg is None:
        return None
    if operation.name == "STRING":  # pickletools refuses what is not ASCII, as Python 2 wrote it
        return stream.readline()
    return operation.arg.reader(stream)
