"""Reading a pickle as data: a small machine that knows a few opcodes and runs no code.

The machine builds tuples, lists, numbers and texts, and *records* what a pickle would call
(`Call`) instead of calling it. Only the names in `ALLOWED` may be mentioned. Opcodes and their
arguments are those of Python's ``pickletools`` documentation (protocols 0 to 5). Texts that
Python 2 wrote as ``str`` come out as bytes.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FLEX = "scitbx_array_family_flex_ext"
ALLOWED = {f"{FLEX} bool", f"{FLEX} grid", "_codecs encode"}


class PickleRefused(Exception):
    """The pickle holds something a mask never does; the message says what."""


@dataclass(frozen=True)
class Name:
    """A name the pickle mentions."""

    text: str


@dataclass(eq=False)
class Call:
    """What the pickle would call: `name` with `arguments`; `state` is what BUILD gives it."""

    name: str
    arguments: tuple
    state: Any = None


class _Mark:
    pass


_MARK = _Mark()
_FIXED: dict[int, tuple[str, Callable[[Any], Any]]] = {
    ord("J"): ("<i", int),
    ord("K"): ("<B", int),
    ord("M"): ("<H", int),
}
_SIZED: dict[int, tuple[str, str]] = {  # opcode: size of the size, kind of the content
    ord("U"): ("<B", "bytes"),
    ord("T"): ("<i", "bytes"),
    ord("C"): ("<B", "bytes"),
    ord("B"): ("<I", "bytes"),
    0x8E: ("<Q", "bytes"),
    0x96: ("<Q", "bytes"),
    0x8C: ("<B", "text"),
    ord("X"): ("<I", "text"),
    0x8D: ("<Q", "text"),
    0x8A: ("<B", "long"),
    0x8B: ("<i", "long"),
}
_CONSTANTS: dict[int, Any] = {ord("N"): None, 0x88: True, 0x89: False}
_MAX_DIGITS = 40


class Machine:
    """Interpreter of one pickle held in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Give the object the pickle describes.

        Raises
        ------
        PickleRefused
            If it is truncated, malformed, or mentions anything but what a mask needs.
        """
        while True:
            code = self._take(1)[0]
            if code == ord("."):
                return self._pop()
            self._step(code)

    def _step(self, code: int) -> None:
        if code in _FIXED:
            layout, convert = _FIXED[code]
            self.stack.append(convert(self._number(layout)))
        elif code in _SIZED:
            layout, kind = _SIZED[code]
            self.stack.append(self._content(self._take(self._number(layout)), kind))
        elif code in _CONSTANTS:
            self.stack.append(_CONSTANTS[code])
        elif code == 0x80:
            if self._number("<B") > 5:
                raise PickleRefused("it is of a pickle protocol newer than 5")
        elif code == 0x95:
            self._take(8)  # a frame's size: the frame's content follows as usual
        elif code == ord("c"):
            self._name(self._text(self._line()), self._text(self._line()))
        elif code == 0x93:
            name, module = self._pop(), self._pop()
            self._name(module, name)
        elif code == ord("R"):
            arguments, name = self._pop(), self._pop()
            self.stack.append(self._call(name, arguments))
        elif code == ord("b"):
            state, target = self._pop(), self._top()
            if not isinstance(target, Call):
                raise PickleRefused("it gives a state to something that is no array")
            target.state = state
        else:
            self._containers_and_memo(code)

    def _containers_and_memo(self, code: int) -> None:
        if code == ord("("):
            self.stack.append(_MARK)
        elif code == ord(")"):
            self.stack.append(())
        elif code == ord("]"):
            self.stack.append([])
        elif code == ord("t"):
            self.stack.append(tuple(self._since_mark()))
        elif code == ord("l"):
            self.stack.append(self._since_mark())
        elif code in (0x85, 0x86, 0x87):
            items = [self._pop() for _ in range(code - 0x84)]
            self.stack.append(tuple(reversed(items)))
        elif code in (ord("a"), ord("e")):
            items = [self._pop()] if code == ord("a") else self._since_mark()
            if not isinstance(self._top(), list):
                raise PickleRefused("it appends to something that is no list")
            self._top().extend(items)
        elif code == ord("0"):
            self._pop()
        elif code == ord("1"):
            self._since_mark()
        elif code == ord("2"):
            self.stack.append(self._top())
        elif code in (ord("p"), ord("q"), ord("r"), 0x94):
            self.memo[self._index(code)] = self._top()
        elif code in (ord("g"), ord("h"), ord("j")):
            index = self._index(code)
            if index not in self.memo:
                raise PickleRefused("it refers to something it never stored")
            self.stack.append(self.memo[index])
        elif code in (ord("I"), ord("L")):
            self.stack.append(self._decimal(self._line(), bool_allowed=code == ord("I")))
        elif code == ord("S"):
            line = self._line()
            if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
                raise PickleRefused("it holds a text without quotes")
            self.stack.append(codecs.escape_decode(line[1:-1])[0])
        elif code == ord("V"):
            self.stack.append(self._line().decode("raw-unicode-escape"))
        else:
            raise PickleRefused(
                f"it uses the pickle operation {chr(code)!r}, which no mask needs"
                if 32 <= code < 127
                else f"it uses the pickle operation {code:#04x}, which no mask needs"
            )

    def _name(self, module: Any, name: Any) -> None:
        full = f"{module} {name}"
        if full not in ALLOWED:
            raise PickleRefused(f"it would call {module}.{name}, which no mask needs"[:200])
        self.stack.append(Name(full))

    def _call(self, name: Any, arguments: Any) -> Any:
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            raise PickleRefused("it calls something that is no known name")
        if name.text != "_codecs encode":
            return Call(name.text.split()[1], arguments)
        match arguments:
            case (str() as text, "latin1" | "latin-1" | b"latin1"):
                try:
                    return text.encode("latin-1")
                except UnicodeEncodeError as error:
                    raise PickleRefused("it holds bytes above 255") from error
            case ():
                return b""
        raise PickleRefused("it encodes a text in a way no mask needs")

    def _take(self, size: int) -> bytes:
        if size < 0:
            raise PickleRefused(f"it claims a negative size ({size})")
        end = self.position + size
        if end > len(self.data):
            left = len(self.data) - self.position
            raise PickleRefused(f"it is truncated: {size} bytes are announced, {left} are left")
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def _number(self, layout: str) -> int:
        return int(struct.unpack(layout, self._take(struct.calcsize(layout)))[0])

    def _line(self) -> bytes:
        end = self.data.find(b"\n", self.position)
        if end < 0:
            raise PickleRefused("it is truncated in a line")
        line = self.data[self.position : end]
        self.position = end + 1
        return line

    def _index(self, code: int) -> int:
        if code == 0x94:
            return len(self.memo)
        if code in (ord("p"), ord("g")):
            return self._decimal(self._line())
        return self._number("<B" if code in (ord("q"), ord("h")) else "<I")

    @staticmethod
    def _decimal(line: bytes, bool_allowed: bool = False) -> int:
        if bool_allowed and line in (b"00", b"01"):
            return line == b"01"
        text = line[:-1] if line.endswith(b"L") else line
        if len(text) > _MAX_DIGITS or not text.lstrip(b"-").isdigit():
            raise PickleRefused("it holds a malformed number")
        try:
            return int(text)
        except ValueError as error:
            raise PickleRefused("it holds a malformed number") from error

    @staticmethod
    def _text(line: bytes) -> str:
        return line.decode("ascii", "backslashreplace")

    @staticmethod
    def _content(piece: bytes, kind: str) -> Any:
        if kind == "bytes":
            return piece
        if kind == "long":
            if len(piece) > 16:
                raise PickleRefused("it holds a number of more than 128 bits")
            return int.from_bytes(piece, "little", signed=True)
        try:
            return piece.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise PickleRefused("it holds a text that is not UTF-8") from error

    def _top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise PickleRefused("its operations do not fit together")
        return self.stack[-1]

    def _pop(self) -> Any:
        item = self._top()
        self.stack.pop()
        return item

    def _since_mark(self) -> list[Any]:
        items: list[Any] = []
        while self.stack:
            item = self.stack.pop()
            if item is _MARK:
                return items[::-1]
            items.append(item)
        raise PickleRefused("its operations do not fit together")
