"""Tags: ``family/entity``, the any-change tag ``family/*`` and the bulk tag ``family``.

A change of one entity raises its own tag and ``family/*``. A bulk load raises ``family`` and ``family/*``. A value that
read one entity is bound by the entity's tag and ``family``. A value that depends on the whole set is bound by
``family/*``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from hashlib import blake2b
from string import Formatter
from urllib.parse import quote

from parbake.errors import BadInput, ContractError, DeclarationError

MAX_TAG_BYTES = 256
_MAX_FAMILY = MAX_TAG_BYTES - len("/*")
_MAX_ENTITY_BYTES = 200
"""A longer entity is replaced by its digest, so that every key has a tag."""
HASHED = "%h"
"""The prefix of a digest in place of an entity."""
_UNFIT = re.compile(r"[\s\x00-\x1f\x7f]")
_TAG = re.compile(r"[a-z][a-z0-9_.-]*(/[^\s\x00-\x1f\x7f]+)?")
_TYPES = ("changed", "created", "deleted", "bulk")


def family(tag: str) -> str:
    """The part before the first slash."""
    return tag.partition("/")[0]


def spelled(tag: str) -> str:
    """Spell a tag in the one way in which records and events name it, whoever wrote it.

    White space and control characters of the entity are percent-encoded, and an entity of more than 200 bytes is
    replaced by its digest. A tag that was spelled before stays as it is.
    """
    name, slash, entity = tag.partition("/")
    return f"{name}{slash}{spelled_entity(entity)}"


def spelled_entity(entity: str) -> str:
    """Spell the part of a tag behind its family; see :func:`spelled`."""
    if entity.isascii() and entity.isprintable() and " " not in entity and len(entity) <= _MAX_ENTITY_BYTES:
        return entity
    encoded = _UNFIT.sub(lambda found: quote(found[0], safe=""), entity)
    raw = encoded.encode(errors="surrogatepass")
    return HASHED + blake2b(raw, digest_size=32).hexdigest() if len(raw) > _MAX_ENTITY_BYTES else encoded


def is_family(name: object) -> bool:
    """Whether a value is a valid name of a tag family."""
    return isinstance(name, str) and _TAG.fullmatch(name) is not None and "/" not in name and len(name) <= _MAX_FAMILY


def family_names(names: Iterable[str], *, of: str) -> tuple[str, ...]:
    """The families of a source; raises :class:`DeclarationError` if they are not a list of family names."""
    found = (names,) if isinstance(names, str) else tuple(names)
    if isinstance(names, str) or not all(map(is_family, found)):
        raise DeclarationError(
            f"{of} has families={names!r}: write a list of families in small letters, such as ['policy']",
            field="families",
        )
    return found


def check_tag(tag: str, *, field: str = "tag") -> str:
    """Return the tag as it is spelled, or raise :class:`BadInput` that names ``field``."""
    found = spelled(tag) if isinstance(tag, str) else ""
    size = len(found.encode(errors="replace"))
    if not _TAG.fullmatch(found) or size > MAX_TAG_BYTES or len(family(found)) > _MAX_FAMILY:
        raise BadInput(
            f"{field}={repr(tag)[:80]} is not a tag: expected 'family' or 'family/entity', with a family of small "
            "letters, digits, '_', '.' and '-'",
            field=field,
        )
    return found


def raised_by(subject: str, event_type: str) -> tuple[str, ...]:
    """The tags that an event raises, from its CloudEvent ``subject`` and the last word of its ``type``."""
    kind = event_type.rpartition(".")[2]
    if kind not in _TYPES:
        raise BadInput(
            f"type={event_type[:80]!r} must end in one of {', '.join('.' + t for t in _TYPES)}", field="type"
        )
    subject = check_tag(subject, field="subject")
    name = family(subject)
    if kind == "bulk" or "/" not in subject or subject == f"{name}/*":
        return (name, f"{name}/*")
    return (subject, f"{name}/*")


def check_reported(subject: str, event_type: str, families: Collection[str], *, of: str) -> None:
    """Check that an event is one that its source reports, since any other would outdate nothing.

    Args:
        subject: The event's subject.
        event_type: Its type.
        families: The families that the source reports.
        of: The source, for the error.

    Raises:
        BadInput: The subject is not a tag or has another family, or the type is unknown.
    """
    name = family(raised_by(subject, event_type)[0])
    if name not in families:
        raise BadInput(
            f"emit({subject[:80]!r}): {of} does not report the family {name!r} (it reports {', '.join(families)}); "
            "correct it, or add it to the source's families",
            field="subject",
        )


def read_entity(tag: str) -> tuple[str, ...]:
    """The tags that bind a value that read one entity."""
    return (spelled(tag), family(tag))


def read_set(name: str) -> tuple[str, ...]:
    """The tags that bind a value that depends on a whole family."""
    return (f"{name}/*",)


def is_whole(tag: str) -> bool:
    """Whether a tag stands for a whole family: ``policy`` and ``policy/*``."""
    return tag in (family(tag), *read_set(family(tag)))


def named(tag: str) -> tuple[str, ...]:
    """The tags that bind a value whose task named a tag itself: an entity, or a family and therefore all of it."""
    tag = check_tag(tag)
    return read_set(family(tag)) if is_whole(tag) else read_entity(tag)


def placeholders(template: str) -> list[str]:
    """The names in a tag template: ``user/{user}`` -> ``["user"]``.

    Raises :class:`ContractError` if it is malformed.
    """
    try:
        return [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ContractError(
            f"invalidated_by: {template!r} is not a tag template ({error})", field="invalidated_by"
        ) from error


def key_from_tag(template: str, tag: str) -> str | None:
    """The key in a raised tag, for a template with one placeholder at its end; ``None`` if the tag does not match."""
    prefix, brace, _ = template.partition("{")
    if not brace or not tag.startswith(prefix) or tag.endswith("/*"):
        return None
    return tag[len(prefix) :] or None
