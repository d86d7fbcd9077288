"""Alerts the owners when a server cannot read its file of keys, and when it can again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from parbake.http.access.callers import Callers
from parbake.ports.alerts import Alert
from parbake.process.loops import forever

if TYPE_CHECKING:
    from parbake.app.application import App

LOOK_S = 5.0
_log = logging.getLogger("parbake.keys")


class KeyWatch:
    """Looks at the keys of one server, for as long as it runs."""

    def __init__(self, app: App, callers: Callers) -> None:
        """Believe that the keys can be read."""
        self._app, self._callers = app, callers
        self._is_alerted = False

    async def run(self) -> None:
        """Look every five seconds until cancelled."""
        await forever(self.look, LOOK_S, what="the watch of the keys", log=_log)

    async def look(self) -> None:
        """Alert each owner of a task once when the file cannot be read any more, and once when it can."""
        trouble = self._callers.trouble()  # in the loop, like requests, which read the same keys
        if bool(trouble) == self._is_alerted:
            return
        self._is_alerted = bool(trouble)
        kind = "keys_unreadable" if trouble else "keys_readable"
        now, bound_tasks = self._app.settings.clock.now(), self._app.engine.tasks.values()
        for owner in sorted({bound.contract.owner for bound in bound_tasks}):
            message = trouble or "the file of keys can be read again"
            await self._app.ops.alert(Alert(kind, "", owner, message, now, f"keys/{owner}"))
