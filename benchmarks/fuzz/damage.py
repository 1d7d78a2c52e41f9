"""Damage: what happens to a good file, by accident or on purpose."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

import numpy as np

WORDS = [0, 1, 2, 19, 20, 21, 24, 36, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000,
         0xFFFFFFFF, 0x00010001, 0x8002001C, 0x10000]  # fmt: skip
TEXTS = [b"0", b"-1", b"nan", b"inf", b"1e999", b"9" * 30, b"4294967296", b"-9223372036854775809",
         b"", b"\xff\xfe", b"\x00", b"'", b'"', b"\n", b"[", b"{", b"(", b";", b"=", b"#", b"\\",
         b"true", b"null", b"[[]]", b"a.b.c", b"../x", b"\xed\xa0\x80", b"0" * 500]  # fmt: skip
_NUMBER = re.compile(rb"[-+]?\d[\d.eE+-]*")


def damaged(
    content: bytes, others: Sequence[bytes], places: Sequence[int], rng: random.Random
) -> bytes:
    """One damaged copy.

    Parameters
    ----------
    others : files from which pieces are taken.
    places : where sizes, types and names stand; seven of ten changes are made near one.
    """
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 8))):
        if not out:
            break
        near = rng.choice(places) + rng.randint(-40, 40) if places and rng.random() < 0.7 else -1
        place = near if 0 <= near < len(out) else rng.randrange(len(out))
        kind = rng.random()
        if kind < 0.2:
            out[place] = rng.randrange(256)
        elif kind < 0.3:
            out[place] ^= 1 << rng.randrange(8)
        elif kind < 0.5:
            width = rng.choice((1, 2, 4, 8))
            order = rng.choice(("little", "big"))
            word = rng.choice(WORDS) & (1 << 8 * width) - 1
            out[place : place + width] = word.to_bytes(width, order)
        elif kind < 0.7:
            number = _NUMBER.search(out, place, place + 400)
            start, stop = number.span() if number else (place, place)
            out[start:stop] = rng.choice(TEXTS)
        elif kind < 0.8:
            del out[place : place + rng.choice((1, 2, 4, 20, 1000))]
        elif kind < 0.9:
            other = rng.choice(others)
            start = rng.randrange(len(other) or 1)
            out[place:place] = other[start : start + rng.choice((1, 4, 20, 40, 400, 5000))]
        elif kind < 0.95:
            piece = out[place : place + rng.choice((4, 40, 400))]
            out[place:place] = piece * rng.choice((1, 2, 50))
        else:
            del out[place:]
    return bytes(out)


def telling_places(content: bytes, signs: bytes) -> list[int]:
    """Places of a pattern, at most 5000 of them."""
    return [match.start() for match in re.finditer(signs, content)][:5000]


def type_places(content: bytes) -> list[int]:
    """Places in an XTC file that look like the type of an object."""
    words = np.frombuffer(content[: len(content) // 4 * 4], "<u4")
    return (4 * np.flatnonzero(np.isin(words >> 16, [1, 2, 0x8002, 5]))[:5000]).tolist()
