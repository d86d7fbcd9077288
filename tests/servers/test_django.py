"""A shop on Django: fenced entries on PostgreSQL and SQLite, in LMDB and Valkey, whoever writes, in two processes."""

import sqlite3
from typing import NamedTuple

import pytest
from tests.servers.django_shop.child import Child, children

pytestmark = pytest.mark.xdist_group("django")
WRITES = {
    "save": "p = Policy.objects.get(slug='returns'); p.days = 1; p.save()",
    "update": "Policy.objects.filter(slug='returns').update(days=1)",
    "expression": "Policy.objects.update(days=F('days') * 0 + 1)",
    "bulk_update": """
        p = Policy.objects.get(slug='returns')
        p.days = 1
        Policy.objects.bulk_update([p], ["days"])
    """,
    "upsert": """
        Policy.objects.bulk_create(
            [Policy(slug="returns", days=1)], update_conflicts=True, unique_fields=["slug"], update_fields=["days"]
        )
    """,
    "raw SQL": """
        with connection.cursor() as cursor:
            cursor.execute("UPDATE django_shop_policy SET days = %s WHERE slug = %s", [1, "returns"])
    """,
    "a savepoint": """
        with transaction.atomic():
            with contextlib.suppress(ValueError), transaction.atomic():
                Policy.objects.update(days=5)
                raise ValueError
            with transaction.atomic():
                Policy.objects.filter(slug="returns").update(days=1)
    """,
}


class Shop(NamedTuple):
    """Two processes of a shop, and what executes SQL beside them."""

    one: Child
    two: Child
    sql: object


def by_hand(path):
    """Return what executes SQL in an SQLite file, as the command of that name does."""

    def execute(statement):
        with sqlite3.connect(path, timeout=20) as connection:
            connection.execute(statement)
        connection.close()

    return execute


@pytest.fixture(scope="module", params=["postgresql-lmdb", "postgresql-valkey", "sqlite-lmdb"])
def processes(request, shared_postgresql, shared_valkey, tmp_path_factory):
    """Run the processes on each pair of a database and a store."""
    folder = tmp_path_factory.mktemp("shop")
    database, store = request.param.split("-")
    named = {
        "DJANGO_STORE": f"{shared_valkey.url}?prefix={database}" if store == "valkey" else f"lmdb://{folder}/store"
    }
    sql = by_hand(folder / "shop.db")
    if database == "postgresql":
        shared_postgresql.sql(f"CREATE DATABASE {store}")
        named |= {"DJANGO_DATABASE": f"port:{shared_postgresql.port}", "DJANGO_NAME": store}
        sql = lambda statement: shared_postgresql.sql(statement, dbname=store)  # noqa: E731  # the same form as the other
    else:
        named["DJANGO_DATABASE"] = str(folder / "shop.db")
    with children(2, **named) as (one, two):
        if database == "sqlite":
            one('connection.cursor().execute("PRAGMA journal_mode=WAL").fetchall()')
        yield Shop(one, two, sql)


@pytest.fixture
def shop(processes):
    """Put one policy into the shop, and see its page in both processes."""
    processes.one("""
        Policy.objects.all().delete()
        Topic.objects.all().delete()
        Policy.objects.create(slug="returns", days=30)
        acked()
    """)
    assert processes.one("shown()") == ["30 days", True]
    assert processes.two("shown()") == ["30 days", False]
    return processes


@pytest.mark.parametrize("write", WRITES)
def test_no_page_shows_what_a_write_has_outdated(shop, write):
    """Once a change is acknowledged, neither process shows the row from before it, however it was written."""
    shop.one(WRITES[write])
    shop.one("acked()")
    assert shop.two("shown()") == ["1 days", True]
    assert shop.one("shown()") == ["1 days", False]


def test_a_change_by_hand_is_told_and_a_rolled_back_one_is_not(shop):
    """A statement that no Python code executes outdates the page; a transaction that is rolled back does not."""
    shop.sql("UPDATE django_shop_policy SET days = 2 WHERE slug = 'returns'")
    shop.one("acked()")
    assert shop.two("shown()") == ["2 days", True]
    shop.one("""
        with transaction.atomic():
            Policy.objects.update(days=3)
            transaction.set_rollback(True)
        acked()
    """)
    assert shop.two("shown()") == ["2 days", False]


