"""The plugin that adds the pages: ``App(plugins=[Ledger(...), Console()])``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from parbake.app.plugin import Parts, Plugin
from parbake.errors import BadInput, ContractError
from parbake.http import HttpRequest, Response, Route
from parbake.values.duration import seconds
from parbake_console.answers_page import answers_page
from parbake_console.economics_page import economics_page
from parbake_console.freshness_page import freshness_page
from parbake_console.history import History
from parbake_console.pages import HTML, ROOT, Pages, moved, static
from parbake_planner.books import Ledger


class Console(Plugin[History]):
    """Adds ``/console`` to a server: freshness, economics and answers, for who decides and for who is on call.

    With an operator token, a browser signs in with it. Costs and answers need a :class:`parbake_planner.Ledger`, which
    stands before the console in the list of plugins.
    """

    def open(self, parts: Parts) -> History:
        """Look at the app as long as a server runs; see :class:`parbake.Plugin`."""
        history = History(parts.core, parts.clock)
        parts.on.server.append(history.run)
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
            Route("GET", f"{ROOT}/static/{{name}}", static, produces=("text/css", "text/javascript")),
        ]


class EconomicsArguments(msgspec.Struct, forbid_unknown_fields=True):
    """The query string of ``GET /console/economics``: how far back, such as ``7d``."""

    since: str = "1d"


class AnswersArguments(msgspec.Struct, forbid_unknown_fields=True):
    """The query string of ``GET /console/answers``: an answer's id, or a word to look for."""

    word: str = ""


class _Views:
    """Answers the pages of one app. Who may not operate is sent to the page where one signs in."""

    def __init__(self, app: Any, pages: Pages) -> None:
        self._app, self._pages = app, pages

    async def first(self, request: HttpRequest) -> Response:
        """The way to the first page."""
        return moved(request, "/freshness")

    async def sign_in(self, request: HttpRequest) -> Response:
        """The page where an operator signs in."""
        return self._pages.page(request, "sign-in", signed_in=request.may_operate)

    async def freshness(self, request: HttpRequest) -> Response:
        """Each task's ages against its SLA, the lag of each source, and what began or ended in the last hour."""
        if not request.may_operate:
            return moved(request, "/sign-in")
        seen = await freshness_page(self._app, self._app.plugins[Console])
        return self._pages.page(request, "freshness", page=seen)

    async def economics(self, request: HttpRequest, *, arguments: EconomicsArguments) -> Response:
        """What each lane, task and owner cost, and from how many reads on each task is cheaper computed ahead."""
        if not request.may_operate:
            return moved(request, "/sign-in")
        books = self._app.plugins.get(Ledger)
        if books is None:
            return self._pages.page(request, "no-ledger")
        try:
            since_s = seconds(arguments.since, field="since")
        except ContractError as error:
            raise BadInput(str(error), field="since") from error
        seen = await economics_page(self._app, books, since=arguments.since, since_s=since_s)
        return self._pages.page(request, "economics", page=seen)

    async def answers(self, request: HttpRequest, *, arguments: AnswersArguments) -> Response:
        """One answer by its id, or the newest: what each was made of, why, and at what cost."""
        if not request.may_operate:
            return moved(request, "/sign-in")
        books = self._app.plugins.get(Ledger)
        if books is None:
            return self._pages.page(request, "no-ledger")
        seen = await answers_page(books, self._app.settings.clock, word=arguments.word.strip())
        return self._pages.page(request, "answers", page=seen)
