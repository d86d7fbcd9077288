"""Clients that ask the semantic caches of the servers.

An answer is a task's value, and the oracle judges it like any read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from parbake.errors import ParbakeError
from parbake.protocol.acks import NO_ACKS, Acks
from parbake.protocol.record import STAMP_AT
from parbake.serving import request as scope
from parbake.stores.steps import item_names as names
from parbake.tasks.task_types import Artifact
from simulator.processes.invariants import as_control
from simulator.processes.oracle import Oracle
from simulator.processes.sim_cache import TOPICS, WORDINGS
from simulator.processes.sim_process import Process
from simulator.sim_clients import Clients
from simulator.world.disk import Disk, is_as_written
from simulator.world.later_program import made_by
from simulator.world.limits import DEADLINE_S
from simulator.world.sim_tasks import FENCED
from simulator.world.virtual_loop import sleep
from simulator.world.world_state import World

if TYPE_CHECKING:
    from parbake_semantic.cache.asked import Reply
    from parbake_semantic.cache.entry import Found

COMPLAINTS = 0.1
"""The chance that a client complains of an answer."""
HOW_OFTEN = 0.4
"""The chance that a client asks a question in one step."""
REFUSED = ""
"""The answer if the app had no value to serve, or the value is absent for a reason without provenance."""


class Complaint:
    """An acknowledged complaint. While what it stands on is as it was, nobody may serve the answer."""

    def __init__(self, disk: Disk, place: str, stored: Found[str]) -> None:
        """Note what the complaint stands on: the copy of the store, its record, and the marks of the answer's facts."""
        from parbake_semantic.cache.entry import facts_of  # only histories with caches need numpy

        facts = facts_of(stored.bond, stored.entry.group)
        self._items = [names.overlay_key(place, stored.entry.group.encode()), *map(names.mark_key, facts)]
        self._was = self._is(disk)

    def _is(self, disk: Disk) -> tuple[str, list[bytes | None]]:
        return disk.host, [disk.get(name) for name in self._items]

    def stands(self, disk: Disk) -> bool:
        """Whether the complaint still holds."""
        host, items = self._is(disk)
        record, *marks = items
        if record is None or not is_as_written(record) or (host, items) != self._was:
            return False  # it may have been damaged before it was acknowledged
        floor = as_control(disk.get(names.CONTROL) or b"").floor
        return all(mark is None or mark <= record[STAMP_AT] for mark in (floor, *marks))


class CacheClients:
    """The clients of the caches in one history."""

    def __init__(self, world: World, oracle: Oracle, processes: Sequence[Process], clients: Clients) -> None:
        """Create the clients; ``clients`` change what the questions are about."""
        self._world = world
        self._oracle = oracle
        self._processes = processes
        self._clients = clients
        self._complaints: dict[str, Complaint] = {}
        """Those that were acknowledged, by the group of the answer."""

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

        read, withdrawn = self._oracle.begin(process, task, key), {**self._complaints}.get
        try:
            async with scope.Scope(DEADLINE_S, acks):
                reply = await cache.ask_async(question, answer)
        except ParbakeError as error:
            self._world.say(f"{process.name} {question} failed: {error}")
            return
        self._world.say(f"{process.name} {question} -> {reply.reason or 'hit'} {reply.value}")
        self._oracle.answered(read, reply.value, is_hit=reply.is_hit)
        complaint = withdrawn(reply.stored.entry.group) if reply.stored else None
        if reply.is_hit and complaint is not None and complaint.stands(self._world.disk):
            self._oracle.violate("I13 complaint", f"{question} got {reply.value}, which was withdrawn")
        if reply.stored is not None and self._world.rng.random() < COMPLAINTS:
            await self._complain(process, reply)

    async def _complain(self, process: Process, reply: Reply[str]) -> None:
        """Withdraw an answer, and remember that if it was acknowledged."""
        assert process.cache is not None
        assert reply.stored is not None
        try:
            await process.cache.demote_async(reply)
        except ParbakeError as error:
            self._world.say(f"{process.name} could not withdraw {reply.value}: {error}")
            return
        self._world.say(f"{process.name} has withdrawn {reply.value}")
        place = process.cache._shared._entries._withdrawn
        self._complaints[reply.stored.entry.group] = Complaint(self._world.disk, place, reply.stored)
