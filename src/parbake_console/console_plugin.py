"""The plugin that adds the pages: ``App(plugins=[Ledger(...), Console()])``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import msgspec

from parbake.app.plugin import Parts, Plugin
from parbake.errors import BadInput, ContractError, UnknownResource
from parbake.http import HttpRequest, JsonResponse, Response, Route, json_response
from parbake.values.duration import seconds
from parbake_console.answers_page import answers_page
from parbake_console.bank_page import Outlooks, bank_page
from parbake_console.economics_page import Spent, economics_page, measured_prices
from parbake_console.events_page import events_page
from parbake_console.freshness_page import freshness_page
from parbake_console.history import History
from parbake_console.pages import HTML, ROOT, Pages, moved, static
from parbake_console.plan_comparison import PlanComparisons, planned_tasks
from parbake_console.tasks_page import tasks_page
from parbake_console.triggers_page import proposal_of, triggers_page
from parbake_planner.books import Ledger
from parbake_planner.plans import Planner


class Console(Plugin[History]):
    """Adds ``/console`` to a server: pages for who decides and for who is on call.

    With an operator token, a browser signs in with it. Costs and answers need a :class:`parbake_planner.Ledger`, which
    stands before the console in the list of plugins.
    """

    def open(self, parts: Parts) -> History:
        """Look at the app as long as a server runs; see :class:`parbake.Plugin`."""
        history = History(parts)
        parts.on.applying.append(history.changes.applying)
        parts.on.server.append(history.run)
        parts.on.metrics.append(history.metrics)
        return history

    def routes(self, app: Any) -> Sequence[Route]:
        """The pages, and what they are made with."""
        views = _Views(app, Pages())
        return [
            Route("GET", ROOT, views.first, statuses=(303,), produces=(HTML,)),
            Route("GET", f"{ROOT}/sign-in", views.sign_in, produces=(HTML,)),
            Route("GET", f"{ROOT}/freshness", views.freshness, produces=(HTML,)),
            Route("GET", f"{ROOT}/economics", views.economics, produces=(HTML,)),
            Route("GET", f"{ROOT}/answers", views.answers, produces=(HTML,)),
            Route("GET", f"{ROOT}/bank", views.bank, produces=(HTML,)),
            Route("GET", f"{ROOT}/events", views.events, produces=(HTML,)),
            Route("GET", f"{ROOT}/tasks", views.tasks, produces=(HTML,)),
            Route("GET", f"{ROOT}/triggers", views.triggers, produces=(HTML,)),
            Route("POST", f"{ROOT}/triggers", views.apply, "operate"),
            Route("DELETE", f"{ROOT}/plans/{{task}}", views.undo, "operate"),
            Route("POST", f"{ROOT}/plans/{{task}}/comparison", views.compare, "operate"),
            Route("GET", f"{ROOT}/static/{{name}}", static, produces=("text/css", "text/javascript")),
        ]


class EconomicsArguments(msgspec.Struct, forbid_unknown_fields=True):
    """The query string of ``GET /console/economics``: how far back, such as ``7d``."""

    since: str = "1d"


class AnswersArguments(msgspec.Struct, forbid_unknown_fields=True):
    """The query string of ``GET /console/answers``: an answer's id or a word to look for; a time, in epoch seconds."""

    word: Annotated[str, msgspec.Meta(max_length=200)] = ""
    before: float | None = None


class TriggerBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /console/triggers``: which proposal to apply."""

    trigger: str
    task: str


class Followed(msgspec.Struct):
    """The strategy that a task follows from its next run on."""

    task: str
    strategy: str


class Compared(msgspec.Struct):
    """A task whose plan is compared with its alternatives, and whether that has ended."""

    task: str
    is_done: bool


class _Views:
    """Answers the pages of one app. Who may not look is sent to the page where one signs in."""

    def __init__(self, app: Any, pages: Pages) -> None:
        self._app, self._pages = app, pages
        self._outlooks, self._comparisons = Outlooks(), PlanComparisons()

    async def first(self, request: HttpRequest) -> Response:
        """The way to the first page."""
        return moved(request, "/freshness")

    async def sign_in(self, request: HttpRequest) -> Response:
        """The page where one signs in."""
        return self._pages.page(request, "sign-in", signed_in=request.caller.may("console"))

    async def freshness(self, request: HttpRequest) -> Response:
        """Each task's ages against its SLA, the lag of each source, and what began or ended in the last hour."""
        return await self._shown(request, "freshness", lambda: freshness_page(self._app, self._app.plugins[Console]))

    async def economics(self, request: HttpRequest, *, arguments: EconomicsArguments) -> Response:
        """What each lane, task and owner cost, and from how many reads on each task is cheaper computed ahead."""
        try:
            since_s = seconds(arguments.since, field="since")
        except ContractError as error:
            raise BadInput(str(error), field="since") from error
        return await self._shown(
            request,
            "economics",
            lambda books: economics_page(
                self._app,
                books,
                self._app.plugins.get(Planner),
                Spent(arguments.since, since_s),
                failing=self._app.plugins[Console].failing,
                comparisons=self._comparisons,
            ),
            needs=Ledger,
        )

    async def answers(self, request: HttpRequest, *, arguments: AnswersArguments) -> Response:
        """One answer by its id, or the newest: what each was made of, why, and at what cost."""
        word, clock = arguments.word.strip(), self._app.settings.clock
        return await self._shown(
            request,
            "answers",
            lambda books: answers_page(books, clock, word=word, before=arguments.before),
            needs=Ledger,
        )

    async def bank(self, request: HttpRequest) -> Response:
        """What each bank of questions answers, what it promises, and why it refuses; and what caches answer."""
        books = self._app.plugins.get(Ledger)
        return await self._shown(request, "bank", lambda: bank_page(self._app, books, self._outlooks))

    async def events(self, request: HttpRequest) -> Response:
        """The newest changes, the events that could not be read, and what operators have done."""
        return await self._shown(request, "events", lambda: events_page(self._app, self._app.plugins[Console]))

    async def tasks(self, request: HttpRequest) -> Response:
        """What is promised of each task, in which lanes it may be computed, and which are in quarantine."""
        return await self._shown(request, "tasks", lambda: tasks_page(self._app))

    async def triggers(self, request: HttpRequest) -> Response:
        """What should be decided again, by what evidence, and which plans are followed."""
        return await self._shown(request, "triggers", lambda plans: triggers_page(self._app, plans), needs=Planner)

    async def apply(self, _: HttpRequest, *, body: TriggerBody) -> JsonResponse[Followed]:
        """Apply a proposal, if it is still proposed."""
        plans = self._app.plugins[Planner]
        plan = await plans.apply(await proposal_of(plans, body.trigger, body.task))
        return json_response(Followed(body.task, plan.strategy))

    async def compare(self, request: HttpRequest) -> JsonResponse[Compared]:
        """Replay the plan of a task and its alternatives with its own requests; wait for that at most ten seconds."""
        plans, books = self._app.plugins[Planner], self._app.plugins[Ledger]
        name = request.parameters["task"]
        task = next((task for task in planned_tasks(self._app) if task.name == name), None)
        if task is None:
            raise UnknownResource("no task of this name is declared with refresh=planned()", field="task")
        prices = await measured_prices(books, task)
        return json_response(Compared(task.name, await self._comparisons.start(self._app, plans, task, prices)))

    async def undo(self, request: HttpRequest) -> JsonResponse[Followed]:
        """Let a task follow its previous plan again."""
        task = self._app.tasks[request.parameters["task"]]
        plan = await self._app.plugins[Planner].unadopt(task)
        return json_response(Followed(task.name, plan.strategy))

    async def _shown(
        self, request: HttpRequest, name: str, look: Callable[..., Awaitable[Any]], *, needs: Any = None
    ) -> Response:
        """Show a page to who may look; without the plugin that it needs, show what is missing."""
        if not request.caller.may("console"):
            return moved(request, "/sign-in")
        if needs is None:
            return self._pages.page(request, name, page=await look())
        state = self._app.plugins.get(needs)
        if state is None:
            return self._pages.page(request, "no-plugin", plugin=needs.__name__)
        return self._pages.page(request, name, page=await look(state))
