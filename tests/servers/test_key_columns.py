"""Views that name a tag other than the one that a trigger raises for the row are refused; honest ones are served."""

import contextlib
import itertools
import sqlite3
from collections.abc import Callable
from typing import NamedTuple

import psycopg
import pytest
from tests.servers import pg
from tests.servers.key_lookups import HONEST, WRONG, Lookup, Mixin, by_child, from_mixin

import parbake as pb
import parbake_capture
from parbake.adapters import sqlite
from parbake.adapters.postgresql import PostgresqlSource
from parbake.adapters.sqlite import SqliteSource
from parbake.tasks.served import Verdict

SCHEMA = (
    "CREATE TABLE numbers(id INTEGER, lang TEXT, days INTEGER, PRIMARY KEY(id, lang))",
    "CREATE TABLE policies(id TEXT, lang TEXT, days INTEGER, alias TEXT, PRIMARY KEY(id, lang))",
    "CREATE TABLE pairs(shop TEXT, sku TEXT, days INTEGER, PRIMARY KEY(shop, sku))",
    "CREATE TABLE nicknames(id TEXT PRIMARY KEY, policy TEXT)",
    "CREATE TABLE parts(name TEXT PRIMARY KEY, policy TEXT, amount INTEGER)",
    "INSERT INTO numbers VALUES (7, 'en', 30)",
    "INSERT INTO policies VALUES ('Garden', 'en', 30, 'x')",
    "INSERT INTO pairs VALUES ('a/b', 'c', 30), ('', '', 30)",
    "INSERT INTO nicknames VALUES ('x', 'Garden')",
    "INSERT INTO parts VALUES ('bolt', 'Garden', 2)",
)
CAPTURED = ("numbers:number/{id}", "numbers:both/{id}/{lang}", "policies:policy/{id}", "pairs:pair/{shop}/{sku}")
CHANGE = [f"UPDATE {table} SET days = days + 1" for table in ("numbers", "policies", "pairs")]
FAMILIES = ("number", "both", "policy", "pair")


class Shop(NamedTuple):
    """A database with captured tables."""

    open_source: Callable
    """Return a source for a view."""
    execute: Callable
    """Run statements, each in a transaction of its own."""
    address: str
    """What is captured by."""


@pytest.fixture(scope="module")
def server():
    """Return a server."""
    with pg.folder() as place, pg.postgresql(place / "data", "fsync=off") as started:
        yield started


numbers = itertools.count()


@pytest.fixture
def postgresql_shop(server):
    """Make a database on a server."""
    name = f"shop{next(numbers)}"
    server.sql(f"CREATE DATABASE {name}")
    address = f"postgresql://postgres@127.0.0.1:{server.port}/{name}"
    server.sql(*SCHEMA, dbname=name)
    parbake_capture.install(address, *CAPTURED)
    with psycopg.connect(address, autocommit=True) as writer:

        def execute(*statements):
            for statement in statements:
                writer.execute(statement)

        yield Shop(lambda view: PostgresqlSource(address, families=FAMILIES, views=[view]), execute, address)


@pytest.fixture
def sqlite_shop(tmp_path):
    """Make a file."""
    path = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        sqlite.keep_in_wal(writer)

        def execute(*statements):
            for statement in statements:
                writer.execute(statement)

        execute(*SCHEMA)
        parbake_capture.install(f"sqlite:///{path}", *CAPTURED)
        yield Shop(lambda view: SqliteSource(path, families=FAMILIES, views=[view]), execute, f"sqlite:///{path}")


@pytest.fixture(params=["postgresql", "sqlite"])
def shop(request):
    """Return a shop on each database."""
    return request.getfixturevalue(f"{request.param}_shop")


def make_app(shop, lookup):
    """Return an app and its task, which reads by a method of a view."""

    class Policies(Mixin, pb.View):
        families = FAMILIES

        def find(self, key):
            """Return the rows of a key."""
            return lookup.method(self, key)

    tasks = pb.Registry()

    def days(key, view):
        call = view.mixed if lookup.method is from_mixin else view.find
        return [int(row[0]) for row in call(key)]

    days.__annotations__ = {"key": lookup.type, "view": pb.Source[Policies], "return": list[int]}
    fences = [pb.fence(name) for name in FAMILIES]
    task = tasks.artifact(invalidated_by=fences, freshness_sla="1h", fallback_if_stale=pb.Recompute(), owner="o")(days)
    return pb.App(tasks, sources=[shop.open_source(Policies)]), task


