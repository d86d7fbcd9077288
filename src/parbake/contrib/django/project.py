"""What the setting ``PARBAKE`` of a project says, and Django's checks of it.

::

    PARBAKE = {
        "store": "lmdb:///var/lib/shop/parbake",
        "capture": {"shop.Policy": ["policy/{id}"]},
        "families": ["rate"],  # raised by parbake.contrib.django.touch
        "keep": "30 days",     # entries without a timeout are swept after this time
    }
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import connections, router

from parbake.errors import ParbakeError
from parbake.protocol.tags import is_family
from parbake.stores import open_store
from parbake.values.duration import seconds
from parbake_capture.tables import Captured, parsed, pieces

_DEFAULTS: Mapping[str, Any] = {"store": "memory://", "capture": {}, "families": (), "keep": "30d"}
_WHOLE = {"AutoField", "BigAutoField", "SmallAutoField", "IntegerField", "BigIntegerField", "SmallIntegerField",
          "PositiveIntegerField", "PositiveBigIntegerField", "PositiveSmallIntegerField"}  # fmt: skip
_TEXTS = {"CharField", "TextField", "SlugField", "FilePathField", "DateField"}
_PLAIN = {"postgresql": _WHOLE | _TEXTS | {"UUIDField"}, "sqlite": _WHOLE | _TEXTS}
"""The fields whose text is the same in the database and in Python. SQLite keeps a UUID without its hyphens."""


_MIDDLEWARE = "parbake.contrib.django.middleware.FencedRequests"


class Capturing(NamedTuple):
    """A model's table on the database that the router writes to, with the templates of its tags."""

    alias: str
    name: str
    table: Captured


class _Wrong(Exception):
    """What is wrong with one entry, by the number of its check."""

    def __init__(self, number: str, said: str, hint: str = "") -> None:
        super().__init__(said)
        self.message = checks.Error(said, hint=hint or None, id=f"parbake.{number}")


def told(name: str) -> Any:
    """Return an entry of ``PARBAKE``, or its default."""
    return getattr(settings, "PARBAKE", {}).get(name, _DEFAULTS[name])


def captured(alias: str = "") -> list[Capturing]:
    """Return the captured models of a database, or of all.

    Raises :class:`ImproperlyConfigured` for an entry that cannot be captured.
    """
    try:
        found = [_capturing(label, tags) for label, tags in told("capture").items()]
    except _Wrong as error:
        raise ImproperlyConfigured(str(error)) from error
    return [each for each in found if alias in ("", each.alias)]


@functools.cache
def aliases() -> tuple[str, ...]:
    """Return the databases with captured models."""
    return tuple(dict.fromkeys(each.alias for each in captured()))


@functools.cache
def identity() -> str:
    """Return what tells the databases of this project from others that share its store, such as those of tests."""
    places = [connections[alias].settings_dict for alias in aliases()]
    names = [
        f"{place['HOST']}:{place['PORT']}/{place['NAME']}?{place['OPTIONS'].get('service', '')}" for place in places
    ]
    return blake2b("\n".join(names).encode(), digest_size=4).hexdigest()


def source_name(alias: str) -> str:
    """Return the name of a database as a source of the store."""
    return f"{alias}.{identity()}"


def is_polled(alias: str) -> bool:
    """Whether a poller can reach a database: one that SQLite keeps in memory has a single connection."""
    connection = connections[alias]
    return connection.vendor != "sqlite" or not connection.is_in_memory_db()


def check(**_: Any) -> list[checks.CheckMessage]:
    """Check ``PARBAKE``; Django calls it with each command."""
    try:
        _check_form()
    except _Wrong as error:
        return [error.message]
    return [*_wrong_entries(), *_wrong_store(), *_wrong_middleware()]


def _wrong_store() -> Iterator[checks.CheckMessage]:
    try:
        open_store(told("store"))
    except ParbakeError as error:
        yield checks.Error(f"PARBAKE['store']: {error}", id="parbake.E007")


def _wrong_middleware() -> Iterator[checks.CheckMessage]:
    if told("capture") and _MIDDLEWARE not in settings.MIDDLEWARE:
        said = f"{_MIDDLEWARE} is missing in MIDDLEWARE."
        hint = "Put it first. Without it a page may be cached with rows from before a change."
        yield checks.Warning(said, hint=hint, id="parbake.W001")


