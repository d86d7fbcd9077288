"""The plugin that records what lanes cost: ``App(plugins=[Ledger("ledger.db")])``."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec

from parbake.app.plugin import Parts, Plugin
from parbake.errors import BadInput, ContractError
from parbake.ports.messages import HttpRequest, JsonResponse, Route, json_response
from parbake.ports.offers import ANSWERS, HEAT, WINDOWS, Load, Port
from parbake.ports.usage import is_generator
from parbake.tasks.task_types import Task
from parbake.values.duration import seconds
from parbake_planner.ledger.answer_table import Answer, AnswerTable
from parbake_planner.ledger.answers import Answers
from parbake_planner.ledger.break_evens import BreakEven, break_evens
from parbake_planner.ledger.costs import EXAMPLE, Cost, CostBook, Owned, costs, read_book
from parbake_planner.ledger.database import checked_address
from parbake_planner.ledger.focus_export import charges
from parbake_planner.ledger.ledger_writer import LedgerWriter
from parbake_planner.ledger.personal import LedgerOfPeople
from parbake_planner.planned import PLANS
from parbake_planner.spent import Spending
from parbake_planner.traffic import learn

_log = logging.getLogger("parbake.ledger")
A_DAY_S, _A_WEEK_S = 86_400.0, 604_800.0
_COUNTS_S = 60.0
DAYS = 28
"""How far back the traffic is looked at."""


class Books:
    """The opened ledger of an app: ``app.plugins[Ledger]``.

    Attributes:
        file: The rows.
        book: The prices.
        answers: The recorded answers: look one up by the id that its client received, or complain about it.
    """

    def __init__(self, path: Path | str, book: CostBook, parts: Parts) -> None:
        """Open the file or the database at ``path``, and hear of everything that costs something."""
        self.book = book
        self._parts = parts
        self._counted: dict[str, float] = {}
        self._uncounted: set[str] = set()
        self._count_again_at = float("-inf")
        self.file = LedgerWriter(path, parts.counters, parts.clock)
        parts.on.close.append(self.file.close)
        parts.on.flush.append(self.file.settle)
        parts.on.hear(self.file)
        parts.on.live.append(self.file.live)
        parts.on.paced.append(self.file.paced)
        parts.on.ran.append(self.file.ran)
        self.counts_tokens = False
        """Whether a plugin behind this one counts the tokens of generators; ``Prompts()`` does, and says so here."""
        parts.wrap(object, self._note_uncounted)
        spending = Spending()
        parts.on.metrics.append(spending.metrics)

        async def look() -> None:
            await spending.run(self.file, book, parts.clock)

        parts.on.server.append(look)
        parts.personal.append(LedgerOfPeople(self.file, parts.tasks))
        self.answers = Answers(
            AnswerTable(self.file), parts.clock, parts.tasks, parts.known,
            book=book, store=parts.store, touch=parts.core.touch, send=parts.core.send,
        )  # fmt: skip

    def _note_uncounted(self, resource: Any, task: Task, lane: str) -> Any:
        """Record that a task gets a generator whose tokens nobody counts, so that its cost is not taken for 0."""
        if not self.counts_tokens and is_generator(resource):
            name = str(getattr(resource, "name", type(resource).__name__))
            self.file.unreported(task.name, lane, name)
            if task.name not in self._uncounted:
                self._uncounted.add(task.name)
                _log.warning(
                    "%s gets the generator %s, and nobody counts its tokens: name parbake_llm.Prompts() behind "
                    "Ledger(...) in plugins=", task.name, name
                )  # fmt: skip
        return resource

    def load(self, now: float) -> Load:
        """Learn from the request log when traffic is low; see :class:`parbake.ports.offers.Windows`."""
        return learn(self.file.traffic(days=DAYS), now)

    async def costs(self, book: CostBook | None = None, *, since_s: float = A_DAY_S) -> list[Cost]:
        """Return the usage and the cost of each task in each lane, most expensive first.

        Args:
            book: The prices; by default those of the plugin.
            since_s: How far back to look, in seconds.
        """
        since, priced_by = self._parts.clock.now() - since_s, book or self.book
        return await asyncio.to_thread(costs, self.file, priced_by, await self._owners(), since=since)

    async def break_evens(self) -> list[BreakEven]:
        """Return from how many reads on each task is cheaper computed ahead, dearest first, by the last week's costs.

        Only tasks that were computed both ahead and on request in that week are known, and only if all has a price.
        """
        now, tasks = self._parts.clock.now(), self._parts.tasks.values()
        windows = {bound.name: bound.task.schedule.period_s for bound in tasks if bound.task.schedule}
        runs = await asyncio.to_thread(self.file.runs, since=now - _A_WEEK_S)
        today = await asyncio.to_thread(self.file.serves, since=now - A_DAY_S)
        return break_evens(await self.costs(since_s=_A_WEEK_S), windows, runs, today, self.book.serve)

    async def on_request(self) -> dict[str, float]:
        """Return how often a day each task would be computed at most if it were computed on request only.

        A value that was computed is stored for its SLA, so that further reads of its key compute nothing until then.
        The keys are those of the span of the last day, as long as the SLA, in which most were read. Changes that
        outdate values are not counted.
        """
        now = self._parts.clock.now()
        if now >= self._count_again_at:
            slas = {bound.name: bound.contract.freshness_sla_s for bound in self._parts.tasks.values()}
            keys = await asyncio.to_thread(self.file.keys_in_a_span, slas, since=now - A_DAY_S)
            self._counted = {task: count * max(1.0, A_DAY_S / slas[task]) for task, count in keys.items()}
            self._count_again_at = now + _COUNTS_S
        return self._counted

    async def charges(self, book: CostBook | None = None, *, since_s: float = A_DAY_S) -> list[dict[str, Any]]:
        """Return the costs by the hour, in the columns of FOCUS 1.2 (:mod:`parbake_planner.ledger.focus_export`).

        Args:
            book: The prices; by default those of the plugin.
            since_s: How far back to look, in seconds.
        """
        since, priced_by, owners = self._parts.clock.now() - since_s, book or self.book, await self._owners()
        return await asyncio.to_thread(lambda: list(charges(self.file, priced_by, owners, since=since)))

    async def _owners(self) -> Mapping[str, Owned]:
        """The owner of each stored task, and the plan that it follows."""
        plans, owners = self._parts.found(PLANS), {}
        for bound in self._parts.tasks.values():
            follows = (await plans.current(bound)).strategy if plans is not None and bound.chooses_keys else ""
            owners[bound.name] = Owned(bound.contract.owner, follows)
        return owners


LEDGER: Port[Books] = Port("ledger", "parbake_planner.Ledger(path)")


class Ledger(Plugin[Books]):
    """Records what each computation, miss and token cost, and the answers that were given.

    The ledger is an SQLite file, or a PostgreSQL database that several hosts share (``pip install '.[postgresql]'``).

    It also orders refreshes by how often keys are read, and learns when traffic is low. Name it before the plugins that
    read it.
    """

    def __init__(self, path: str | Path, *, book: CostBook | str | PathLike[str] | None = None) -> None:
        """Keep the settings.

        Args:
            path: The SQLite file, which is created if it does not exist, or the URL of a PostgreSQL database, such as
                ``postgresql://shop@db.example/costs``.
            book: A dated cost book, or its path; by default an example that prices CPU time only.

        Raises:
            BadInput: It is neither a path nor such a URL, or the book cannot be read.
        """
        self.path, self.book = checked_address(path), priced(book)

    def open(self, parts: Parts) -> Books:
        """Open the file or the database; see :class:`parbake.Plugin`."""
        books = Books(self.path, self.book, parts)
        parts.offer(LEDGER, books)
        parts.offer(HEAT, books.file)
        parts.offer(WINDOWS, books)
        parts.offer(ANSWERS, books.answers)
        return books

    def routes(self, app: Any) -> Sequence[Route]:
        """The routes about costs and answers."""
        routes = _Routes(app)
        return [
            Route("GET", "/v1/costs", routes.costs, "operate"),
            Route("GET", "/v1/costs/break-even", routes.break_evens, "operate"),
            Route("GET", "/v1/answers/{answer_id}", routes.answer, "feedback"),
        ]


class CostsArguments(msgspec.Struct, forbid_unknown_fields=True):
    """The query string of ``GET /v1/costs``: how far back, such as ``1d``."""

    since: str = "1d"


class CostTable(msgspec.Struct):
    """What each task used and cost in each lane."""

    costs: list[Cost]


class BreakEvenTable(msgspec.Struct):
    """The break-even of each task that was computed both ahead and on request, dearest first."""

    break_evens: list[BreakEven]


class _Routes:
    def __init__(self, app: Any) -> None:
        self._app = app

    async def costs(self, _: HttpRequest, *, arguments: CostsArguments) -> JsonResponse[CostTable]:
        """What each task used and cost in each lane since ``?since=1d``."""
        try:
            since_s = seconds(arguments.since, field="since")
        except ContractError as error:
            raise BadInput(str(error), field="since") from error
        return json_response(CostTable(await self._app.plugins[Ledger].costs(since_s=since_s)))

    async def break_evens(self, _: HttpRequest) -> JsonResponse[BreakEvenTable]:
        """From how many reads on each task is cheaper computed ahead than on request, by the last week's costs."""
        return json_response(BreakEvenTable(await self._app.plugins[Ledger].break_evens()))

    async def answer(self, request: HttpRequest) -> JsonResponse[Answer]:
        """The origin of an answer: tasks, stamps, lanes, sources, refusals and cost, without its texts."""
        return json_response(await self._app.plugins[Ledger].answers.find(request.parameters["answer_id"]))


def priced(book: Any) -> CostBook:
    """Return a cost book: the one given, the one read from a path, or by default the example.

    Raises:
        BadInput: The value is not a cost book, a path or ``None``, or the file cannot be read.
    """
    if book is None or isinstance(book, CostBook):
        return book or EXAMPLE
    if not isinstance(book, str | PathLike):
        raise BadInput(f"book={book!r}: expected the path of a cost book, a CostBook, or None", field="book")
    return read_book(Path(book), today=dt.datetime.now(dt.UTC).date())
