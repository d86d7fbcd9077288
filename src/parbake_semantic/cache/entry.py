"""The stored form of an answer: a question with its vector, the value, and which other answers say the same."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Generic, TypeVar

import msgspec
import numpy as np

from parbake.protocol.record import Record
from parbake.protocol.tags import family, named
from parbake_semantic.text.arrays import Vectors
from parbake_semantic.text.audience import Scope

T = TypeVar("T")
WITHDRAWN = "demoted"
"""The reason of an answer that was withdrawn after a complaint."""
_KEY, _GROUP = 16, 12


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A question and its answer, as they are stored.

    Attributes:
        question: The question.
        scope: For whom the answer holds.
        group: Names all answers of the scope that say the same, for the policy and for complaints.
        vector: The question's unit vector, as float16; empty in a cache without an embedder, and if the answer has so
            many questions that this one is a hit to the letter only.
        value: The answer, encoded.
    """

    question: str
    scope: Scope
    group: str
    vector: bytes
    value: msgspec.Raw

    def unpacked(self) -> Vectors:
        """The question's unit vector, shape (dimensions,)."""
        found: Vectors = np.frombuffer(self.vector, np.float16).astype(np.float32)
        found /= np.linalg.norm(found) or 1.0
        return found


class Found(msgspec.Struct, Generic[T], frozen=True):
    """A stored answer as it was read.

    Attributes:
        key: Its key.
        entry: Its question.
        value: The answer.
        bond: Its record, with what outdates it.
        reason: Why it may not be served; empty if it may.
    """

    key: bytes
    entry: Entry
    value: T
    bond: Record
    reason: str

    def is_made_from(self, facts: Sequence[str]) -> bool:
        """Whether facts of a new answer are those that this one was made from."""
        return facts_of(self.bond, self.entry.group) == tuple(facts)

    def lacks(self, tags: Sequence[str]) -> bool:
        """Whether a change of some of these tags would leave it as it is."""
        fences = self.bond.meta.tags.fences
        return not all(f"{family(tag)}/*" in fences or all(one in fences for one in named(tag)) for tag in tags)

    @property
    def is_withdrawn(self) -> bool:
        """Whether a complaint has withdrawn it."""
        return self.reason == WITHDRAWN


def packed(vector: Vectors) -> bytes:
    """A vector as float16, which changes cosines by less than 0.001."""
    return vector.astype(np.float16).tobytes()


def key_of(scope: Scope, text: str) -> bytes:
    """The key of a question, given in the form in which its cache compares texts: equal in the same scope only."""
    return blake2b(msgspec.msgpack.encode((scope, text)), digest_size=_KEY).digest()


def group_of(scope: Scope, value: bytes, facts: Sequence[str]) -> str:
    """The name of the answers of a scope that have one value, made from the same facts.

    Args:
        scope: The scope.
        value: The value, encoded.
        facts: The tags that fence it.
    """
    raw = msgspec.msgpack.encode((scope, value, tuple(facts)))
    return blake2b(raw, digest_size=_GROUP).hexdigest()


def facts_of(bond: Record, group: str) -> tuple[str, ...]:
    """What an answer was made from: the tags that fence it, but those of its group and of its cache.

    Args:
        bond: Its record, as it was made or as it is stored.
        group: Its group.
    """
    fences = bond.meta.tags.fences
    return fences[:-2] if len(fences) > 1 and fences[-2].endswith(f"/{group}") else fences
