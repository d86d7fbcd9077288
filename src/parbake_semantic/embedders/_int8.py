"""Make a model with int8 weights multiply in int8, too, without a library for ONNX files.

Such a file converts its weights to float32 before each product: ``MatMul(x, Cast(weights) * scale)``.
``DynamicQuantizeMatMul`` of onnxruntime takes the same weights and scales, and quantizes ``x`` at run time. The file is
a protocol buffer; the numbers below are those of its fields in ``onnx.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_GRAPH, _OPERATORS = 7, 8  # of the model
_DOMAIN, _VERSION = 1, 2  # of a set of operators
_NODE, _INITIALIZER = 1, 5  # of the graph
_INPUT, _OUTPUT, _OPERATOR, _NODE_DOMAIN = 1, 2, 4, 7  # of a node
_DIMENSION, _NAME = 1, 8  # of an initializer
_VARINT, _DELIMITED = 0, 2  # how a field is encoded; the other two have a fixed size in bytes
_FIXED = {1: 8, 5: 4}
_MICROSOFT = b"com.microsoft"


class WireField(NamedTuple):
    """One field: its number, its value (empty for a number), and its complete encoding."""

    number: int
    value: bytes
    encoded: bytes


class Node(NamedTuple):
    """One operation with its inputs and outputs."""

    operator: bytes
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]


def multiply_in_int8(model: bytes) -> bytes:
    """Return the model with all suitable products in int8; raises :class:`ValueError` if there is none."""
    parts = list(_fields(model))
    graph = list(_fields(next(part.value for part in parts if part.number == _GRAPH)))
    nodes = [_node(part.value) for part in graph if part.number == _NODE]
    kept = {_name(part.value) for part in graph if part.number == _INITIALIZER}
    made_by = {output: node for node in nodes for output in node.outputs}
    products = {node.outputs: found for node in nodes if (found := _in_int8(node, made_by, kept)) is not None}
    if not products:
        raise ValueError("no product of the model has int8 weights")
    operators = _delimited(_OPERATORS, _delimited(_DOMAIN, _MICROSOFT) + _number(_VERSION, 1))
    changed = _delimited(_GRAPH, b"".join(_changed(graph, products)))
    return b"".join(changed if part.number == _GRAPH else part.encoded for part in parts) + operators


def _in_int8(node: Node, made_by: dict[bytes, Node], kept: set[bytes]) -> Node | None:
    """The product in int8, if its second factor is made from weights and a scale that are in the file."""
    scaled = made_by.get(node.inputs[1]) if node.operator == b"MatMul" else None
    if scaled is None or scaled.operator != b"Mul":
        return None
    widened, scale = made_by.get(scaled.inputs[0]), scaled.inputs[1]
    if widened is None or widened.operator != b"Cast" or not kept.issuperset((*widened.inputs, scale)):
        return None
    return Node(b"DynamicQuantizeMatMul", (node.inputs[0], *widened.inputs, scale), node.outputs)


def _changed(graph: list[WireField], products: dict[tuple[bytes, ...], Node]) -> Iterator[bytes]:
    """The graph's fields with replaced products; a scale of the shape (1, n) becomes one of (n)."""
    scales = {product.inputs[2] for product in products.values()}
    for part in graph:
        product = products.get(_node(part.value).outputs) if part.number == _NODE else None
        if product is not None:
            yield _delimited(_NODE, _encoded(product))
        elif part.number == _INITIALIZER and _name(part.value) in scales:
            fields = list(_fields(part.value))
            last = [field.encoded for field in fields if field.number == _DIMENSION][-1]
            rest = (field.encoded for field in fields if field.number != _DIMENSION)
            yield _delimited(_INITIALIZER, b"".join((last, *rest)))
        else:
            yield part.encoded


def _node(message: bytes) -> Node:
    found: dict[int, list[bytes]] = {_INPUT: [], _OUTPUT: [], _OPERATOR: []}
    for field in _fields(message):
        if field.number in found:
            found[field.number].append(field.value)
    return Node(found[_OPERATOR][0], tuple(found[_INPUT]), tuple(found[_OUTPUT]))


def _encoded(node: Node) -> bytes:
    inputs = [_delimited(_INPUT, name) for name in node.inputs]
    outputs = [_delimited(_OUTPUT, name) for name in node.outputs]
    return b"".join((*inputs, *outputs, _delimited(_OPERATOR, node.operator), _delimited(_NODE_DOMAIN, _MICROSOFT)))


def _name(initializer: bytes) -> bytes:
    return next((field.value for field in _fields(initializer) if field.number == _NAME), b"")


def _fields(message: bytes) -> Iterator[WireField]:
    """The fields of a message, in order."""
    at = 0
    while at < len(message):
        begin = at
        tag, at = _read(message, at)
        if tag & 7 == _DELIMITED:
            size, at = _read(message, at)
            value = message[at : at + size]
            at += size
        else:
            value = b""
            at = _read(message, at)[1] if tag & 7 == _VARINT else at + _FIXED[tag & 7]
        yield WireField(tag >> 3, value, message[begin:at])


def _read(message: bytes, at: int) -> tuple[int, int]:
    """Decode a number of seven bits per byte, lowest first, and return it with the position after it."""
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:  # noqa: PLR2004  # the eighth bit says that more bytes follow
            return number, at


def _written(number: int) -> bytes:
    written = bytearray()
    while number > 127:  # noqa: PLR2004  # as above
        written.append(number & 127 | 128)
        number >>= 7
    written.append(number)
    return bytes(written)


def _number(field: int, number: int) -> bytes:
    return _written(field << 3 | _VARINT) + _written(number)


def _delimited(field: int, value: bytes) -> bytes:
    return _written(field << 3 | _DELIMITED) + _written(len(value)) + value
