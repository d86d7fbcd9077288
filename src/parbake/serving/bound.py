"""The compiled form of a stored task, made once at load, so that a read needs no registry."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote

import msgspec

from parbake.errors import BadInput
from parbake.ports.views import View
from parbake.protocol.record import Record
from parbake.protocol.recording import Reach
from parbake.protocol.tag_parts import refused_type, spell_part
from parbake.protocol.tags import HASHED, placeholders, spelled_entity
from parbake.tasks.roles import Role
from parbake.tasks.task_types import Artifact, Stored, Task
from parbake.values.codecs.value_types import form_of

_MAX_KEY_BYTES = 300


class KeyCodec:
    """Turns a task's keys into store bytes and tag words, and back; long keys are hashed in the store."""

    def __init__(self, task: Stored) -> None:
        """Compile the codec of a task's key type; a model has the empty key."""
        self._task = task
        self._type = task.key_type if isinstance(task, Artifact) else str
        self._plain = _plain(self._type)

    def check(self, key: Any) -> Any:
        """Return the key in its declared type, or raise :class:`BadInput` naming ``key``."""
        if type(key) is self._plain:
            return key
        try:
            return msgspec.convert(key, self._type)
        except msgspec.ValidationError as error:
            raise BadInput(f"key of {self._task.name}: {error}", field="key") from error

    def encode(self, key: Any) -> bytes:
        """Store bytes of a checked key; raises :class:`BadInput` for a number that no store holds."""
        raw = b"s" + key.encode() if type(key) is str else b"m" + self._packed(key)
        return raw if len(raw) <= _MAX_KEY_BYTES else b"h" + blake2b(raw, digest_size=32).digest()

    def _packed(self, key: Any) -> bytes:
        try:
            return msgspec.msgpack.encode(key)
        except OverflowError:
            message = f"key of {self._task.name}: a whole number lies between -2^63 and 2^64 - 1"
            raise BadInput(message, field="key") from None

    def place(self, key: Any) -> bytes:
        """Store bytes of a key that was not checked yet; raises as :meth:`check` does."""
        if type(key) is not str or self._plain is not str:
            return self.encode(self.check(key))
        raw = b"s" + key.encode()
        return raw if len(raw) <= _MAX_KEY_BYTES else self.encode(key)

    def decode(self, raw: bytes, spelled_out: bytes) -> Any:
        """The key of a stored record; a hashed one is spelled out in the record's header."""
        raw = spelled_out or raw
        value = raw[1:].decode() if raw[:1] == b"s" else msgspec.msgpack.decode(raw[1:])
        return self.check(value)

    def spell_out(self, key: Any) -> bytes:
        """The full bytes of a key that the store hashes, for the record's header; empty for shorter keys."""
        raw = b"s" + key.encode() if type(key) is str else b"m" + msgspec.msgpack.encode(key)
        return raw if len(raw) > _MAX_KEY_BYTES else b""

    @property
    def kind(self) -> str:
        """The name of the key type."""
        return str(getattr(self._plain, "__name__", self._plain))

    def from_text(self, text: str) -> Any:
        """Read a key that a person wrote as a word, a number or JSON; ``None`` if it does not fit the key type."""
        for read in (lambda: text, lambda: msgspec.json.decode(text)):
            try:
                return msgspec.convert(read(), self._type, strict=False)
            except (msgspec.ValidationError, msgspec.DecodeError):
                continue
        return None

    def from_word(self, word: str) -> Any:
        """Read the key from the entity of a tag; ``None`` if the entity is a digest or does not fit the key type."""
        if word.startswith(HASHED):
            return None
        for text in dict.fromkeys((unquote(word), word)):  # a key may contain what looks encoded
            with contextlib.suppress(msgspec.ValidationError):
                key = msgspec.convert(text, self._type, strict=False)
                if not refused_type(type(key)) and spelled_entity(spell_part(key)) == word:
                    return key
        return None