@contextlib.asynccontextmanager
async def opened(app):
    """Close an app that has read its sources once."""
    try:
        await app.drain()
        yield app
    finally:
        await app.close()


@pytest.mark.parametrize("lookup", WRONG, ids=lambda lookup: lookup.method.__name__)
async def test_a_tag_that_no_trigger_raises_for_the_row_is_refused(shop, lookup):
    """The computation fails, so that no old value can be served as fresh."""
    app, task = make_app(shop, lookup)
    async with opened(app):
        with pytest.raises(pb.errors.DeclarationError, match="a change of the row would not outdate it"):
            await app.serve(task, lookup.key)


async def test_a_table_that_is_captured_for_no_such_tag_is_left_to_the_program(shop):
    """A view of such a table alone may name the tag by any column, whatever that is called."""
    shop.execute("CREATE TABLE children(policies TEXT)", "INSERT INTO children VALUES ('Garden')")
    app, task = make_app(shop, Lookup(by_child, str, "Garden"))
    async with opened(app):
        assert (await app.serve(task, "Garden")).value == [30]


@pytest.mark.parametrize("lookup", HONEST, ids=lambda lookup: lookup.method.__name__)
async def test_the_tag_of_the_row_is_served_until_its_row_changes(shop, lookup):
    """Nothing is refused, and a change of the row is seen."""
    app, task = make_app(shop, lookup)
    async with opened(app):
        await app.serve(task, lookup.key)
        served = await app.serve(task, lookup.key)
        assert (served.value, served.verdict) == ([30], Verdict.FRESH)
        shop.execute(*CHANGE)
        await app.drain()
        assert (await app.serve(task, lookup.key)).value == [31]


ALTERED = {
    "integer": ("07", "7", "integer USING id::integer"),
    "padded": ("a ", "a", "char(10)"),
}
"""For each change of a column, a key that is the row's own before, the row that it finds afterwards, and the type."""


@pytest.mark.parametrize("change", ALTERED)
async def test_a_column_that_was_altered_is_looked_at_again_at_once(postgresql_shop, change):
    """A key that the column took for its own before is refused as soon as the change is acknowledged."""
    key, stored, column_type = ALTERED[change]
    execute = postgresql_shop.execute
    execute(
        "CREATE TABLE plans(id TEXT PRIMARY KEY, days INTEGER)",
        f"INSERT INTO plans VALUES ('{key}', 1), ('{stored}', 30)",
    )
    parbake_capture.install(postgresql_shop.address, "plans:policy/{id}")

    def by_key(view, key):
        """Compare the key with the column of the table that is altered."""
        view.entity(f"policy/{key}")
        return view.rows("SELECT days FROM plans WHERE id = :id", id=key)

    app, task = make_app(postgresql_shop, Lookup(by_key, str, key))
    async with opened(app):
        assert (await app.serve(task, key)).value == [1]
        execute(f"DELETE FROM plans WHERE id = '{key}'", f"ALTER TABLE plans ALTER id TYPE {column_type}")
        await app.drain()
        with pytest.raises(pb.errors.DeclarationError, match="a change of the row would not outdate it"):
            await app.serve(task, key)


async def test_a_table_that_is_captured_later_is_compared_at_once(postgresql_shop):
    """A tag that no trigger raised before a table was captured is refused afterwards."""
    postgresql_shop.execute(
        "CREATE TABLE plans(id TEXT, name TEXT, days INT)", "INSERT INTO plans VALUES ('a', 'x', 1)"
    )

    def by_name(view, key):
        """Compare the key with another column than the one that triggers spell later."""
        view.entity(f"policy/{key}")
        return view.rows("SELECT days FROM plans WHERE name = :name", name=key)

    app, task = make_app(postgresql_shop, Lookup(by_name, str, "x"))
    async with opened(app):
        assert (await app.serve(task, "x")).value == [1]
        parbake_capture.install(postgresql_shop.address, "plans:policy/{id}")
        await app.drain()
        with pytest.raises(
            pb.errors.DeclarationError, match="compares the column 'name', while triggers spell the tag from 'id'"
        ):
            await app.serve(task, "x")


