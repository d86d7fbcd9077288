"""A fingerprint of a task's code, so that one generation never mixes rows of old and changed code."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from types import CodeType
from typing import Any

import msgspec

from parbake.protocol.control import Control
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import Task
from parbake.values.codecs import Codec
from parbake.values.codecs.wire_shape import wire_text


def fingerprint(functions: Iterable[Callable[..., Any]], types: Iterable[tuple[Any, Sequence[Codec]]] = ()) -> bytes:
    """Eight bytes that change with the code of any of the functions, nested ones included, and with any of the types.

    Each type comes with the codecs that store its values.

    Functions that they call, and the data that they read, are not part of it. It differs between minor versions of
    Python.
    """
    digest = blake2b(digest_size=8)
    for function in functions:
        for part in _of(function):
            digest.update(part.encode() + b"\0")
    for kind, codecs in types:
        digest.update(_shape(kind, codecs).encode() + b"\0")
    return digest.digest()


@functools.lru_cache(1024)
def code_of(task: Task) -> bytes:
    """The fingerprint of a task's own code, as its generations keep it."""
    return fingerprint((task.fn,))


def is_of_other_code(bound: BoundTask, control: Control) -> bool:
    """Whether the code that built a task's current generation differs from the code of this process."""
    pointer = control.pointers.get(bound.ref)
    return pointer is not None and bool(pointer.code) and pointer.code != code_of(bound.task)


def _shape(kind: Any, codecs: Sequence[Codec]) -> str:
    """Describe a type's values: its JSON schema (JSON Schema 2020-12) or, without one, the shape of the stored form."""
    try:
        return msgspec.json.encode(msgspec.json.schema(kind), order="sorted").decode()
    except (TypeError, ValueError, RecursionError):
        return wire_text(kind, codecs)


def _of(function: Callable[..., Any]) -> Iterator[str]:
    while isinstance(function, functools.partial):
        yield repr((function.args, function.keywords))
        function = function.func
    function = inspect.unwrap(function)
    if not hasattr(function, "__code__"):  # an object that can be called
        function = type(function).__call__
    yield f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', '')}"
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType):
        yield from _instructions(code)


def _instructions(code: CodeType) -> Iterator[str]:
    """Yield the instructions without their line numbers, so that moving a function in its file changes nothing."""
    yield code.co_code.hex()
    yield repr((code.co_names, code.co_varnames, code.co_freevars))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _instructions(constant)
        else:
            yield _stable(constant)


def _stable(constant: object) -> str:
    """A constant's text, with sets sorted, because their order differs from process to process."""
    if isinstance(constant, frozenset):
        return repr(sorted(map(_stable, constant)))
    if isinstance(constant, tuple):
        return repr([_stable(item) for item in constant])
    return repr(constant)
