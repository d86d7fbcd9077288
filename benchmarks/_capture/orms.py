"""The same changes by Django and SQLAlchemy, seen by triggers and by what their own caches hook into.

The hooks are Django's signals and the session events of SQLAlchemy. Bulk writes and raw SQL pass by both; the figure
says how many tags they miss. Beside them stands django-cacheops itself, with the queries that it still answers with
old values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from _peers import run
from tests.servers import pg

import parbake_capture
from _capture.django_ways import django_ways, names, policy_model
from parbake.adapters.postgresql import PostgresqlSource

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
    """The tags that triggers and hooks miss of changes by each ORM, and the outdated answers of django-cacheops."""
    server.sql("CREATE DATABASE orms")
    address = f"postgresql://postgres@127.0.0.1:{server.port}/orms"
    server.sql(TABLE, dbname="orms")
    parbake_capture.install(address, "policies:policy/{id}")
    source = PostgresqlSource(address, families=["policy"], views=[])
    found: dict[str, float] = {}
    for name, ways in (("django", _django), ("sqlalchemy", _sqlalchemy)):
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
            f"{name}_tags": tags, f"{name}_missed_by_triggers": by_triggers, f"{name}_missed_by_its_hooks": by_hooks,
        }  # fmt: skip
    source.close()
    cacheops = run("missed_by_cacheops.py", str(server.port))
    return found | {"cacheops_queries": cacheops["queries"], "cacheops_outdated": cacheops["missed"]}


def _told(source: PostgresqlSource, cursor: bytes) -> tuple[set[str], bytes]:
    found: set[str] = set()
    while True:
        page = source.read(cursor, 1000)
        found.update(event.subject for event in page.events)
        cursor = page.cursor
        if page.is_end:
            return found, cursor


def _tags(names: list[str]) -> set[str]:
    return {f"policy/{name}" for name in names}


def _django(port: int, hooked: Hooked) -> Iterator[set[str]]:
    """Write in each way that Django has; yield the tags that each should raise."""
    from django.db import connection
    from django.db.models import signals

    policy = policy_model(port)
    for signal in (signals.post_save, signals.post_delete):
        signal.connect(lambda instance, **_: hooked.hear(instance.pk), sender=policy, weak=False)
    for _, changed, write in django_ways(policy):
        write()
        yield _tags(changed)
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
    ours, table = names("s"), Policy.__table__
    with Session(engine) as session:
        session.add_all([Policy(id=name) for name in ours])
        session.commit()
        yield _tags(ours)
        for one in session.scalars(sa.select(Policy)):
            one.days = 4
        session.commit()
        yield _tags(ours)
        session.execute(sa.update(Policy).where(Policy.id.in_(ours)).values(days=5))
        session.commit()
        yield _tags(ours)
        session.bulk_insert_mappings(Policy, [{"id": name, "days": 1} for name in names("sb")])
        session.commit()
        yield _tags(names("sb"))
    with engine.begin() as connection:
        connection.execute(sa.insert(table), [{"id": name, "days": 1} for name in names("sc")])
    yield _tags(names("sc"))
    with engine.begin() as connection:
        connection.execute(insert(table).values([{"id": n, "days": 2} for n in ours]).on_conflict_do_nothing())
        connection.execute(sa.update(table).where(table.c.id.in_(ours)).values(days=table.c.days + 1))
    yield _tags(ours)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE policies SET days = 0 WHERE id LIKE 's%'"))
    yield _tags(ours) | _tags(names("sb")) | _tags(names("sc"))
    with engine.begin() as connection:
        connection.execute(sa.delete(table).where(table.c.id.in_(ours)))
    yield _tags(ours)
    engine.dispose()
