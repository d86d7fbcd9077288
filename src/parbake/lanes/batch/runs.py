"""The store's record of a task's batch runs: the one under way, so that it can be continued, and the last ones.

One process at a time works on a run, and holds a lease that it renews. When it has died, the next run of the task
continues where it stopped: at once on the same machine, and after the end of the lease on another. The lease only saves
work. The rows of two runs are still promoted by compare-and-swap, and each row carries the stamp of its own inputs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from parbake.errors import RunInProgress
from parbake.ports.named_values import NamedValue
from parbake.ports.store import Store
from parbake.process.identity import is_gone
from parbake.protocol.control import task_name
from parbake.tasks.gates import Profile
from parbake.tasks.retention import MOST

LEASE_S = 15.0
HISTORY = 20
PROMOTED = "promoted"


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A finished partition."""

    rows: int
    absent: int
    size_bytes: int


class UnderWay(msgspec.Struct, frozen=True):
    """A run that was begun and is neither promoted nor given up, as recorded for one of its tasks.

    ``until`` is when the holder's lease ends, ``expected`` are the pointers that must not move until the promotion,
    ``code`` the fingerprint of the code that computes them. ``finished`` are the partitions that lie in the store, by
    their digests, and ``profile`` is that of their rows; the store keeps both in a list beside the record. ``failure``
    is why the run stopped. It is empty while the run goes on, and if its process died or was
    interrupted. A run that ``waits`` has stopped until a provider has answered. Times are epoch seconds.
    """

    run: str
    holder: str
    until: float
    generation: int
    started_at: float
    stamp: bytes
    incarnation: int
    expected: dict[str, int]
    chain: tuple[str, ...]
    selection: bytes
    finished: dict[bytes, Part] = {}
    profile: Profile = msgspec.field(default_factory=Profile)
    code: bytes = b""
    failure: str = ""
    waits: bool = False

    def standing(self, now: float) -> str:
        """``under way``, ``failed``, ``waiting`` or ``interrupted``; the last three are continued by the next run."""
        if self.failure:
            return "failed"
        if self.waits:
            return "waiting"
        return "interrupted" if self.until <= now or is_gone(self.holder) else "under way"

    def bare(self) -> UnderWay:
        """What the record stores."""
        return msgspec.structs.replace(self, finished={}, profile=Profile())


class Ended(msgspec.Struct, frozen=True):
    """An ended run, as recorded for one of its tasks. ``outcome`` is ``promoted``, or why it was not promoted."""

    run: str
    generation: int
    outcome: str
    trigger: str
    why: str
    started_at: float
    ended_at: float
    rows: int
    absent: int
    partitions: int
    kept_partitions: int
    profile: Profile


class State(msgspec.Struct, frozen=True):
    """The record of a task's runs; the newest ended run comes first."""

    under_way: UnderWay | None = None
    ended: tuple[Ended, ...] = ()

    def of_generation(self, generation: int) -> Ended | None:
        """The ended run that built a generation; ``None`` if it is not recorded any more."""
        return next((e for e in self.ended if e.generation == generation and e.outcome == PROMOTED), None)


