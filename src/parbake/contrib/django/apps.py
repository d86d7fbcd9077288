"""The app for ``INSTALLED_APPS``: checks of the settings, and triggers that ``migrate`` installs."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.signals import setting_changed
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate

from parbake.contrib.django import capturing, project, runtime, transactions


class ParbakeConfig(AppConfig):
    """Connects parbake to Django's signals and checks."""

    name = "parbake.contrib.django"
    label = "parbake"
    verbose_name = "parbake"

    def ready(self) -> None:
        """Connect."""
        checks.register(project.check, checks.Tags.models)
        connection_created.connect(transactions.watch, dispatch_uid="parbake")
        post_migrate.connect(capturing.after_migrate, sender=self, dispatch_uid="parbake")
        setting_changed.connect(_changed, dispatch_uid="parbake")


def _changed(*, setting: str, **_: Any) -> None:
    """Let a test's ``override_settings`` take effect."""
    if setting in ("PARBAKE", "DATABASES"):
        runtime.close()
