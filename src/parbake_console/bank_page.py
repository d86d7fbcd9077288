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
from parbake_console.wording import NONE, count, share, span
from parbake_planner.books import Books
from parbake_planner.ledger.answer_table import COMPLAINED, Answer

if TYPE_CHECKING:
    from parbake.app.application import App
    from parbake_semantic import BankSnapshot, Calibration

_LOOKED_AT, _MOST_COMPLAINTS, _MOST_KEYS = 5000, 500, 1000
_PATIENT_S = 0.5
"""How long a page waits for a picture that is being computed."""
_ERRORS = (0.01, 0.02, 0.05, 0.1)
_FEWEST = 2
"""Of fewer answers nothing can be calibrated."""
UNNOTED = "no reason noted"
_MEANS = {
    "unsure": "the match is less certain than required",
    "audit": "withheld on purpose, to compare it with a fresh answer",
    "unanswered": "the bank knows the question and has no answer to it",
    "demoted": "the answer was withdrawn after complaints",
    "bank_too_small": "no certainty keeps the promise with so few wordings",
    "not_calibrated": "the bank was never calibrated",
    "scope_differs": "asked in another language or by another audience",
    "model_changed": "the bank was made with another embedding model",
    "own_state": "about the person who asks",
    "live_data": "about something that changes all the time",
    "context_dependent": "means nothing without what was said before",
    "numbers_differ": "another number than in the nearest wording",
    "polarity_differs": "asks for the opposite of the nearest wording",
    "several_questions": "more than one question",
    "injection": "an instruction instead of a question",
    "guard": "the answer's text was not released",
    "stale": "the stored answer may not be served now",
    UNNOTED: "the app has noted no refusal",
}
"""What reasons mean, as far as they are parbake's own; an app has further ones."""


class RefusalLine(msgspec.Struct, frozen=True):
    """One reason for which questions were not answered from a bank; ``example`` is the id of such an answer."""

    reason: str
    means: str
    count: str
    part: float
    share: str
    example: str


class WithdrawnLine(msgspec.Struct, frozen=True):
    """An answer that is withheld, or that somebody complained of; ``example`` is the id of the answer complained of."""

    answer: str
    why: str
    complaints: int
    example: str


class BankPart(msgspec.Struct, frozen=True, kw_only=True):
    """One bank, in words. Without ``figures`` there is none, and ``sentence`` says why."""

    task: str
    sentence: str
    covered: float = 0.0
    figures: Sequence[tuple[str, str]] = ()
    calibration: Sequence[tuple[str, str]] = ()
    refusals: Sequence[RefusalLine] = ()
    withdrawn: Sequence[WithdrawnLine] = ()
    plot: OutlookPlot | None = None
    is_drawn_soon: bool = False
    bounds: Sequence[tuple[str, str, str]] = ()


class BankPage(msgspec.Struct, frozen=True):
    """What the page shows; ``missing`` says what is not installed."""

    banks: Sequence[BankPart] = ()
    has_ledger: bool = False
    missing: str = ""


class Asked(msgspec.Struct, frozen=True):
    """The newest answers to questions that a bank was asked, and those that it answered; how long ago the oldest is."""

    all: Sequence[Answer] = ()
    answered: Sequence[Answer] = ()
    since_s: float | None = None

    @property
    def covered(self) -> float:
        """The share that the bank answered, 0 to 1."""
        return len(self.answered) / len(self.all) if self.all else 0.0


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

    made = snapshot.calibration
    assert made is not None  # noqa: S101  # the caller looked
    return outlook(snapshot, sorted({*_ERRORS, made.bound.error}), made.bound.prior)


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
    return BankPage([await _bank(app, task, newest, complained, outlooks) for task in tasks], books is not None)


def _noted(books: Books) -> tuple[list[Answer], list[Answer]]:
    answers = books.answers
    return answers.newest(_LOOKED_AT), answers.newest(_MOST_COMPLAINTS, COMPLAINED)


