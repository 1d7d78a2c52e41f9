"""Pickles of random operations: of the right form, of any meaning."""

from __future__ import annotations

import pickle
import pickletools
import random

from workbench.mask.formats.unpickle import FLEX

_NAMES = [(FLEX, "bool"), (FLEX, "grid"), ("_codecs", "encode"), ("os", "system"),
          ("builtins", "eval"), ("", ""), ("\ud800", "x")]  # fmt: skip
_TEXTS = [b"", b"latin1", b"\x04\x01\x00\x001", b"1" * 400, "é".encode(), b"\xff\xfe", b"os"]
_NUMBERS = [-1, 0, 1, 2, 185, 194, 255, 35890, 49_999, 50_001, 2**31 - 1, 2**31, 2**63, 10**50]
_OPERATIONS = [info for info in pickletools.opcodes if info.name != "STOP"]
_LIKELY = ["GLOBAL", "MARK", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "REDUCE", "BUILD", "BININT1",
           "BININT", "SHORT_BINSTRING", "BINPUT", "BINGET", "EMPTY_TUPLE", "NEWTRUE",
           "BINUNICODE", "APPENDS", "EMPTY_LIST", "POP", "DUP", "STACK_GLOBAL"]  # fmt: skip


def pickled(rng: random.Random) -> bytes:
    """One pickle of up to two hundred operations."""
    out = [b"\x80\x02"] if rng.random() < 0.8 else []
    for _ in range(rng.choice((1, 3, 10, 30, 200))):
        if rng.random() < 0.3:
            out.append(_array(rng))
        elif rng.random() < 0.99:
            out.append(_operation(rng.choice(_LIKELY), rng))
        else:
            out.append(_operation(rng.choice(_OPERATIONS).name, rng))
    if rng.random() < 0.3:  # the same thing inside itself, many times
        out.append(rng.choice((b"\x85", b"\x86", b"2\x86", b"l(", b"(")) * rng.choice((50, 3000)))
    return b"".join(out) + b"."


def _array(rng: random.Random) -> bytes:
    """A flex array or a part of one, its numbers at random."""
    module, name = rng.choice(_NAMES[:3])
    number = lambda: pickle.dumps(rng.choice(_NUMBERS), 2)[2:-1]  # noqa: E731
    start = f"c{module}\n{name}\n".encode()
    grid = f"c{FLEX}\ngrid\n".encode() + number() + number() + b"\x86"
    grid += number() + number() + b"\x86\x88\x87R"
    text = rng.choice(_TEXTS)
    content = b"U" + bytes([len(text) % 256]) + text[:255]
    return start + rng.choice((b")R", b"")) + grid + content + b"\x86" + rng.choice((b"b", b""))


def _operation(name: str, rng: random.Random) -> bytes:
    info = next(info for info in pickletools.opcodes if info.name == name)
    code = info.code.encode("latin-1")
    if info.arg is None:
        return code
    if info.arg.n >= 0:
        number = rng.choice(_NUMBERS) % (1 << 8 * info.arg.n)
        return code + number.to_bytes(info.arg.n, "little")
    if info.arg.n == pickletools.UP_TO_NEWLINE:
        if name in ("GLOBAL", "INST"):
            words = "\n".join(rng.choice(_NAMES)).encode("utf-8", "surrogatepass")
        elif name in ("STRING", "UNICODE", "PERSID"):
            words = rng.choice((b"'a'", b"'\\xff'", b"'", b"a", b"\\ud800"))
        else:
            words = str(rng.choice(_NUMBERS)).encode() + rng.choice((b"", b"L", b"x", b" "))
        return code + words + b"\n"
    width = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT8U: 8}.get(
        info.arg.n, 4
    )
    text = rng.choice(_TEXTS)
    stated = len(text) if rng.random() < 0.9 else rng.choice(_NUMBERS) % (1 << 8 * width)
    return code + (stated % (1 << 8 * width)).to_bytes(width, "little") + text