@pytest.mark.parametrize("column_type", ["NAME", "OID"])
def test_a_column_that_cuts_or_wraps_keys_is_not_captured(postgresql_shop, column_type):
    """A name is cut after 63 bytes, and an OID of -1 is 4294967295, so that a key finds a row of another spelling."""
    postgresql_shop.execute(f"CREATE TABLE cut(id {column_type} PRIMARY KEY, days INTEGER)")
    with pytest.raises(pb.BadInput, match=f"column 'id' is of type {column_type.lower()}"):
        parbake_capture.install(postgresql_shop.address, "cut:policy/{id}")


@pytest.mark.parametrize("column_type", ["NAME", "OID"])
async def test_a_column_that_cuts_or_wraps_keys_is_not_compared_with_them(postgresql_shop, column_type):
    """A program that writes the tags itself is refused a key that the database may cut or wrap."""
    key = {"NAME": "x" * 70, "OID": -1}[column_type]
    postgresql_shop.execute(
        f"CREATE TABLE cut(id {column_type} PRIMARY KEY, days INTEGER)",
        f"INSERT INTO cut VALUES ('{str(key)[:63]}'::{column_type}, 30)",
    )

    def by_key(view, key):
        """Compare the key with a column that may cut or wrap it."""
        view.entity(f"policy/{key}")
        return view.rows("SELECT days FROM cut WHERE id = :id", id=key)

    app, task = make_app(postgresql_shop, Lookup(by_key, type(key), key))
    async with opened(app):
        with pytest.raises(pb.errors.DeclarationError, match=f"a column of type {column_type.lower()}"):
            await app.serve(task, key)


def folded_names() -> list[str]:
    """List names that no row has."""
    return ["garden", "absent"]


def plain_names() -> list[str]:
    """List names one of which a row has."""
    return ["absent", "Garden"]


async def test_a_template_of_many_keys_that_finds_other_spellings_is_refused(shop):
    """A key that finds a row of another spelling fails the computation, and one that is spelled alike does not."""

    class Policies(pb.View):
        families = ("policy",)

        def many(self, names):
            """Find policies by a conversion of their key."""
            listed = ", ".join(f":n{n}" for n in range(len(names)))
            return self.rows(
                f"SELECT lower(id), days FROM policies WHERE lower(id) IN ({listed})",
                **{f"n{n}": name for n, name in enumerate(names)},
            )

        def exact(self, names):
            """Find policies by their key."""
            return [row for name in names for row in self.rows("SELECT id, days FROM policies WHERE id = :n", n=name)]

    tasks = pb.Registry()
    contract = {"freshness_sla": "1h", "fallback_if_stale": pb.Recompute(), "owner": "o", "refresh": pb.every("30m")}

    @tasks.artifact(**contract, invalidated_by=[pb.fence("policy/{name}")], keys=folded_names)
    def folded(name: pb.Keys[str], *, view: pb.Source[Policies]) -> dict[str, int]:
        return {row[0]: row[1] for row in view.many(list(name))}

    @tasks.artifact(**contract, invalidated_by=[pb.fence("policy/{name}")], keys=plain_names)
    def plain(name: pb.Keys[str], *, view: pb.Source[Policies]) -> dict[str, int]:
        found = {row[0]: row[1] for row in view.exact(list(name))}
        return {key: found.get(key, 0) for key in name}

    async with opened(pb.App(tasks, sources=[shop.open_source(Policies)])) as app:
        with pytest.raises(pb.errors.DeclarationError, match="a change of the row would not outdate it"):
            await app.serve(folded, "garden")
        runs = await app.ops.run_due()
        assert [built.task for run in runs for built in run.built] == [plain.name]
        assert [(await app.serve(plain, key)).value for key in ("absent", "Garden")] == [0, 30]


def test_a_method_of_a_base_that_is_no_view_is_followed_wherever_it_is_inherited():
    """Each view gets the method that Python would call, and its mixins keep their own methods."""

    class Changed(Mixin):
        def mixed(self, key):
            return "changed"

    class First(pb.View, Mixin):
        families = ("policy",)

    class Own(pb.View):
        families = ("policy",)

        def mixed(self, key):
            return "own"

    class Second(First, Changed):
        pass

    class Third(First, Own):
        pass

    assert not hasattr(Mixin.mixed, "__wrapped__")
    assert First.mixed.__wrapped__ is Mixin.mixed
    assert Second.mixed.__wrapped__ is Changed.mixed
    assert Third.mixed is Own.mixed
