"""The semantic cache of a simulated server. Only this module needs numpy, and only in histories with caches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from parbake.app.application import App
from parbake.errors import ParbakeError
from parbake.protocol.cause import Reason
from parbake.protocol.record import Record
from simulator.world.sim_tasks import FENCED, SERVED

if TYPE_CHECKING:
    from parbake_semantic.cache.semantic_cache import Reply, SemanticCache

T = TypeVar("T")
SURE = 0.99
"""The lowest cosine of a hit."""
WORDINGS = ("What does the {task} say about {key}?", "Tell me what the {task} says about {key}.")
TOPICS = [(task, key) for task, keys in SERVED.items() if FENCED[task] for key in keys]
_topic_of = {w.format(task=task, key=key): n for n, (task, key) in enumerate(TOPICS) for w in WORDINGS}


class _Topics:
    """An embedder without a model: all wordings of a question have one vector, and any two questions differ."""

    model_hash = "topics"
    dimensions = len(TOPICS)

    def embed(self, texts: Sequence[str]) -> Any:
        """Return one row of float32 for each text."""
        import numpy as np

        return np.eye(self.dimensions, dtype=np.float32)[[_topic_of[text] for text in texts]]


class _Unjudged(BaseException):
    """A step needs the judgement of a record. This is not an ``Exception``, so that the cache does not handle it."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record


def cache_for(app: App) -> SemanticCache[str]:
    """Create an empty cache that is fenced by an app."""
    from parbake_semantic.cache.semantic_cache import SemanticCache
    from parbake_semantic.policies.policy import fixed

    return SemanticCache(_Topics(), app=app, policy=lambda: fixed(SURE))


async def ask(
    cache: SemanticCache[str], app: App, question: str, answer: Callable[[str], Awaitable[str]]
) -> Reply[str]:
    """Ask like ``ask_async``, whose thread waits for the loop if a record cannot be judged at once.

    In the simulation the loop itself runs what threads run, and it cannot wait. Each step is therefore run again after
    the record that it needs has been judged.

    Args:
        cache: The cache.
        app: The app.
        question: The question.
        answer: Computes a fresh answer.
    """
    if app.bonds.is_immediate:
        return await cache.ask_async(question, answer)
    from parbake_semantic.cache.semantic_cache import EVERYONE, _hit

    look = await _judged(app, lambda judge: cache._looked(question, EVERYONE, judge))
    hit = _hit(look)
    if hit is not None:
        return hit.reply
    async with cache._bonding.recorded_async(()) as made:
        value = await answer(question)
    return await _judged(app, lambda judge: cache._learned(question, look, (value, made.bond), judge))


async def _judged(app: App, step: Callable[[Callable[[Record], Reason | None]], T]) -> T:
    """Run a step until every record that it needs is judged; no other task runs after the last judgement."""
    known: dict[int, Reason | ParbakeError | None] = {}

    def judge(record: Record) -> Reason | None:
        if id(record) not in known:
            raise _Unjudged(record)
        found = known[id(record)]
        if isinstance(found, ParbakeError):
            raise found
        return found

    while True:
        try:
            return step(judge)
        except _Unjudged as unjudged:
            record = unjudged.record
        try:
            known[id(record)] = await app.bonds.reason(record, float("inf"))
        except ParbakeError as error:
            known[id(record)] = error
