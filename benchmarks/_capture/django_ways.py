"""The ways in which Django writes rows, for whoever compares what hears of them.

Django and the standard library only, so that a peer can use it in its environment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

COUNT = 50
Names = list[str]
Way = tuple[str, Names, Callable[[], object]]
"""What it is called, the rows that it changes, and what changes them."""


def names(way: str) -> Names:
    """The keys of the rows that a way has made."""
    return [f"{way}{number}" for number in range(COUNT)]


def policy_model(port: int, **settings: Any) -> Any:
    """Set Django up over the database ``orms`` of a server of this machine, and return the model of its table."""
    import django
    from django.conf import settings as configured

    database = {
        "ENGINE": "django.db.backends.postgresql", "NAME": "orms", "USER": "postgres", "HOST": "127.0.0.1",
        "PORT": port,
    }  # fmt: skip
    configured.configure(**{"DATABASES": {"default": database}, "INSTALLED_APPS": [], "USE_TZ": True, **settings})
    django.setup()
    from django.db import models

    class Policy(models.Model):  # noqa: DJ008  # it is never shown
        id = models.TextField(primary_key=True)
        days = models.IntegerField(default=0)

        class Meta:
            app_label, db_table, managed = "shop", "policies", False

    return Policy


def django_ways(policy: Any) -> Iterator[Way]:
    """Each way in its order; the later ones need the rows of the earlier ones."""
    from django.db.models import F

    rows, ours, bulk = policy.objects, names("d"), names("db")
    yield "create", ours, lambda: [rows.create(id=name) for name in ours]
    yield "save", ours, lambda: _save(rows, ours)
    yield "update", ours, lambda: rows.filter(id__in=ours).update(days=F("days") + 1)
    yield "bulk_create", bulk, lambda: rows.bulk_create([policy(id=name) for name in bulk])
    yield "bulk_create of known rows", ours, lambda: rows.bulk_create(
        [policy(id=name, days=20) for name in ours], update_conflicts=True, update_fields=["days"],
        unique_fields=["id"],
    )  # fmt: skip
    yield "bulk_update", ours, lambda: _bulk_update(rows, ours)
    yield "rolled back", [], lambda: _rolled_back(rows)
    yield "raw SQL", ours, lambda: _execute("UPDATE policies SET days = 3 WHERE id = ANY(%s)", ours)
    yield "raw delete", ours, lambda: rows.filter(id__in=ours)._raw_delete(rows.db)  # noqa: SLF001  # without signals
    yield "delete", bulk, lambda: rows.filter(id__in=bulk).delete()


def _save(rows: Any, ours: Names) -> None:
    for one in rows.filter(id__in=ours):
        one.days = 5
        one.save()


def _bulk_update(rows: Any, ours: Names) -> None:
    found = list(rows.filter(id__in=ours))
    for one in found:
        one.days = 9
    rows.bulk_update(found, ["days"])


def _rolled_back(rows: Any) -> None:
    from django.db import transaction

    with transaction.atomic(), contextlib.suppress(ZeroDivisionError), transaction.atomic():
        rows.filter(id="d0").update(days=1)
        raise ZeroDivisionError


def _execute(statement: str, ours: Names) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, [ours])
