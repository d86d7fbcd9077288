"""The tasks of the simulated application. A value consists of its own provenance: the versions it was made of.

There are three levels of derived artifacts, a model with a batch built from it, negative results, and values that
expire. These are all kinds of dependency that the protocol has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Protocol

import msgspec

from parbake.tasks.contract import Recompute, ServeStale, every, fence, ignore, refresh
from parbake.tasks.gates import Gates
from parbake.tasks.registry import Input, Model, Registry
from parbake.tasks.roles import Resource, Source
from parbake.tasks.served import Absent, Reader, Served, Value
from simulator.world.limits import LEASE_S, TOLERATED_S
from simulator.world.sim_views import Memos, Offers, Policies, Products, Tastes
from simulator.world.system_of_record import OFFERS, VALID_S

EPOCH = 1_800_000_000.0
"""The time on a correct clock at virtual second 0."""
KEYS = ("past", "unknown")
"""Named like the first words of reasons, which must not matter."""
FOREVER = 1e12
tasks = Registry()
current_run: ContextVar[int] = ContextVar("simulated_run", default=0)
"""The number of the batch run that is computing; 0 outside of a run."""


class SimValue(msgspec.Struct, frozen=True):
    """A value: the version of each of its inputs, the runs that it came through, and its expiry.

    ``model`` is the run that trained the model that the value was made with, or 0.
    """

    reads: dict[str, int]
    runs: tuple[int, ...] = ()
    model: int = 0
    until: float = FOREVER


class Pace(Protocol):
    """How a simulated process spends time between two reads of one computation."""

    def computing(self, task: str, key: str) -> None:
        """A computation begins."""

    async def breathe(self) -> None:
        """Wait a while; here a process can be paused, or die."""

    def now(self) -> float:
        """The correct virtual time, in seconds."""
        ...


def model_run(run: int) -> int:
    """The number that marks a value made with the model of a run."""
    return 2 * run


def rows_run(run: int) -> int:
    """The number that marks a value made from a run's rows, which can be withdrawn while the run's model stays."""
    return 2 * run + 1


def merged(parts: Iterable[SimValue], reads: dict[str, int] | None = None) -> SimValue:
    """The provenance of a value made from others: the oldest version of each tag, and the earliest expiry."""
    versions = dict(reads or {})
    runs: dict[int, None] = {}
    until, model = FOREVER, 0
    for part in parts:
        for tag, version in part.reads.items():
            versions[tag] = min(version, versions.get(tag, version))
        runs.update(dict.fromkeys(part.runs))
        until, model = min(until, part.until), part.model or model
    return SimValue(versions, tuple(runs), model, until)


def absent(made: SimValue) -> Absent:
    """A negative result that carries its provenance as the reason."""
    return Absent(msgspec.json.encode(made).decode())


def made_by(served: Served[SimValue]) -> SimValue:
    """The provenance in what was served: in the value, or in the reason for its absence."""
    return served.value if served.value is not None else msgspec.json.decode(served.reason, type=SimValue)


def all_keys() -> list[str]:
    """The keys that a batch run computes."""
    return list(KEYS)


@tasks.artifact(
    freshness_sla="1h",
    invalidated_by=[fence("policy")],
    fallback_if_stale=Recompute(),
    owner="sim",
    keys=all_keys,
    gates=Gates(rows=0),
    tolerate_silence=TOLERATED_S,
)
async def note(key: str, *, records: Source[Policies], pace: Resource[Pace]) -> SimValue | Absent:
    """Read one entity; the value is absent if the entity is deleted.

    Args:
        key: The key.
        records: The view of the entities.
        pace: Spends time between two reads.
    """
    pace.computing("note", key)
    await pace.breathe()
    fact = records.fact(f"policy/{key}")
    await pace.breathe()
    made = merged([], {f"policy/{key}": fact.version})
    return made if fact.exists else absent(made)


@tasks.artifact(
    freshness_sla="1h",
    invalidated_by=[fence("policy")],
    fallback_if_stale=Recompute(),
    owner="sim",
    revalidate=True,
    lease=LEASE_S,
)
async def digest(key: str, *, records: Source[Policies], pace: Resource[Pace]) -> SimValue:
    """Read a whole family.

    Args:
        key: The key.
        records: The view of the family.
        pace: Spends time between two reads.
    """
    pace.computing("digest", key)
    await pace.breathe()
    reads = {"policy/*": records.version_of_set("policy")}
    await pace.breathe()
    return merged([], reads)


@tasks.artifact(freshness_sla="1h", invalidated_by=[refresh("product")], fallback_if_stale=Recompute(), owner="sim")
async def soft(key: str, *, shelf: Source[Products], pace: Resource[Pace]) -> SimValue:
    """Read an entity that this task only refreshes on.

    Args:
        key: The key.
        shelf: The view of the entities.
        pace: Spends time between two reads.
    """
    pace.computing("soft", key)
    fact = shelf.fact(f"product/{key}")
    await pace.breathe()
    return merged([], {f"product/{key}": fact.version})


@tasks.artifact(
    freshness_sla="1h",
    invalidated_by=[ignore("product", "its readers mind")],
    fallback_if_stale=Recompute(),
    owner="sim",
)
async def loose(key: str, *, shelf: Source[Products], pace: Resource[Pace]) -> SimValue:
    """Read an entity whose changes this task ignores.

    Args:
        key: The key.
        shelf: The view of the entities.
        pace: Spends time between two reads.
    """
    pace.computing("loose", key)
    fact = shelf.fact(f"product/{key}")
    await pace.breathe()
    return merged([], {f"product/{key}": fact.version})


@tasks.artifact(
    freshness_sla="1h",
    invalidated_by=[fence("product"), fence("policy")],
    fallback_if_stale=Recompute(),
    owner="sim",
    revalidate=True,
)
async def strict(
    key: str,
    *,
    softs: Reader[str, SimValue] = Input(soft),
    looses: Reader[str, SimValue] = Input(loose),
    notes: Reader[str, SimValue] = Input(note),
    pace: Resource[Pace],
) -> SimValue:
    """Fence what an input tolerates, and read a task that may have no value.

    Args:
        key: The key.
        softs: The input that refreshes.
        looses: The input that ignores changes.
        notes: The input that may be absent.
        pace: Spends time between two reads.
    """
    pace.computing("strict", key)
    await pace.breathe()
    parts = [made_by(await softs.get(key)), made_by(await notes.get(key)), made_by(await looses.get(key))]
    await pace.breathe()
    return merged(parts)


@tasks.artifact(freshness_sla="1h", invalidated_by=[fence("memo/{key}")], fallback_if_stale=Recompute(), owner="sim")
async def memo(key: str, *, shelf: Source[Memos], pace: Resource[Pace]) -> SimValue:
    """Read entities whose changes reach the store only by ``touch``, because no outbox reports them.

    One entity is named by the template; the other is known only from the view.

    Args:
        key: The key.
        shelf: The view of the entities.
        pace: Spends time between two reads.
    """
    return SimValue(await read_memos(key, shelf, pace))


async def read_memos(key: str, shelf: Memos, pace: Pace) -> dict[str, int]:
    """Read the versions of all entities that a memo is made of.

    Args:
        key: The key.
        shelf: The view of the entities.
        pace: Spends time between two reads.
    """
    pace.computing("memo", key)
    reads = {}
    for name in KEYS:
        reads[f"memo/{name}"] = shelf.fact(f"memo/{name}").version
        await pace.breathe()
    return reads


@tasks.artifact(
    freshness_sla="1h",
    invalidated_by=[fence(OFFERS)],
    fallback_if_stale=ServeStale("1h"),
    owner="sim",
    tolerate_silence=TOLERATED_S,
)
async def offer(key: str, *, shelf: Source[Offers], pace: Resource[Pace]) -> Value[SimValue]:
    """Compute a value that is valid until the next full slot of time.

    Args:
        key: The key.
        shelf: The view of the entities.
        pace: Spends time between two reads.
    """
    pace.computing("offer", key)
    until = (pace.now() // VALID_S + 1) * VALID_S
    fact = shelf.fact(f"{OFFERS}/{key}")
    await pace.breathe()
    made = merged([], {f"{OFFERS}/{key}": fact.version})
    return Value(msgspec.structs.replace(made, until=until), valid_until=EPOCH + until)


@tasks.model(
    freshness_sla="1h",
    refresh=every("40m", budget="5m"),
    invalidated_by=[ignore("taste", "the next training is soon enough")],
    fallback_if_stale=ServeStale("1h"),
    owner="sim",
)
async def weights(*, shelf: Source[Tastes], pace: Resource[Pace]) -> SimValue:
    """Train a model, which is identified by the run that trained it."""
    pace.computing("weights", "")
    await pace.breathe()
    made = merged([], {"taste/*": shelf.version_of_set("taste")})
    await pace.breathe()
    run = current_run.get()
    return msgspec.structs.replace(made, model=run, runs=(model_run(run),))


@tasks.artifact(
    freshness_sla="1h",
    refresh=every("40m", budget="5m"),
    invalidated_by=[fence("product"), refresh("taste")],
    fallback_if_stale=Recompute(),
    owner="sim",
    keys=all_keys,
    gates=Gates(rows=0),
    revalidate=True,
)
async def ranked(
    key: str, *, shelf: Source[Products], pace: Resource[Pace], trained: SimValue = Model(weights)
) -> SimValue | Absent:
    """Compute a batch with a model, and again after events; the value of a deleted entity is absent.

    Args:
        key: The key.
        shelf: The view of the entities.
        pace: Spends time between two reads.
        trained: The model.
    """
    pace.computing("ranked", key)
    await pace.breathe()
    fact = shelf.fact(f"product/{key}")
    await pace.breathe()
    made = merged([trained], {f"product/{key}": fact.version})
    if run := current_run.get():
        made = msgspec.structs.replace(made, runs=(*made.runs, rows_run(run)))
    return made if fact.exists else absent(made)


@tasks.artifact(
    freshness_sla="1h", invalidated_by=[fence("policy")], fallback_if_stale=Recompute(), owner="sim", lease=LEASE_S
)
async def page(
    key: str,
    *,
    stricts: Reader[str, SimValue] = Input(strict),
    digests: Reader[str, SimValue] = Input(digest),
    rankeds: Reader[str, SimValue] = Input(ranked),
    offers: Reader[str, SimValue] = Input(offer),
    pace: Resource[Pace],
) -> SimValue:
    """Compute the third level, which is made of all the others.

    Args:
        key: The key.
        stricts: The input that fences what its own inputs tolerate.
        digests: The input that reads a whole family.
        rankeds: The input from a batch.
        offers: The input that expires.
        pace: Spends time between two reads.
    """
    pace.computing("page", key)
    parts = [made_by(await stricts.get(key)), made_by(await digests.get("all"))]
    await pace.breathe()
    return merged([*parts, made_by(await rankeds.get(key)), made_by(await offers.get(key))])


FENCED: dict[str, frozenset[str]] = {
    "note": frozenset({"policy"}),
    "digest": frozenset({"policy"}),
    "memo": frozenset({"memo"}),
    "soft": frozenset(),
    "loose": frozenset(),
    "strict": frozenset({"policy", "product"}),
    "offer": frozenset({OFFERS}),
    "weights": frozenset(),
    "ranked": frozenset({"product"}),
    "page": frozenset({"policy", "product", OFFERS}),
}
"""The families that fence each task's values: those it declares, and those it inherits from its inputs."""

TOLERANT = frozenset({"note", "offer"})
"""The tasks whose values may be served while their source is silent, marked."""

NEEDS_NO_MODEL = frozenset({"note", "digest", "memo", "soft", "loose", "strict", "offer"})
"""The artifacts that can be computed while the store is away."""

SERVED: dict[str, Sequence[str]] = {
    "note": KEYS,
    "digest": ("all",),
    "memo": KEYS,
    "soft": KEYS,
    "loose": KEYS,
    "strict": KEYS,
    "offer": KEYS,
    "ranked": KEYS,
    "page": KEYS,
}
"""The keys of each artifact that clients read."""