def _wrong_entries() -> Iterator[checks.CheckMessage]:
    for label, tags in told("capture").items():
        try:
            _capturing(label, tags)
        except _Wrong as error:
            yield error.message


def _check_form() -> None:
    given = getattr(settings, "PARBAKE", {})
    if not isinstance(given, dict):
        raise _Wrong("E001", "PARBAKE is not a dictionary.", 'Write PARBAKE = {"capture": {"shop.Policy": [...]}}.')
    if unknown := sorted(map(str, given.keys() - _DEFAULTS.keys())):
        raise _Wrong("E001", f"PARBAKE has no entry {unknown[0]!r}.", f"There are {', '.join(_DEFAULTS)}.")
    if not isinstance(told("capture"), dict) or not all(map(is_family, told("families"))):
        said = "PARBAKE['capture'] must be a dictionary by model, and PARBAKE['families'] a list of tag families."
        raise _Wrong("E001", said)
    try:
        seconds(told("keep"), field="PARBAKE['keep']")
    except ParbakeError as error:
        raise _Wrong("E001", str(error)) from error


def _capturing(label: str, tags: Sequence[str]) -> Capturing:
    entry = f"PARBAKE['capture'][{label!r}]"
    try:
        model = apps.get_model(label)._meta.concrete_model
    except (LookupError, ValueError) as error:
        raise _Wrong("E002", f"{entry}: there is no such model ({error}).") from error
    if isinstance(tags, str) or not tags:
        raise _Wrong("E003", f"{entry} is not a list of tags.", 'Write ["policy/{id}"].')
    alias = router.db_for_write(model)
    vendor = connections[alias].vendor
    name = model._meta.db_table
    templates = [_with_columns(tag, model, vendor, entry) for tag in tags]
    if vendor not in _PLAIN:
        raise _Wrong(
            "E006",
            f"{entry}: the database {alias!r} is {vendor}, whose changes parbake cannot capture.",
            "Capture models on PostgreSQL or SQLite, and raise other tags with parbake.contrib.django.touch.",
        )
    relation = connections[alias].ops.quote_name(name) if vendor == "postgresql" else name
    return Capturing(alias, name, Captured(relation, tuple(templates)))


def _with_columns(template: str, model: Any, vendor: str, entry: str) -> str:
    """Return a template with columns in place of fields.

    Args:
        template: The template, such as ``policy/{id}``.
        model: The model.
        vendor: The kind of its database.
        entry: The entry of the setting, for the error.
    """
    try:
        parsed(f"table:{template}")
    except ParbakeError as error:
        raise _Wrong("E003", f"{entry}: {str(error).removeprefix('--table: ')}.") from error
    parts = [
        text if kind == "text" else f"{{{_column(text, model, vendor, entry)}}}" for kind, text in pieces(template)
    ]
    return "".join(parts)


def _column(name: str, model: Any, vendor: str, entry: str) -> str:
    own = {key: field for field in model._meta.local_concrete_fields for key in (field.attname, field.name)}
    field = own.get(model._meta.pk.name if name == "pk" else name)
    if field is None:
        listed = ", ".join(field.name for field in model._meta.local_concrete_fields)
        raise _Wrong(
            "E004", f"{entry}: {{{name}}} is no field of its table.", f"It has {listed}.{_parent(model, name)}"
        )
    kind = _origin(field).get_internal_type()
    if kind not in _PLAIN.get(vendor, {kind}):
        raise _Wrong(
            "E005",
            f"{entry}: the text of {{{name}}}, a {kind}, is not the same in {vendor} and in Python.",
            "Use a field of whole numbers or of texts, or only a family, such as 'policy'.",
        )
    return str(field.column)


def _origin(field: Any) -> Any:
    """Return the field that a foreign key refers to, over any number of steps."""
    while field.remote_field is not None:
        field = field.target_field
    return field


def _parent(model: Any, name: str) -> str:
    try:
        owner = model._meta.get_field(name).model
    except FieldDoesNotExist:
        return ""
    return f" Capture {owner._meta.label}, whose table has it." if owner is not model else ""
