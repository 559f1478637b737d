"""The pickles of CIFAR batches, read opcode by opcode: nothing in them is ever called, and memory stays bounded.

What Python's own unpickler would do for hostile bytes (call what they name, reserve what they announce, hash and print
what they nest) cannot happen, because it is not used. A batch needs about thirty opcodes and seven names of numpy; all
others are refused.
"""

import pickletools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPCODE_LIMIT = 2_000_000  # 50,000 labels written as numpy numbers take about a million
MARK_LIMIT = 16  # a batch opens three
VALUES = (
    "BININT", "BININT1", "BININT2", "LONG1", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
)  # fmt: skip
EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
}
FIXED_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
NUMBERS = re.compile(r"[|<>=]?[iu][1248]")


class PickleError(ValueError):
    """The bytes are not a pickle that a CIFAR batch could be."""


def read_pickle(content: bytes) -> dict[str, Any]:
    """The dictionary in `content`; arrays of numpy are `StoredArray`, numbers of numpy are numbers.

    Protocols 2 to 5. Strings of Python 2 come as text of one character a byte.

    Raises:
        PickleError: any other opcode, name or structure than a CIFAR batch has.
        ValueError: truncated or damaged.
    """
    reader = _Reader(len(content))
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if count >= OPCODE_LIMIT:
            raise PickleError(f"more than {OPCODE_LIMIT} instructions")
        reader.take(opcode.name, argument)
    if len(reader.stack) != 1 or not isinstance(reader.stack[0], dict):
        raise PickleError("it does not hold a dictionary")
    return reader.stack[0]


class _Name(str):
    """A global name, such as numpy.dtype; it stays a name."""


class _Dtype:
    """What a pickle says of numpy.dtype: the code of a type of integers, and its byte order."""

    def __init__(self, code: object, *_: object) -> None:
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(code, str) or not NUMBERS.fullmatch(code):
            raise PickleError(f"array of type {_shown(code)}; only integers are accepted")
        self.type = np.dtype(code)

    def build(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        order = order.decode("latin1") if isinstance(order, bytes) else order
        if not isinstance(order, str) or order not in ("<", ">", "|", "="):
            raise PickleError("array of a type with an unknown byte order")
        self.type = np.dtype(f"{order}{self.type.kind}{self.type.itemsize}")


class StoredArray:
    """What a pickle says of an array of numpy.

    Attributes:
        value: the array, once its bytes have come.
    """

    value: NDArray[Any]

    def fill(self, shape: object, dtype: object, order: str, raw: bytes | bytearray) -> "StoredArray":
        if not isinstance(shape, tuple) or not 1 <= len(shape) <= 2 or any(type(size) is not int for size in shape):
            raise PickleError("array of more than two dimensions, or of a damaged shape")
        if not isinstance(dtype, _Dtype):
            raise PickleError("array without a type")
        self.value = np.frombuffer(raw, dtype=dtype.type).reshape(shape, order="F" if order == "F" else "C")
        return self


class _Reader:
    """The stack, marks and memo of a pickle while it is read.

    Args:
        size: bytes of the pickle; text turned into bytes may take as many once more, not more often.
    """

    def __init__(self, size: int) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks under the open marks
        self.memo: dict[int, Any] = {}  # a mapping: an index costs nothing, however large
        self.left = size
        self.calls: dict[str, Callable[..., Any]] = {"_codecs.encode": self._encode, "numpy.dtype": _Dtype}
        for module in ("numpy.core", "numpy._core"):
            self.calls |= {
                f"{module}.multiarray._reconstruct": lambda *_: StoredArray(),
                f"{module}.multiarray.scalar": self._scalar,
                f"{module}.numeric._frombuffer": self._from_buffer,
            }

    def take(self, name: str, argument: Any) -> None:
        """Follow one instruction."""
        if name in VALUES:
            self.stack.append(argument)
        elif name in EMPTY:
            self.stack.append(EMPTY[name]())
        elif name == "MARK":
            if len(self.below) == MARK_LIMIT:
                raise PickleError(f"more than {MARK_LIMIT} open marks")
            self.below.append(self.stack)
            self.stack = []
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in FIXED_TUPLES:
            self.stack.append(tuple(self._pop(FIXED_TUPLES[name])))
        elif name == "TUPLE":
            items = tuple(self._since_mark())
            self.stack.append(items)
        elif name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS"):
            self._fill(name)
        elif name in ("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"):
            self._construct(name, argument)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise PickleError(f"the instruction {name} is in no CIFAR batch")

    def _fill(self, name: str) -> None:
        if name in ("APPEND", "APPENDS"):
            items = self._since_mark() if name == "APPENDS" else self._pop(1)
            if not isinstance(self.stack[-1], list):
                raise PickleError("entries of what is no list")
            self.stack[-1].extend(items)
            return
        items = self._since_mark() if name == "SETITEMS" else self._pop(2)
        if not isinstance(self.stack[-1], dict):
            raise PickleError("keys of what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            key = key.decode("latin1") if isinstance(key, bytes) else key
            if not isinstance(key, str):  # hashing nested tuples takes time without bound
                raise PickleError("a key that is no string")
            self.stack[-1][key] = value

    def _construct(self, name: str, argument: Any) -> None:
        if name == "GLOBAL":
            self.stack.append(self._known(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            self.stack.append(self._known(*self._pop(2)))
        elif name == "REDUCE":
            function, arguments = self._pop(2)
            if not isinstance(function, _Name) or function not in self.calls or not isinstance(arguments, tuple):
                raise PickleError("a call of what is no function")
            self.stack.append(self.calls[function](*arguments))
        else:
            (state,) = self._pop(1)
            if isinstance(self.stack[-1], StoredArray) and isinstance(state, tuple) and len(state) == 5:
                _, shape, dtype, fortran, raw = state
                self.stack[-1].fill(shape, dtype, "F" if fortran is True else "C", self._bytes(raw))
            elif isinstance(self.stack[-1], _Dtype):
                self.stack[-1].build(state)
            else:
                raise PickleError("a state of what has none")

    def _known(self, module: object, name: object) -> _Name:
        full = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else ""
        if full not in self.calls and full != "numpy.ndarray":
            raise PickleError(f"it asks for {_shown(full)}")
        return _Name(full)

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise PickleError("an instruction without its arguments")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def _since_mark(self) -> list[Any]:
        taken, self.stack = self.stack, self.below.pop()
        return taken

    def _bytes(self, raw: object) -> bytes | bytearray:
        if isinstance(raw, str):
            self.left -= len(raw)
            if self.left < 0:
                raise PickleError("more text than it has bytes")
            return raw.encode("latin1")
        if not isinstance(raw, bytes | bytearray):
            raise PickleError("array without its bytes")
        return raw

    def _encode(self, text: object, encoding: object) -> bytes | bytearray:
        if encoding not in ("latin1", "latin-1"):
            raise PickleError("text in another encoding than latin1")
        return self._bytes(text)

    def _scalar(self, dtype: object, raw: object) -> int:
        return int(StoredArray().fill((1,), dtype, "C", self._bytes(raw)).value[0])

    def _from_buffer(self, raw: object, dtype: object, shape: object, order: object) -> StoredArray:
        return StoredArray().fill(shape, dtype, "F" if order == "F" else "C", self._bytes(raw))


def _shown(value: object) -> str:
    """At most the beginning of a string; nothing else is printed, since printing nested lists has no bound."""
    return repr(value[:100]).strip("'") if isinstance(value, str) else f"a {type(value).__name__}"