def test_a_cascade_tells_of_each_row_that_goes_with_another(shop):
    """Deleting a topic outdates what was cached of its policies."""
    shop.one("""
        topic = Topic.objects.create(name="post")
        Policy.objects.create(slug="post", days=3, topic=topic)
        acked()
        count = lambda: cache.get_or_set("posts", Policy.objects.filter(topic=topic).count, tags=[f"topic/{topic.pk}"])
        one = lambda: cache.get_or_set("post", Policy.objects.filter(slug="post").exists, tags=["policy/post"])
    """)
    assert shop.one("[count(), one()]") == [1, True]
    shop.one("topic_id = topic.pk; topic.delete(); acked(); topic.pk = topic_id")
    assert shop.one("[count(), one()]") == [0, False]


def test_a_client_sees_its_own_change_in_every_process(shop):
    """The response to a POST waits for the acknowledgement, shows the new row itself, and carries a ticket."""
    for days in range(40, 45):
        posted = shop.one(
            f'r = client.post("/policy/returns", {{"days": {days}}}); [r.content.decode(), r["parbake-after"]]'
        )
        assert posted[0] == f"{days} days"
        assert posted[1].startswith("default.")
        assert shop.two("shown()")[0] == f"{days} days"
    assert shop.one('client.cookies["parbake-after"].value') == posted[1]
    found = shop.one("""
        found = []
        for days in range(60, 70):
            cache.set("older", days, tags=["policy/returns"])
            client.post("/policy/returns", {"days": days})
            found.append(cache.get("older"))  # at once, and by nobody who has the ticket
        found
    """)
    assert found == [None] * 10
    for ticket in (posted[1], "default.1:9:x:y"):
        sent = f'headers={{"parbake-after": {ticket!r}}}'
        assert shop.two(f'client.get("/policy/returns", {sent}).content.decode()') == "69 days"


def test_a_transaction_sees_its_own_rows_and_stores_none_of_them(shop):
    """Within a transaction that has written, a page is rendered from its rows, and nobody else gets to see them."""
    inside = shop.one("""
        with transaction.atomic():
            cache.get("late")
            Policy.objects.update(days=7)
            cache.set("late", 7, tags=["policy"])
            inside = [shown(), shown()]
            cache.set("dirty", 7, tags=["policy"])
            transaction.set_rollback(True)
        inside
    """)
    assert inside == [["7 days", True], ["7 days", True]]
    assert shop.one("[shown(), cache.get('dirty'), cache.get('late')]") == [["30 days", False], None, None]


def test_a_value_from_before_a_change_is_not_served_although_it_is_stored_after_it(shop):
    """A row changes between the computation of a value and its storing, with ``get_or_set`` and ``set``."""
    first = shop.one("""
        def slow():
            days = Policy.objects.get(slug="returns").days
            Policy.objects.update(days=50)
            acked()
            return days
        [cache.get_or_set("race", slow, tags=["policy/returns"]), cache.get("race")]
    """)
    assert first == [30, None]
    second = shop.one("""
        assert cache.get("bare") is None
        days = Policy.objects.get(slug="returns").days
        Policy.objects.update(days=51)
        acked()
        cache.set("bare", days, tags=["policy/returns"])
        cache.set("bare", days, tags=["policy/returns"])  # the miss still counts
        bare = cache.get("bare")
        cache.set("bare", Policy.objects.get(slug="returns").days, tags=["policy/returns"])
        [days, bare, cache.get("bare")]
    """)
    assert second == [50, None, 51]


