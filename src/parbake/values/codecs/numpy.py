"""Arrays and numbers of numpy, stored bit by bit.

An array is a msgpack extension: its type, its shape and a line feed, then its elements in C order. A number is a
msgpack number.
"""

from __future__ import annotations

import math
import re
import sys
import typing
from typing import TYPE_CHECKING, Any

from msgspec.msgpack import Ext

ARRAY = 78
"""The code of the msgpack extension for arrays."""

if TYPE_CHECKING:
    import numpy as np

_HEAD = re.compile(rb"([<>|][a-zA-Z]\d+(?:\[\w+\])?)((?: \d+)*)\n")
_STORED = "biufcmMSU"
"""numpy's kinds of elements that are stored as their bytes; objects and records are excluded."""
_NUMBERS = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float)}
_MAX_NUMBER = 8
"""Size of the longest number that can be stored, in bytes; longer ones have no plain form."""


class NumpyCodec:
    """The codec for ``ndarray`` and for numbers such as ``numpy.float32``.

    Stored arrays are read-only when read back.
    """

    def handles(self, kind: Any, /) -> bool:
        """Whether it is the array class or a number of up to eight bytes.

        Subclasses of arrays contain more than elements.
        """
        import numpy as np

        if not isinstance(kind, type):
            return False
        return kind is np.ndarray or (kind in np.sctypeDict.values() and _is_number(np.dtype(kind)))

    def to_plain(self, value: Any, /) -> Any:
        """Convert an array to a header and its bytes, or a number to a plain number.

        Raises :class:`TypeError` for other arrays.
        """
        import numpy as np

        if isinstance(value, np.generic):
            return value.item()
        _check(value.dtype)
        if hasattr(value, "mask"):
            raise TypeError("a masked array cannot be stored: fill it, or store the mask separately")
        head = " ".join([value.dtype.str, *map(str, value.shape)])
        return Ext(ARRAY, head.encode() + b"\n" + value.tobytes())

    def from_plain(self, kind: Any, plain: Any, /) -> Any:
        """Convert back to an array (C order, read-only) or a number; raises if it does not have the annotated type."""
        import numpy as np

        if isinstance(kind, type) and issubclass(kind, np.generic):
            return _number(kind, plain)
        if not isinstance(plain, Ext) or plain.code != ARRAY:
            raise ValueError(f"expected an array, got {type(plain).__name__}")
        array, wanted = _read_array(bytes(plain.data)), _element(kind)
        if wanted is not None and not _is_of(array.dtype, wanted):
            raise ValueError(f"expected an array of {wanted.__name__}, got one of {array.dtype.name}")
        return array

    def shape(self, kind: Any, /) -> str:
        """``ndarray``, with the element type if it is annotated; or a number's type, such as ``f4``."""
        import numpy as np

        if isinstance(kind, type) and issubclass(kind, np.generic):
            return _short(np.dtype(kind))
        wanted = _element(kind)
        if wanted is None:
            return "ndarray"
        if wanted not in np.sctypeDict.values():
            return f"ndarray {wanted.__name__}"
        _check(np.dtype(wanted))
        return f"ndarray {_short(np.dtype(wanted))}"

    def to_json(self, value: Any, /) -> Any:
        """Numbers as numbers, in lists nested like the array; times and complex numbers as text."""
        return (value.astype(str) if value.dtype.kind in "cmM" else value).tolist()


def _read_array(data: bytes) -> Any:
    """Decode an extension's bytes into an array that owns its memory; raises :class:`ValueError` for other bytes."""
    import numpy as np

    head = _HEAD.match(data)
    if head is None:
        raise ValueError("these bytes are not an array")
    dtype, sides = np.dtype(head[1].decode()), tuple(map(int, head[2].split()))
    _check(dtype)
    elements = data[head.end() :]
    if math.prod(sides) * dtype.itemsize != len(elements):
        raise ValueError(f"an array of {sides} has {len(elements)} bytes")
    return np.frombuffer(elements, dtype).reshape(sides)


def numbers(data: bytes, most: int) -> list[float]:
    """Up to ``most`` numbers of a stored array, preceded by one that is not finite, if there is any."""
    if "numpy" not in sys.modules:
        return []
    import numpy as np

    try:
        array = _read_array(data).ravel()
    except (TypeError, ValueError):
        return []
    if array.dtype.kind == "c":
        array = array.view(array.real.dtype)
    if array.dtype.kind not in "fiu":
        return []
    odd = array[~np.isfinite(array)][:1]
    return [*odd.tolist(), *array[:most].tolist()]


def _check(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in _STORED:
        raise TypeError(
            f"an array of {dtype.name} cannot be stored: use an array of numbers, times or text of a fixed length"
        )


def _element(kind: Any) -> type[np.generic] | None:
    """The element type in an annotation such as ``NDArray[np.float32]``."""
    import numpy as np

    given = typing.get_args(kind)
    inner = typing.get_args(given[1]) if len(given) > 1 else ()
    found = typing.get_origin(inner[0]) or inner[0] if inner else None
    return found if isinstance(found, type) and issubclass(found, np.generic) and found is not np.generic else None


def _is_of(dtype: np.dtype[Any], wanted: type[np.generic]) -> bool:
    """Whether the type is the annotated one; two names of one number type, such as ``longlong``, are the same."""
    import numpy as np

    if issubclass(dtype.type, wanted):
        return True
    return wanted in np.sctypeDict.values() and _is_number(dtype) and _short(dtype) == _short(np.dtype(wanted))


def _is_number(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in _NUMBERS and dtype.itemsize <= _MAX_NUMBER


def _short(dtype: np.dtype[Any]) -> str:
    """Kind and size, such as ``f4`` or ``i8``; times and texts have no size of their own in an annotation."""
    return f"{dtype.kind}{dtype.itemsize}" if dtype.kind in "biufc" else dtype.kind


def _number(kind: type[np.generic], plain: Any) -> Any:
    import numpy as np

    if type(plain) not in _NUMBERS[np.dtype(kind).kind]:
        raise ValueError(f"expected a number for {kind.__name__}, got {type(plain).__name__}")
    with np.errstate(over="ignore"):
        found: Any = kind(plain)
    if np.isinf(found) and not math.isinf(plain):
        raise ValueError(f"{plain!r} is too large for {kind.__name__}")
    return found
