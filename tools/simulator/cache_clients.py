"""Clients that ask the semantic caches of the servers.

An answer is a task's value, and the oracle judges it like any read.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from parbake.errors import ParbakeError
from parbake.protocol.acks import NO_ACKS, Acks
from parbake.serving import request as scope
from parbake.tasks.task_types import Artifact
from simulator.processes.oracle import Oracle
from simulator.processes.sim_cache import TOPICS, WORDINGS
from simulator.processes.sim_process import Process
from simulator.sim_clients import Clients
from simulator.world.later_program import made_by
from simulator.world.limits import DEADLINE_S
from simulator.world.sim_tasks import FENCED
from simulator.world.virtual_loop import sleep
from simulator.world.world_state import World

HOW_OFTEN = 0.4
"""The chance that a client asks a question in one step."""
REFUSED = ""
"""The answer if the app had no value to serve, or the value is absent for a reason without provenance."""


class CacheClients:
    """The clients of the caches in one history."""

    def __init__(self, world: World, oracle: Oracle, processes: Sequence[Process], clients: Clients) -> None:
        """Create the clients; ``clients`` change what the questions are about."""
        self._world = world
        self._oracle = oracle
        self._processes = processes
        self._clients = clients

    async def act(self) -> None:
        """Ask a question a few times; often its subject changes in between."""
        draw = self._world.rng
        servers = [p for p in self._processes if p.is_alive and p.cache is not None]
        if draw.random() >= HOW_OFTEN or not servers:
            return
        process = draw.choice(servers)
        subject = draw.choice([tag for system in self._world.systems for tag in system.facts])
        task, key = draw.choice(self._about(subject))
        await process.run(self._ask(process, task, key))
        told = None
        if draw.random() < 0.5 and process.is_alive:
            told = await process.run(self._clients.tell(process, self._clients.commit(subject, "changed")))
        for acks in (NO_ACKS, told or NO_ACKS):
            await sleep(draw.random() * self._world.slowness_s)
            if process.is_alive:
                await process.run(self._ask(process, task, key, acks))

    def _about(self, subject: str) -> list[tuple[str, str]]:
        """The questions that a change concerns, or all questions if no task is fenced by it."""
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

        read = self._oracle.begin(process, task, key)
        try:
            async with scope.Scope(DEADLINE_S, acks):
                reply = await cache.ask_async(question, answer)
        except ParbakeError as error:
            self._world.say(f"{process.name} {question} failed: {error}")
            return
        self._world.say(f"{process.name} {question} -> {reply.reason or 'hit'} {reply.value}")
        self._oracle.answered(read, reply.value, is_hit=reply.is_hit)