def key_text(raw: bytes) -> str | None:
    """Return a key of any task as text, from its store bytes; ``None`` if it is stored as a hash because it is long."""
    if raw[:1] == b"h":
        return None
    return raw[1:].decode() if raw[:1] == b"s" else str(msgspec.msgpack.decode(raw[1:]))


def _plain(kind: Any) -> Any:
    """The run-time class behind ``NewType``s."""
    while hasattr(kind, "__supertype__"):
        kind = kind.__supertype__
    return kind


class BoundTask:
    """A stored task, ready to be served: its codecs, its contract, and the families that outdate its values."""

    def __init__(self, task: Stored, *, off: str = "", watched: Collection[str] = ()) -> None:
        """Compile a task; ``off`` says why the task cannot run here, and is empty if it can.

        ``watched`` are the families fenced by the tasks that read this one, directly or through others.
        """
        self.task = task
        self.name = task.name
        self.ref = task.ref
        self.off = off
        self.key_templates = tuple(t.template for t in task.contract.binding if placeholders(t.template))
        self.reach = Reach(frozenset(watched), _viewed_families(task))
        self.revalidates = isinstance(task, Artifact) and task.revalidates
        self.lease_s = task.lease_s if isinstance(task, Artifact) else None
        self.contract = task.contract
        self.keys = KeyCodec(task)
        self.fenced_families = frozenset(i.family for i in task.contract.invalidated_by if i.strength == "fence")
        self.fenced_throughout = _fenced_throughout(task)
        self.batched = isinstance(task, Artifact) and task.batched
        self.chooses_keys = task.schedule is not None and task.schedule.choice is not None
        self.encode, self.decode = form_of(task.value_type, task.codecs)
        self.key_names = _key_names(task)

    def unreadable(self, record: Record) -> str:
        """Why a record's value does not decode as the task's type; empty if it does, or if it is known to be absent."""
        if record.absent:
            return ""
        try:
            self.decode(record.payload)
        except msgspec.DecodeError as error:
            return str(error)
        return ""

    def names(self, key: Any) -> dict[str, str]:
        """The values of the placeholders in the contract's tag templates, for one key."""
        if type(key) is str:
            return dict.fromkeys(self.key_names, key)
        return dict.fromkeys(self.key_names, spell_part(key)) if self.key_templates else {}


def _viewed_families(task: Task) -> frozenset[str]:
    """The families that a task's own views record."""
    views = [p.type for p in task.of(Role.SOURCE) if isinstance(p.type, type) and issubclass(p.type, View)]
    return frozenset(name for view in views for name in view.families)


def watched_families(tasks: Iterable[Task]) -> dict[str, set[str]]:
    """For each stored task, by name, the families that its readers fence, through any number of steps."""
    found: dict[str, set[str]] = {}

    def note(task: Task, fenced: frozenset[str]) -> None:
        for source in _reads(task):
            known = found.setdefault(source.name, set())
            if not fenced <= known:
                known |= fenced
                note(source, fenced | _fenced(source))

    for task in tasks:
        note(task, _fenced(task))
    return found


def _fenced_throughout(task: Task) -> frozenset[str]:
    return _fenced(task).union(*(_fenced_throughout(other) for other in task.may_read))


def _fenced(task: Task) -> frozenset[str]:
    items = task.contract.invalidated_by if isinstance(task, Stored) else ()
    return frozenset(item.family for item in items if item.strength == "fence")


def _reads(task: Task) -> list[Stored]:
    """The artifacts that a task's values may depend on, including a declared substitute.

    Models are left out, because they bind by their generation and their own contract. Otherwise any change of the
    training data would stop the serving of everything made with the model until the next training.
    """
    return [other for other in task.may_read if isinstance(other, Artifact)]


def _key_names(task: Stored) -> tuple[str, ...]:
    if not isinstance(task, Artifact):
        return ("key",)
    name = task.parameters[0].name
    return (name, name.removesuffix("s"), "key")