def test_coroutines_remember_their_own_misses(shop):
    """Of two coroutines that compute a key, the one that began before the change does not store the old value."""
    assert shop.one("""
        import asyncio

        async def work(before, after, value):
            assert await cache.aget("mine") is None
            before and before.set()
            after and await after.wait()
            await cache.aset("mine", value, tags=["policy/returns"])

        async def both():
            begun, ended = asyncio.Event(), asyncio.Event()
            old = asyncio.create_task(work(begun, ended, "old"))
            await begun.wait()
            await Policy.objects.filter(slug="returns").aupdate(days=3)
            await asgiref.sync.sync_to_async(acked)()
            await asyncio.create_task(work(None, None, "new"))
            found = [await cache.aget("mine")]
            ended.set()
            await old
            return [*found, await cache.aget("mine")]

        asyncio.run(both())
    """) == ["new", "new"]
    assert shop.one("""
        async def pages_of():
            found = [await AsyncClient().get("/slow/returns") for _ in range(2)]
            await AsyncClient().post("/policy/returns", {"days": 8})
            return [each.content.decode() for each in [*found, await AsyncClient().get("/slow/returns")]]

        asyncio.run(pages_of())
    """) == ["3 days", "3 days", "8 days"]


def test_a_fragment_is_outdated_by_what_outdates_one_within_it(shop):
    """An outer fragment without tags of its own goes with the inner one."""
    shop.one("""
        from django.template import engines
        page = engines["django"].from_string(
            '{% load parbake %}{% fenced 60 "outer" by "x" %}<{% fenced 60 "inner" "policy/{slug}" %}{{ p.days }}'
            '{% endfenced %}>{% endfenced %}'
        )
        render = lambda: page.render({"slug": "returns", "p": pages.Lazily("returns")})
    """)
    assert shop.one("[render(), render()]") == ["<30>", "<30>"]
    shop.one("Policy.objects.update(days=4); acked()")
    assert shop.one("[render(), render()]") == ["<4>", "<4>"]


SEMANTICS = """
import math
from django.utils.safestring import SafeString, mark_safe
cache.clear()
values = {
    "text": "päß", "none": None, "int": -5, "large": 2**80, "float": 1.5, "true": True, "bytes": b"\\x00",
    "list": [1, [2]],
    "tuple": (1, (2, "x")), "set": {1, 2}, "frozen": frozenset({3}), "dict": {"a": {1: "b", (2, 3): None}},
    "decimal": decimal.Decimal("1.10"), "uuid": uuid.UUID(int=5), "date": dt.date(2024, 2, 29),
    "naive": dt.datetime(2024, 2, 29, 12), "aware": dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone.utc),
    "time": dt.time(12, 30), "delta": dt.timedelta(days=-1, microseconds=7), "safe": mark_safe("<b>"),
}
assert cache.set_many(values) == []
found = cache.get_many([*values, "absent"])
assert found == values, found
assert {k: type(v) for k, v in found.items()} == {k: type(v) for k, v in values.items()}
for bad in (Policy(), object(), Policy.objects.all(), threading.Lock()):
    try:
        cache.set("bad", bad)
    except BadInput as error:
        assert "not pickled" in str(error), error
    else:
        raise AssertionError(bad)
try:
    cache.set("k", 1, tags=["polcy/1"])
except BadInput as error:
    assert "polcy" in str(error)
assert cache.get("k") is None and cache.get("k", 7) == 7 and not cache.has_key("k") and "k" not in cache
cache.set("k", None)
assert cache.get("k", 7) is None and "k" in cache and cache.get_or_set("k", 1) is None
cache.set("k", 1)
assert cache.add("k", 2) is False and cache.get("k") == 1
assert cache.add("new", 2) is True and cache.get("new") == 2
assert cache.delete("new") is True and cache.delete("new") is False and cache.get("new") is None
assert cache.add("new", 3) is True and cache.get("new") == 3
cache.set("k", 1, version=2)
cache.set("k", 5)
assert (cache.get("k"), cache.get("k", version=2), cache.get("k", version=3)) == (5, 1, None)
assert cache.incr_version("k", version=2) == 3 and cache.get("k", version=3) == 1 and cache.get("k", version=2) is None
assert cache.decr_version("k", version=3) == 2 and cache.get("k", version=2) == 1
assert cache.incr("k", 10) == 15 and cache.decr("k") == 14 and cache.get("k") == 14
for missing in (cache.incr, cache.incr_version):
    try:
        missing("absent")
    except ValueError:
        pass
    else:
        raise AssertionError(missing)
assert cache.touch("absent", 5) is False
cache.set("short", 1, 0.3)
cache.set("never", 1, None)
assert cache.touch("never", 0.3) is True
cache.set("long", 1, 0.3)
while not cache.touch("long", 60):  # a slow machine was late
    cache.set("long", 1, 0.3)
cache.set("gone", 1)
cache.set("gone", 2, 0)
cache.set("less", 1, -1)
assert cache.get("gone") is None and cache.get("less") is None and cache.add("less", 1, 0) is True
assert cache.get_or_set("made", lambda: 9) == 9 == cache.get_or_set("made", lambda: 8)
time.sleep(0.4)
assert (cache.get("short"), cache.get("long"), cache.get("never")) == (None, 1, None)
assert cache.add("short", 2) and cache.get("short") == 2
other = caches["other"]
assert other.get("k") is None
other.set("k", "other")
long = "x" * 240
cache.set(long, 1)
cache.set(long[:-1] + "y", 2)
assert (cache.get(long), cache.get(long[:-1] + "y")) == (1, 2)
cache.delete_many(["k", "absent"])
assert cache.get("k") is None
cache.clear()
assert cache.get(long) is None and cache.get("long") is None and other.get("k") == "other"
cache.set("k", 1)
assert cache.get("k") == 1
cache.set("fenced", 1, tags=["rate/EUR"])
assert cache.touch("fenced") and cache.incr("fenced") == 2 and cache.incr_version("fenced") == 2
parbake.contrib.django.touch("rate/EUR")
assert cache.get("fenced", version=2) is None
"""