async def _bank(
    app: App, task: ModelTask[Any], newest: Sequence[Answer], complained: Sequence[Answer], outlooks: Outlooks
) -> BankPart:
    try:
        snapshot: BankSnapshot = await app.model(task)
        readers = [other for other in app.tasks if task in other.inputs]
        withheld = dict.fromkeys(snapshot.demoted, "demoted in the bank")
        for reader in readers:
            if isinstance(reader, Stored):
                withheld |= await _absences(app, reader, snapshot.answered)
    except (NotMaterialized, StoreError) as error:
        return BankPart(task=task.name, sentence=one_line(error))
    asked = _asked(newest, {reader.name for reader in readers}, {*snapshot.answered}, app.settings.clock.now())
    made, found = snapshot.calibration, None
    if made is not None and len(snapshot.bank.answers) >= _FEWEST:
        found = await outlooks.of(task.name, snapshot)
    return BankPart(
        task=task.name,
        sentence=_sentence(asked),
        covered=asked.covered,
        figures=_figures(snapshot, withheld, asked),
        calibration=_calibration(snapshot),
        refusals=_refusals(asked),
        withdrawn=_withdrawn(withheld, [one for one in complained if one.subject in snapshot.bank.answers]),
        plot=_plot(found, snapshot, asked),
        is_drawn_soon=found is None and made is not None and len(snapshot.bank.answers) >= _FEWEST,
        bounds=_bounds(found),
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


def _sentence(asked: Asked) -> str:
    if not asked.all:
        return "No question that it was asked is recorded."
    return (
        f"It answered {share(asked.covered)} of the {count(len(asked.all))} newest questions that it was asked, "
        f"the oldest of them {span(asked.since_s)} ago."
    )


def _figures(snapshot: BankSnapshot, withheld: Mapping[str, str], asked: Asked) -> list[tuple[str, str]]:
    stored = sum(one.lane != "realtime" for one in asked.answered)
    return [
        ("answers", count(len(snapshot.bank.answers) - len(snapshot.unanswered))),
        ("of them withheld", count(len(withheld))),
        ("known questions without an answer", count(len(snapshot.unanswered))),
        ("wordings", count(len(snapshot.bank.aliases))),
        ("questions asked", count(len(asked.all))),
        ("answered from it", count(len(asked.answered))),
        ("of them computed ahead or after an event", count(stored)),
    ]


def _calibration(snapshot: BankSnapshot) -> list[tuple[str, str]]:
    made = snapshot.calibration
    if made is None:
        return [("calibration", "none: only known wordings are answered")]
    per = "its answers" if made.bound.per == "served" else "all questions"
    return [
        ("wrong answers promised", f"at most {share(made.bound.error)} of {per}, 95 % sure"),
        ("if questions without an answer are", share(made.bound.prior)),
        ("certainty required", "known wordings only" if made.least is None else _certainty(made)),
        ("questions it should answer", share(made.expected)),
        ("learned from wordings left out", count(made.rows)),
    ]


def _refusals(asked: Asked) -> list[RefusalLine]:
    """Why questions were not answered from the bank, the most frequent reason first; an answer may have several."""
    counts: Counter[str] = Counter()
    example: dict[str, str] = {}
    answered = {one.id for one in asked.answered}
    for one in asked.all:
        if one.id not in answered:
            for reason in {why.partition(":")[0] for why in one.refusals} or {UNNOTED}:
                counts[reason] += 1
                example.setdefault(reason, one.id)
    missed = len(asked.all) - len(answered)
    return [
        RefusalLine(why, _MEANS.get(why, "a reason of the app"), count(n), n / missed, share(n / missed), example[why])
        for why, n in counts.most_common()
    ]


def _withdrawn(withheld: Mapping[str, str], complained: Sequence[Answer]) -> list[WithdrawnLine]:
    of: dict[str, list[Answer]] = {name: [] for name in withheld}
    for one in complained:
        of.setdefault(one.subject, []).append(one)
    return [
        WithdrawnLine(name, withheld.get(name, ""), len(found), found[0].id if found else "")
        for name, found in of.items()
    ]


def _plot(found: Any, snapshot: BankSnapshot, asked: Asked) -> OutlookPlot | None:
    made = snapshot.calibration
    if found is None or made is None:
        return None
    return outlook_plot(
        list(zip(found.answered.tolist(), found.wrong.tolist(), found.limit.tolist(), strict=True)),
        promised=made.bound.error,
        expected=made.expected if made.least is not None else None,
        covered=asked.covered if asked.all else None,
    )


def _bounds(found: Any) -> list[tuple[str, str, str]]:
    """Each bound that could be promised: the error, the certainty that it requires, and the share it would answer."""
    if found is None:
        return []
    return [
        (share(made.bound.error), NONE if made.least is None else _certainty(made), share(made.expected))
        for made in found.calibrations
    ]


def _certainty(made: Calibration) -> str:
    return f"{100 * made.chance:.1f} %"


def _reason_of(payload: bytes) -> str:
    """Why a value is missing, as it is stored."""
    try:
        return msgspec.msgpack.decode(payload, type=str)
    except msgspec.MsgspecError:
        return "missing"
