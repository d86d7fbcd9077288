"""``manage.py parbake_capture``: installs the triggers that ``PARBAKE`` asks for, or checks them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from parbake.contrib.django import capturing, project


class Command(BaseCommand):
    """Installs triggers as ``migrate`` does."""

    help = "Installs the triggers of the models in PARBAKE['capture'], as migrate does."

    def add_arguments(self, parser: Any) -> None:
        """Add ``--check``."""
        parser.add_argument("--check", action="store_true", help="change nothing, and fail if a trigger is missing")

    def handle(self, **options: Any) -> None:
        """Install the triggers; with ``--check`` raises :class:`CommandError` if a change is not told."""
        aliases = project.aliases()
        if not options["check"]:
            changed = [name for alias in aliases for name in capturing.install(alias)]
            self.stdout.write(f"changed: {', '.join(changed)}" if changed else "nothing to change")
            return
        found = [problem for alias in aliases for problem in capturing.problems(alias)]
        if found:
            raise CommandError("\n".join([*found, "Run manage.py parbake_capture."]))
        names = ", ".join(each.name for each in project.captured())
        self.stdout.write(f"all changes of {names} are told" if names else "nothing is captured")
