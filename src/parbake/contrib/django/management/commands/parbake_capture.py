"""``manage.py parbake_capture``: installs the triggers that ``PARBAKE`` asks for, checks or removes them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from parbake.contrib.django import capturing, project


class Command(BaseCommand):
    """Installs triggers as ``migrate`` does."""

    help = "Installs the triggers of the models in PARBAKE['capture'], as migrate does."

    def add_arguments(self, parser: Any) -> None:
        """Add ``--check`` and ``--remove``."""
        chosen = parser.add_mutually_exclusive_group()
        chosen.add_argument("--check", action="store_true", help="change nothing, and fail if a trigger is missing")
        chosen.add_argument("--remove", action="store_true", help="remove all triggers of this project")

    def handle(self, **options: Any) -> None:
        """Install or remove the triggers; with ``--check`` raises :class:`CommandError` if a change is not told."""
        aliases = project.aliases()
        if not options["check"]:
            is_removal = options["remove"]
            known = [alias for alias in connections if alias in aliases or capturing.has_triggers(alias)]
            changed = [str(capturing.install(alias, is_removal=is_removal, is_repair=True)) for alias in known]
            self.stdout.write("; ".join(filter(None, changed)) or "nothing to change")
            return
        found = [problem for alias in aliases for problem in capturing.problems(alias)]
        if found:
            raise CommandError("\n".join([*found, "Run manage.py parbake_capture."]))
        names = ", ".join(each.name for each in project.captured())
        self.stdout.write(f"all changes of {names} are told" if names else "nothing is captured")
