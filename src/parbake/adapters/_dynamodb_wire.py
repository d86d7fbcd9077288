"""Items and transaction actions in DynamoDB's wire format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from parbake.adapters._dynamodb_layout import Manifest, Place


class StoredItem(msgspec.Struct, frozen=True):
    """An item: its value, or the manifest of a large value."""

    place: Place
    value: bytes | None
    manifest: Manifest | None


class Check(msgspec.Struct, frozen=True):
    """The expected state of an item: absent, a value, or a manifest."""

    value: bytes | None = None
    manifest: Manifest | None = None


class ItemChange(msgspec.Struct, frozen=True):
    """One item of a transaction: its expected state (any if there is no check), and what is written."""

    place: Place
    check: Check | None = None
    is_written: bool = False
    value: bytes | None = None
    manifest: Manifest | None = None


def key_of(place: Place) -> dict[str, Any]:
    """The key of an item."""
    return {"p": {"B": place.p}, "k": {"B": place.k}}


def item_of(place: Place, value: bytes | Manifest) -> dict[str, Any]:
    """An item to put."""
    if isinstance(value, Manifest):
        return {**key_of(place), "m": {"B": msgspec.msgpack.encode(value)}}
    return {**key_of(place), "v": {"B": value}}


def found_in(item: Mapping[str, Any]) -> StoredItem:
    """Decode an item from an answer."""
    manifest = msgspec.msgpack.decode(bytes(item["m"]["B"]), type=Manifest) if "m" in item else None
    value = bytes(item["v"]["B"]) if "v" in item else None
    return StoredItem(Place(bytes(item["p"]["B"]), bytes(item["k"]["B"])), value, manifest)


def action_of(table: str, change: ItemChange) -> dict[str, Any]:
    """One action of a transaction."""
    kind: dict[str, Any] = {"TableName": table}
    if change.check is not None:
        kind |= _condition(change.check)
    if not change.is_written:
        return {"ConditionCheck": {**kind, "Key": key_of(change.place)}}
    new = change.value if change.manifest is None else change.manifest
    if new is None:
        return {"Delete": {**kind, "Key": key_of(change.place)}}
    return {"Put": {**kind, "Item": item_of(change.place, new)}}


def _condition(check: Check) -> dict[str, Any]:
    if check.manifest is not None:
        raw = msgspec.msgpack.encode(check.manifest)
        return {"ConditionExpression": "m = :m", "ExpressionAttributeValues": {":m": {"B": raw}}}
    if check.value is not None:
        return {"ConditionExpression": "v = :v", "ExpressionAttributeValues": {":v": {"B": check.value}}}
    return {"ConditionExpression": "attribute_not_exists(p)"}