@dataclass(slots=True)
class Runs:
    """Reads and changes the record of runs. ``lease_s`` is the term of a lease, in seconds."""

    store: Store
    lease_s: float = LEASE_S

    async def state(self, ref: str) -> State:
        """Read the record of a task's runs; empty before the first run."""
        return await self._kept(ref).read()

    async def in_full(self, ref: str) -> State:
        """Read the record with the finished partitions of the run under way."""
        state = await self.state(ref)
        if state.under_way is None:
            return state
        entries = await self.store.entries(_finished(ref, state.under_way.run))
        done = {digest: _as_entry(raw) for digest, raw in entries.items()}
        profile = functools.reduce(Profile.merged, (part_profile for _, part_profile in done.values()), Profile())
        held = msgspec.structs.replace(
            state.under_way, finished={digest: part for digest, (part, _) in done.items()}, profile=profile
        )
        return msgspec.structs.replace(state, under_way=held)

    async def forget(self, ref: str, run: str) -> None:
        """Delete the list of a run's finished partitions."""
        await self.store.clear(_finished(ref, run))

    async def change(self, ref: str, to: Callable[[State], State]) -> State:
        """Replace the state by the result of ``to``; see :meth:`parbake.ports.named_values.NamedValue.change`."""
        return await self._kept(ref).change(to)

    def _kept(self, ref: str) -> NamedValue[State]:
        return NamedValue(self.store, f"runs/{ref}", State, State())

    def refuse_if_held(self, state: State, ref: str, now: float) -> None:
        """Raise an error while a process works on a task's run.

        Args:
            state: What the store knows of the task's runs.
            ref: The task's ref, for the error.
            now: Epoch seconds.

        Raises:
            RunInProgress: The lease of a process has not ended.
        """
        held = state.under_way
        if held is None or not now < held.until <= now + 2 * self.lease_s:  # a later end: a wrong clock
            return
        if not is_gone(held.holder):
            name = task_name(ref)
            raise RunInProgress(f"{name}: a run is under way since {now - held.started_at:.0f} s", field=name)

    async def hold(self, ref: str, holder: str, until: float) -> None:
        """Renew the lease on a run.

        Args:
            ref: The task's ref.
            holder: The process that holds it.
            until: When the lease ends, in epoch seconds.

        Raises:
            RunInProgress: Another process has taken the run over.
        """
        await self.change(ref, lambda state: _held(state, ref, holder, until=until))

    async def finish(self, ref: str, holder: str, digest: bytes, done: tuple[Part, Profile]) -> None:
        """Record a partition whose rows are in the store.

        Args:
            ref: The task's ref.
            holder: The process that holds the run's lease.
            digest: Identifies the keys of the partition.
            done: The partition with the profile of its rows.

        Raises:
            RunInProgress: Another process has taken the run over.
        """
        held = under_way(await self.state(ref), ref, holder)
        await self.store.append(_finished(ref, held.run), digest, msgspec.msgpack.encode(done))

    async def end(self, ref: str, ended: Ended) -> None:
        """Record that a run has ended, in place of the run under way."""

        def moved(state: State) -> State:
            is_own = state.under_way is not None and state.under_way.run == ended.run
            return State(None if is_own else state.under_way, _remembered((ended, *state.ended)))

        await self.forget(ref, ended.run)
        await self.change(ref, moved)

    async def release(self, ref: str, holder: str, failure: str) -> None:
        """End a lease before its time, so that the next process may continue at once.

        Args:
            ref: The task's ref.
            holder: The process that holds it.
            failure: What failed; empty if nothing did.
        """
        await self.change(ref, lambda state: _held(state, ref, holder, until=0.0, failure=failure))

    async def suspend(self, ref: str, holder: str) -> None:
        """End a lease because the run waits for a provider; any process may continue it."""
        await self.change(ref, lambda state: _held(state, ref, holder, until=0.0, waits=True))


_as_entry = msgspec.msgpack.Decoder(tuple[Part, Profile]).decode


def _finished(ref: str, run: str) -> str:
    return f"runs/{ref}/{run}"


def under_way(state: State, ref: str, holder: str) -> UnderWay:
    """Return the run that a process works on.

    Args:
        state: What the store knows of the task's runs.
        ref: The task's ref, for the error.
        holder: The process.

    Raises:
        RunInProgress: Another process has taken the run over.
    """
    held = state.under_way
    if held is None or held.holder != holder:
        raise RunInProgress(f"{ref}: another process has taken this run over", field=task_name(ref))
    return held


def _held(state: State, ref: str, holder: str, *, until: float, failure: str = "", waits: bool = False) -> State:
    held = under_way(state, ref, holder)
    new = msgspec.structs.replace(held, until=until, failure=failure, waits=waits)
    return msgspec.structs.replace(state, under_way=new)


def _remembered(ended: Sequence[Ended]) -> tuple[Ended, ...]:
    """The last runs, and promoted ones from before them, so that the next run always has one to compare with."""
    older = [run for run in ended[HISTORY:] if run.outcome == PROMOTED]
    return (*ended[:HISTORY], *older[:MOST])
