"""The same changes by Django and SQLAlchemy, seen by triggers and by what their own caches hook into.

The hooks are Django's signals, on which caches such as django-cacheops rely, and the session events of SQLAlchemy. Bulk
writes and raw SQL pass by both; the figure says how many tags they miss.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tests.servers import pg

import parbake_capture
from parbake.adapters.postgresql import PostgresqlSource

COUNT = 50
TABLE = "CREATE TABLE policies(id TEXT PRIMARY KEY, days INT NOT NULL DEFAULT 0)"


class Hooked:
    """What hooks of an ORM have heard."""

    def __init__(self) -> None:
        """Hear nothing yet."""
        self.tags: set[str] = set()

    def hear(self, name: object) -> None:
        """Note that a row was written or deleted."""
        self.tags.add(f"policy/{name}")


def missed_by_orms(server: pg.Postgresql) -> dict[str, float]:
    """The tags that triggers and hooks miss of changes by each ORM; nothing for one that is not installed."""
    server.sql("CREATE DATABASE orms")
    address = f"postgresql://postgres@127.0.0.1:{server.port}/orms"
    server.sql(TABLE, dbname="orms")
    parbake_capture.install(address, "policies:policy/{id}")
    source = PostgresqlSource(address, families=["policy"], views=[])
    found: dict[str, float] = {}
    for name, ways in (("django", _django), ("sqlalchemy", _sqlalchemy)):
        with contextlib.suppress(ModuleNotFoundError):
            by_triggers = by_hooks = tags = 0
            cursor = _told(source, b"")[1]
            hooked = Hooked()
            for expected in ways(server.port, hooked):
                told, cursor = _told(source, cursor)
                tags += len(expected)
                by_triggers += len(expected - told)
                by_hooks += len(expected - hooked.tags)
                hooked.tags.clear()
            found |= {
                f"{name}_tags": tags, f"{name}_missed_by_triggers": by_triggers,
                f"{name}_missed_by_its_hooks": by_hooks,
            }  # fmt: skip
    source.close()
    return found


def _told(source: PostgresqlSource, cursor: bytes) -> tuple[set[str], bytes]:
    found: set[str] = set()
    while True:
        page = source.read(cursor, 1000)
        found.update(event.subject for event in page.events)
        cursor = page.cursor
        if page.is_end:
            return found, cursor


def _names(way: str) -> list[str]:
    return [f"{way}{number}" for number in range(COUNT)]


def _tags(names: list[str]) -> set[str]:
    return {f"policy/{name}" for name in names}


def _django(port: int, hooked: Hooked) -> Iterator[set[str]]:
    """Write in each way that Django has; yield the tags that each should raise."""
    import django
    from django.conf import settings

    database = {
        "ENGINE": "django.db.backends.postgresql", "NAME": "orms", "USER": "postgres", "HOST": "127.0.0.1",
        "PORT": port,
    }  # fmt: skip
    settings.configure(DATABASES={"default": database}, INSTALLED_APPS=[], USE_TZ=True)
    django.setup()
    from django.db import connection, models, transaction
    from django.db.models import F, signals

    class Policy(models.Model):  # noqa: DJ008  # it is never shown
        id = models.TextField(primary_key=True)
        days = models.IntegerField(default=0)

        class Meta:
            app_label, db_table, managed = "shop", "policies", False

    for signal in (signals.post_save, signals.post_delete):
        signal.connect(lambda instance, **_: hooked.hear(instance.pk), sender=Policy, weak=False)
    rows = Policy.objects
    names = _names("d")
    for name in names:
        rows.create(id=name)
    yield _tags(names)
    rows.filter(id__in=names).update(days=F("days") + 1)
    yield _tags(names)
    rows.bulk_create([Policy(id=name) for name in _names("db")])
    yield _tags(_names("db"))
    rows.bulk_create([Policy(id=name, days=2) for name in names], update_conflicts=True, update_fields=["days"],
                     unique_fields=["id"])  # fmt: skip
    yield _tags(names)
    found = list(rows.filter(id__in=names))
    for one in found:
        one.days = 9
    rows.bulk_update(found, ["days"])
    yield _tags(names)
    with transaction.atomic(), contextlib.suppress(ZeroDivisionError), transaction.atomic():
        rows.filter(id="d0").update(days=1)
        raise ZeroDivisionError
    yield set()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE policies SET days = 3 WHERE id = ANY(%s)", [names])
    yield _tags(names)
    rows.filter(id__in=names)._raw_delete(rows.db)  # noqa: SLF001  # how Django deletes without signals
    yield _tags(names)
    rows.filter(id__in=_names("db")).delete()
    yield _tags(_names("db"))
    connection.close()


def _sqlalchemy(port: int, hooked: Hooked) -> Iterator[set[str]]:
    """Write in each way that SQLAlchemy has; yield the tags that each should raise."""
    import sqlalchemy as sa
    from sqlalchemy.dialects.postgresql import insert
    from sqlalchemy.orm import DeclarativeBase, Session, mapped_column

    class Base(DeclarativeBase):
        pass

    class Policy(Base):
        __tablename__ = "policies"
        id = mapped_column(sa.Text, primary_key=True)
        days = mapped_column(sa.Integer, default=0)

    engine = sa.create_engine(f"postgresql+psycopg://postgres@127.0.0.1:{port}/orms")
    hear: Callable[..., None] = lambda _mapper, _connection, target: hooked.hear(target.id)  # noqa: E731  # a listener
    for event in ("after_insert", "after_update", "after_delete"):
        sa.event.listen(Policy, event, hear)
    names, table = _names("s"), Policy.__table__
    with Session(engine) as session:
        session.add_all([Policy(id=name) for name in names])
        session.commit()
        yield _tags(names)
        for one in session.scalars(sa.select(Policy)):
            one.days = 4
        session.commit()
        yield _tags(names)
        session.execute(sa.update(Policy).where(Policy.id.in_(names)).values(days=5))
        session.commit()
        yield _tags(names)
        session.bulk_insert_mappings(Policy, [{"id": name, "days": 1} for name in _names("sb")])
        session.commit()
        yield _tags(_names("sb"))
    with engine.begin() as connection:
        connection.execute(sa.insert(table), [{"id": name, "days": 1} for name in _names("sc")])
    yield _tags(_names("sc"))
    with engine.begin() as connection:
        connection.execute(insert(table).values([{"id": n, "days": 2} for n in names]).on_conflict_do_nothing())
        connection.execute(sa.update(table).where(table.c.id.in_(names)).values(days=table.c.days + 1))
    yield _tags(names)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE policies SET days = 0 WHERE id LIKE 's%'"))
    yield _tags(names) | _tags(_names("sb")) | _tags(_names("sc"))
    with engine.begin() as connection:
        connection.execute(sa.delete(table).where(table.c.id.in_(names)))
    yield _tags(names)
    engine.dispose()
