"""A durable Valkey that is started again keeps its values, as long as a captured database tells of every change."""

import contextlib

import pytest
import sqlalchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from tests.servers import captured_shop, launch

import parbake as pb
from parbake.adapters.postgresql import PostgresqlSource
from parbake.errors import ParbakeError

server, shop = captured_shop.server, captured_shop.shop


class Base(DeclarativeBase):
    """The tables of the shop."""


class Policy(Base):
    """For how long something can be returned."""

    __tablename__ = "policies"

    id: Mapped[str] = mapped_column(primary_key=True)
    days: Mapped[int]


class Policies(pb.View):
    """The days by policy."""

    families = ("policy",)

    def days(self, name):
        """Of one policy."""
        self.entity(f"policy/{name}")
        return self.rows("SELECT days FROM policies WHERE id = :id", id=name)[0][0]


class Heard:
    """An alert sink that keeps the kinds of alerts."""

    def __init__(self):
        """Start with none."""
        self.kinds = []

    async def send(self, alert):
        """Keep its kind."""
        self.kinds.append(alert.kind)


class Service:
    """An app whose writers use SQLAlchemy and tell nobody."""

    def __init__(self, shop, store, journal):
        """Open the app on a store."""
        self.computed, self.heard = 0, Heard()
        self.engine = sqlalchemy.create_engine(shop.address.replace("postgresql://", "postgresql+psycopg://"))
        self.source = PostgresqlSource(shop.address, families=["policy", "catalog"], views=[Policies])
        tasks = pb.Registry()

        @tasks.artifact(
            freshness_sla="1h", invalidated_by=[pb.fence("policy")], fallback_if_stale=pb.Recompute(), owner="shop"
        )
        def days(name: str, *, policies: pb.Source[Policies]) -> int:
            self.computed += 1
            return policies.days(name)

        self.days = days
        durability = pb.Durability(journal=journal)
        self.app = pb.App(tasks, sources=[self.source], store=store, durability=durability, alerts=[self.heard])

    def write(self, name, days):
        """Commit a change with SQLAlchemy."""
        with Session(self.engine) as session, session.begin():
            session.get_one(Policy, name).days = days

    async def read(self, name):
        """Return the days of a policy, and whether they were computed for this read."""
        before = self.computed
        found = (await self.app.serve(self.days, name)).value
        return found, self.computed > before

    async def look(self):
        """Poll the database, and look for what has to be told to somebody; the first call after a restart may fail."""
        with contextlib.suppress(ParbakeError):
            await self.app.drain()
        await self.app.drain()
        await self.app.engine.health.check()

    async def incarnation(self):
        """The store's incarnation, which is trusted."""
        control = (await self.app.engine.store.stamp()).control
        assert control.is_trusted
        return control.incarnation

    async def close(self):
        """Close what is open."""
        await self.app.close()
        self.source.close()
        self.engine.dispose()


@pytest.fixture
def valkey(tmp_path):
    """Return a durable server of its own."""
    (tmp_path / "valkey").mkdir()
    with launch.valkey(tmp_path / "valkey") as started:
        yield started


async def test_a_plain_restart_discards_nothing_until_a_change_is_only_touched(shop, valkey, tmp_path):
    """Values are kept and nobody is alerted, though nobody has promised anything; after one ``touch`` they are not."""
    service = Service(shop, valkey.url, tmp_path / "journal.jsonl")
    await service.look()
    assert await service.read("a") == (1, True)
    service.write("a", 30)
    await service.look()
    assert [await service.read(name) for name in ("a", "b")] == [(30, True), (2, True)]
    first = await service.incarnation()

    valkey.restart()
    await service.look()
    second = await service.incarnation()
    assert second > first, "the restart was noticed"
    assert [await service.read(name) for name in ("a", "b")] == [(30, False), (2, False)]
    assert service.heard.kinds == []

    await service.app.touch("policy/a")
    assert await service.read("a") == (30, True)
    valkey.restart()
    await service.look()
    assert await service.incarnation() > second
    assert [await service.read(name) for name in ("a", "b")] == [(30, True), (2, True)]
    assert service.heard.kinds == ["store_lost"]
    await service.close()
