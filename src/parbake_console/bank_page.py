"""The page *Bank and cache*: what do banks of questions answer, how sure are they, and why do they refuse?"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from parbake.errors import MissingDependency, NotMaterialized, StoreError
from parbake.tasks.task_types import ModelTask, Stored, Task
from parbake.values.redaction import one_line
from parbake_console.charts import OutlookPlot, outlook_plot
from parbake_planner.books import Books
from parbake_planner.ledger.answer_table import COMPLAINED, Answer

if TYPE_CHECKING:
    from parbake.app.application import App
    from parbake_semantic import BankSnapshot, Calibration, Scope

_LOOKED_AT, _MOST_COMPLAINTS, _MOST_KEYS = 5000, 500, 1000
_PATIENT_S = 0.5
"""How long a page waits for a picture that is being computed."""
_ERRORS = (0.01, 0.02, 0.05, 0.1)
_FEWEST = 2
"""Of fewer answers nothing can be calibrated."""
_UNNOTED = "no reason noted"


class BankPart(msgspec.Struct, frozen=True, kw_only=True):
    """One bank. Without a ``snapshot`` there is none, and ``trouble`` says why.

    Attributes:
        task: The bank's task.
        trouble: Why it cannot be shown.
        snapshot: The bank.
        asked: What it was asked.
        reasons: Why it did not answer: the reason, how many answers have it, and the id of the newest one.
        withdrawn: Answers that are withheld or were complained of: the name, why it is withheld, complaints, an id.
        withheld: How many answers are withheld.
        plot: The picture of its errors.
        bounds: What it would answer under several bounds.
        is_drawn_soon: Whether both are being computed.
    """

    task: str
    trouble: str = ""
    snapshot: Any = None
    asked: Asked | None = None
    reasons: Sequence[tuple[str, int, str]] = ()
    withdrawn: Sequence[tuple[str, str, int, str]] = ()
    withheld: int = 0
    plot: OutlookPlot | None = None
    bounds: Sequence[Any] = ()
    is_drawn_soon: bool = False


class BankPage(msgspec.Struct, frozen=True):
    """What the page shows.

    Attributes:
        banks: The banks.
        has_ledger: Whether it is recorded what was asked.
        missing: What is not installed.
        caches: How many questions each semantic cache stores, by scope.
        hits: How many questions to them got a stored answer since this process started.
        misses: Why the others got none, the most frequent reason first.
    """

    banks: Sequence[BankPart] = ()
    has_ledger: bool = False
    missing: str = ""
    caches: Sequence[Mapping[Scope, int]] = ()
    hits: int = 0
    misses: Sequence[tuple[str, int]] = ()


class Asked(msgspec.Struct, frozen=True):
    """The newest answers to questions that a bank was asked, and those that it answered; how long ago the oldest is."""

    all: Sequence[Answer] = ()
    answered: Sequence[Answer] = ()
    since_s: float | None = None

    @property
    def covered(self) -> float | None:
        """The share that the bank answered, 0 to 1; ``None`` if nothing was asked."""
        return len(self.answered) / len(self.all) if self.all else None

    @property
    def stored(self) -> int:
        """How many of its answers were computed ahead or after an event."""
        return sum(one.lane != "realtime" for one in self.answered)


class Outlooks:
    """What each bank would answer under other bounds: computed once for each bank, in a thread."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._made: dict[str, tuple[Any, asyncio.Future[Any]]] = {}

    async def of(self, name: str, snapshot: BankSnapshot) -> Any:
        """Return the outlook of a bank, or ``None`` while it is being computed.

        Args:
            name: The bank's task.
            snapshot: The bank, which is computed again only if it is another one.
        """
        made = self._made.get(name)
        if made is None or made[0] is not snapshot:
            made = self._made[name] = snapshot, asyncio.ensure_future(asyncio.to_thread(_looked_out, snapshot))
        await asyncio.wait([made[1]], timeout=_PATIENT_S)
        return made[1].result() if made[1].done() else None


def _looked_out(snapshot: BankSnapshot) -> Any:
    from parbake_semantic.bank.bounds_report import outlook

    bound = snapshot.calibration.bound
    return outlook(snapshot, sorted({*_ERRORS, bound.error}), bound.prior)


