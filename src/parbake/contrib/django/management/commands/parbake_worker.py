"""``manage.py parbake_worker``: polls the outboxes, and sweeps what nothing may serve any more."""

from __future__ import annotations

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from parbake.app.application import App
from parbake.cli.support import ending
from parbake.contrib.django import runtime
from parbake.errors import ParbakeError


class Command(BaseCommand):
    """Runs the worker until it is told to end."""

    help = "Polls the outboxes and sweeps the store until told to end. Web processes poll, too; one worker is enough."

    def handle(self, **_: Any) -> None:
        """Run until SIGINT or SIGTERM."""
        with ending.handling_signals():
            self.stdout.write("the worker runs")
            self.stdout.flush()
            try:
                ending.run(_work(runtime.made()))
            except ParbakeError as error:
                raise CommandError(str(error)) from error


async def _work(app: App) -> None:
    watching = asyncio.create_task(runtime.accept_others(app))
    try:
        await runtime.accepting(app, app.work)
    finally:
        watching.cancel()
        await app.close()
