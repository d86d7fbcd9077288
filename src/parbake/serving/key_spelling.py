"""Whether the tags that a contract's templates name for a key are those that a database raises for the rows it read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parbake.errors import DeclarationError
from parbake.ports.row_keys import KeyLookup, kind_of_key, misnamed, misnamed_by_all
from parbake.protocol.recording import Recording
from parbake.protocol.tags import family, placeholders
from parbake.serving.bound import BoundTask


def check_key_spelling(bound: BoundTask, keys: Sequence[Any], recording: Recording) -> None:
    """Check the tags of templates against the rows and the columns that a computation has read.

    Args:
        bound: The task.
        keys: The keys that were computed.
        recording: What was read.

    Raises:
        DeclarationError: The key is of another type than the column that triggers spell, or finds rows that are spelled
            otherwise.
    """
    for template in bound.key_templates if keys else ():
        for lookup in recording.lookups.values():
            if family(template) in lookup.families:
                _check(bound, template, keys, lookup)


def _check(bound: BoundTask, template: str, keys: Sequence[Any], lookup: KeyLookup) -> None:
    kinds = lookup.columns.sole_kinds(family(template))
    is_whole = template.partition("/")[2] == "{" + placeholders(template)[0] + "}"
    key = keys[0]
    if is_whole and kinds and (wrong := [kind for kind in kinds if kind != kind_of_key(key)]):
        raise DeclarationError(
            f"invalidated_by={template!r} names a key of type {type(key).__name__}, and triggers spell the tag from a "
            f"column of type {wrong[0]}: give the key the type of the column",
            field="invalidated_by",
        )
    tags = [template.format_map(bound.names(key)) for key in keys]
    compare = misnamed if len(tags) == 1 else misnamed_by_all
    if problem := compare(tags, lookup.queries, lookup.columns):
        raise DeclarationError(
            f"invalidated_by={template!r} {problem}: a change of the row would not outdate it. Select the column of "
            "the key, compare it with the key by '=' and with its type, or fence the whole family",
            field="invalidated_by",
        )