async def bank_page(app: App, books: Books | None, outlooks: Outlooks) -> BankPage:
    """Look at each bank of an app, and at what was asked.

    Args:
        app: The app.
        books: Its ledger, if it has one.
        outlooks: What was computed of its banks before.
    """
    try:
        from parbake_semantic import BankSnapshot
    except (ImportError, MissingDependency):
        return BankPage(missing="pip install 'parbake[semantic]'")
    tasks = [task for task in app.tasks if isinstance(task, ModelTask) and task.value_type is BankSnapshot]
    newest, complained = await asyncio.to_thread(_noted, books) if books and tasks else ([], [])
    return BankPage(
        banks=[await _bank(app, task, newest, complained, outlooks) for task in tasks],
        has_ledger=books is not None,
        caches=sorted((cache.stored for cache in app.counters.caches), key=lambda stored: -sum(stored.values())),
        hits=app.counters.asked[""],
        misses=[(reason, number) for reason, number in app.counters.asked.most_common() if reason],
    )


def _noted(books: Books) -> tuple[list[Answer], list[Answer]]:
    answers = books.answers
    return answers.newest(_LOOKED_AT), answers.newest(_MOST_COMPLAINTS, COMPLAINED)


async def _bank(
    app: App, task: ModelTask[Any], newest: Sequence[Answer], complained: Sequence[Answer], outlooks: Outlooks
) -> BankPart:
    try:
        snapshot: BankSnapshot = await app.model(task)
        readers = [other for other in app.tasks if task in other.inputs]
        withheld: dict[str, str] = {}
        for reader in readers:
            if isinstance(reader, Stored):
                withheld |= await _absences(app, reader, snapshot.answered)
    except (NotMaterialized, StoreError) as error:
        return BankPart(task=task.name, trouble=one_line(error))
    asked = _asked(newest, {reader.name for reader in readers}, {*snapshot.answered}, app.settings.clock.now())
    can_be_drawn = len(snapshot.bank.answers) >= _FEWEST
    found = await outlooks.of(task.name, snapshot) if can_be_drawn else None
    return BankPart(
        task=task.name,
        snapshot=snapshot,
        asked=asked,
        reasons=_reasons(asked),
        withdrawn=_withdrawn(withheld, [one for one in complained if one.subject in snapshot.bank.answers]),
        withheld=len(withheld),
        plot=_plot(found, snapshot.calibration, asked),
        bounds=found.calibrations if found else (),
        is_drawn_soon=found is None and can_be_drawn,
    )


async def _absences(app: App, reader: Task, answers: Iterable[str]) -> dict[str, str]:
    """The answers of a bank that a task has stored as missing, and why."""
    bound, wanted, found = app.engine.tasks[reader.name], {*answers}, dict[str, str]()
    looked_at = 0
    async for raw, lookup in app.engine.store.scan(bound.ref):
        looked_at += 1
        if looked_at > _MOST_KEYS:
            break
        record = lookup.records[0] if lookup.records else None
        if record is not None and record.absent:
            key = str(bound.keys.decode(raw, record.meta.key))
            if key in wanted:
                found[key] = f"{reader.name}: {_reason_of(record.payload)}"
    return found


def _asked(newest: Sequence[Answer], readers: set[str], answers: set[str], now: float) -> Asked:
    """The answers for which a task was served that reads the bank, or that are about one of its answers."""
    asked = [one for one in newest if one.subject in answers or any(step.task in readers for step in one.steps)]
    since_s = now - asked[-1].at if asked else None
    return Asked(asked, [one for one in asked if one.subject in answers], since_s)


def _reasons(asked: Asked) -> list[tuple[str, int, str]]:
    """Why questions were not answered from the bank, the most frequent reason first; an answer may have several."""
    counts: Counter[str] = Counter()
    example: dict[str, str] = {}
    answered = {one.id for one in asked.answered}
    for one in asked.all:
        if one.id not in answered:
            for reason in {why.partition(":")[0] for why in one.refusals} or {_UNNOTED}:
                counts[reason] += 1
                example.setdefault(reason, one.id)
    return [(reason, number, example[reason]) for reason, number in counts.most_common()]


def _withdrawn(withheld: Mapping[str, str], complained: Sequence[Answer]) -> list[tuple[str, str, int, str]]:
    of: dict[str, list[str]] = {name: [] for name in withheld}
    for one in complained:
        of.setdefault(one.subject, []).append(one.id)
    return [(name, withheld.get(name, ""), len(ids), ids[0] if ids else "") for name, ids in of.items()]


def _plot(found: Any, made: Calibration | None, asked: Asked) -> OutlookPlot | None:
    if found is None or made is None:
        return None
    return outlook_plot(
        list(zip(found.answered.tolist(), found.wrong.tolist(), found.limit.tolist(), strict=True)),
        promised=made.bound.error,
        expected=made.expected if made.least is not None else None,
        covered=asked.covered,
    )


def _reason_of(payload: bytes) -> str:
    """Why a value is missing, as it is stored."""
    try:
        return msgspec.msgpack.decode(payload, type=str)
    except msgspec.MsgspecError:
        return "missing"