def test_the_caches_keep_to_the_interface(shop):
    """Timeouts, versions, prefixes, counters, and whatever else Django's own backends do."""
    assert shop.one(f"{SEMANTICS}\n'all held'") == "all held"


def test_one_of_many_adds_a_key_and_no_increment_is_lost(shop):
    """Two processes with four threads each add and increment the same keys at the same time."""
    shop.one('cache.clear(); cache.set("hits", 0)')
    work = """
        def race():
            for number in range(10):
                won.append(cache.add(f"lock-{number}", 1))
                Note.objects.none()
                cache.incr("hits")
        won = []
        threads = [threading.Thread(target=race) for _ in range(4)]
        [thread.start() for thread in threads] and None
    """
    for process in (shop.one, shop.two):
        process(work)
    won = [process("[thread.join() for thread in threads]; sum(won)") for process in (shop.one, shop.two)]
    assert sum(won) == 10
    assert shop.one('cache.get("hits")') == 80


def test_no_reader_ever_gets_less_than_what_was_acknowledged(shop):
    """While a row changes forty times, threads of two processes compute and store it, and none gets an older one."""
    for process in (shop.one, shop.two):
        process("""
            def days():
                return cache.get_or_set("days", Lazily("returns").now, tags=["policy/returns"])

            class Lazily(pages.Lazily):
                def now(self):
                    return self.days

            def read():
                while not ended:
                    least = known[0]
                    reads.append((least, days()))
                connection.close()

            known, reads, ended = [0], [], []
            threads = [threading.Thread(target=read) for _ in range(2)]
        """)
    shop.one("Policy.objects.update(days=0); acked()")
    shop.two("[thread.start() for thread in threads] and None")
    found = shop.one("""
        [thread.start() for thread in threads]
        for number in range(1, 41):
            Policy.objects.update(days=number)
            acked()
            known[0] = number
        ended.append(True)
        [thread.join() for thread in threads]
        [len(reads), [pair for pair in reads if pair[1] < pair[0]]]
    """)
    shop.two("ended.append(True); [thread.join() for thread in threads] and None")
    assert found[0] > 40
    assert found[1] == []


def test_children_of_a_fork_poll_for_themselves(shop):
    """A child of a fork sees a change that the parent makes after the fork, without being told."""
    assert (
        shop.two("""
        shown()
        read, write = os.pipe()
        child = os.fork()
        if not child:
            connection.close()
            code = 1
            with contextlib.suppress(Exception):
                os.read(read, 1)
                deadline = time.monotonic() + 20
                while shown()[0] != "77 days" and time.monotonic() < deadline:
                    time.sleep(0.02)
                code = int(shown()[0] != "77 days")
            os._exit(code)
        None
    """)
        is None
    )
    shop.one("Policy.objects.update(days=77)")
    assert shop.two("os.write(write, b'x'); os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])") == 0
