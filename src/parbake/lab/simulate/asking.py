"""Servers with a semantic cache in front of their app, and clients that ask it.

An answer is what a task says, and it is judged as any read is. Only this module needs numpy, and only in histories
that have such caches.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from parbake.declare.tasks import Artifact
from parbake.errors import ParbakeError
from parbake.fence.acks import NO_ACKS, Acks
from parbake.fence.cause import Reason
from parbake.fence.record import Record
from parbake.lab.simulate.later import made_by
from parbake.lab.simulate.limits import DEADLINE_S
from parbake.lab.simulate.sim_tasks import FENCED, SERVED
from parbake.lab.simulate.virtual_loop import sleep
from parbake.serving import request as scope

if TYPE_CHECKING:
    from parbake.lab.simulate.sim_process import Process, SimApp
    from parbake.lab.simulate.world import World
    from parbake.semantic.cache.semantic_cache import Reply, SemanticCache

T = TypeVar("T")
SHARE = 0.25 if find_spec("numpy") else 0.0
"""The share of histories in which servers have a cache."""
HOW_OFTEN = 0.4
"""The chance that somebody asks in one step."""
SURE = 0.99
"""The least cosine of a hit."""
REFUSED = ""
"""The answer where the app had nothing to serve, or said so for a reason of its own."""
WORDINGS = ("What does the {task} say about {key}?", "Tell me what the {task} says about {key}.")
TOPICS = [(task, key) for task, keys in SERVED.items() if FENCED[task] for key in keys]
_topic_of = {w.format(task=task, key=key): n for n, (task, key) in enumerate(TOPICS) for w in WORDINGS}


class _Topics:
    """An embedder without a model: all wordings of one question are one vector, and no two questions are alike."""

    model_hash = "topics"
    dimensions = len(TOPICS)

    def embed(self, texts: Sequence[str]) -> Any:
        """One row each, float32."""
        import numpy as np

        return np.eye(self.dimensions, dtype=np.float32)[[_topic_of[text] for text in texts]]


class _Unjudged(BaseException):
    """A step needs to know whether a record holds; not an error, so that the cache does not handle it."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record


def cache_for(app: SimApp) -> SemanticCache[str]:
    """An empty cache that keeps an app's promise."""
    from parbake.semantic.cache.semantic_cache import SemanticCache
    from parbake.semantic.policies.policy import fixed

    return SemanticCache(_Topics(), app=app, policy=lambda: fixed(SURE))


async def ask(
    cache: SemanticCache[str], app: SimApp, question: str, answer: Callable[[str], Awaitable[str]]
) -> Reply[str]:
    """Ask as ``ask_async`` does: where records cannot be judged at once, its thread waits for the loop.

    Here threads are the loop itself, which cannot wait. Each step is therefore run again when its record is judged.
    """
    if app.bonds.is_immediate:
        return await cache.ask_async(question, answer)
    from parbake.semantic.cache.semantic_cache import EVERYONE, _hit

    look = await _judged(app, lambda judge: cache._looked(question, EVERYONE, judge))
    hit = _hit(look)
    if hit is not None:
        return hit.reply
    async with cache._bonding.recorded_async(()) as made:
        value = await answer(question)
    return await _judged(app, lambda judge: cache._learned(question, look, (value, made.bond), judge))


async def _judged(app: SimApp, step: Callable[[Callable[[Record], Reason | None]], T]) -> T:
    """Run a step until all that it asks about is judged; nothing happens between the last judgement and the step."""
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


class Asking:
    """The clients of the caches of one history."""

    def __init__(self, world: World) -> None:
        """Draw whether there are any; what they do else is drawn from the world."""
        self._world = world
        self.is_on = random.Random(f"asking {world.store_model} {world.seed}").random() < SHARE

    async def act(self) -> None:
        """Ask a question a few times, often with a change of what it is about in between."""
        draw = self._world.rng
        servers = [p for p in self._world.processes if p.is_alive and p.cache is not None]
        if draw.random() >= HOW_OFTEN or not servers:
            return
        process = draw.choice(servers)
        subject = draw.choice([tag for truth in self._world.truths for tag in truth.facts])
        task, key = draw.choice(self._about(subject))
        await process.run(self._ask(process, task, key))
        told = None
        if draw.random() < 0.5 and process.is_alive:
            told = await process.run(self._world.clients.tell(process, self._world.commit(subject, "changed")))
        for acks in (NO_ACKS, told or NO_ACKS):
            await sleep(draw.random() * self._world.slowness_s)
            if process.is_alive:
                await process.run(self._ask(process, task, key, acks))

    def _about(self, subject: str) -> list[tuple[str, str]]:
        """What can be asked that a change concerns; anything, where nothing is fenced by it."""
        family, _, entity = subject.partition("/")
        return [t for t in TOPICS if family in FENCED[t[0]] and t[1] in (entity, "all")] or TOPICS

    async def _ask(self, process: Process, task: str, key: str, acks: Acks = NO_ACKS) -> None:
        app, cache, artifact = process.app, process.cache, process.program[task]
        assert app is not None
        assert cache is not None
        assert isinstance(artifact, Artifact)
        question = self._world.rng.choice(WORDINGS).format(task=task, key=key)

        async def answer(_: str) -> str:
            try:
                made = made_by(await app.serve(artifact, key))
            except msgspec.DecodeError:
                return REFUSED
            return msgspec.json.encode(made).decode()

        read = self._world.oracle.begin(process, task, key)
        try:
            async with scope.request(DEADLINE_S, acks):
                reply = await ask(cache, app, question, answer)
        except ParbakeError as error:
            self._world.say(f"{process.name} {question} failed: {error}")
            return
        self._world.say(f"{process.name} {question} -> {reply.reason or 'hit'} {reply.value}")
        self._world.oracle.answered(read, reply.value, is_hit=reply.is_hit)
