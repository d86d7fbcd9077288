"""Django's own machinery around a shop: transactions, migrations, checks, the worker, and a runner of tests."""

import os
import signal
import subprocess
import sys

import pytest
from tests.servers.django_shop.child import ROOT, children

from parbake.errors import ParbakeError

pytestmark = pytest.mark.xdist_group("django-project")


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("read committed", marks=pytest.mark.slow), "repeatable read"])
def test_requests_in_transactions_store_nothing_that_is_older_than_their_stamp(kind, shared_postgresql, tmp_path):
    """With ATOMIC_REQUESTS entries are stored and fenced, also where a transaction reads a snapshot."""
    named = {"DJANGO_ATOMIC": "1", "DJANGO_STORE": f"lmdb://{tmp_path}/store"}
    if kind == "sqlite":
        named["DJANGO_DATABASE"] = str(tmp_path / "shop.db")
    else:
        name = kind.replace(" ", "_")
        shared_postgresql.sql(f"CREATE DATABASE {name}")
        named |= {"DJANGO_DATABASE": f"port:{shared_postgresql.port}", "DJANGO_NAME": name}
        named |= {"DJANGO_ISOLATION": "3"} if kind == "repeatable read" else {}
    with children(2, **named) as (one, two):
        one("""
            connection.vendor == "sqlite" and connection.cursor().execute("PRAGMA journal_mode=WAL").fetchall()
            Policy.objects.create(slug="returns", days=30)
            acked()
        """)
        assert one("[shown(), shown()]") == [["30 days", True], ["30 days", False]]
        assert one('client.post("/policy/returns", {"days": 31}).content.decode()') == "31 days"
        assert two("[shown(), shown()]") == [["31 days", True], ["31 days", False]]
        assert one('client.post("/policy/returns", {"days": 32, "fail": 1}).content.decode()') == "32 days"
        assert two("shown()") == ["31 days", False]
        # A snapshot from before a change, and a miss from after it.
        two('open = transaction.atomic(); open.__enter__(); Policy.objects.get(slug="returns").days')
        one("Policy.objects.update(days=33); acked()")
        stored = two("""
            days = cache.get_or_set("old", lambda: Policy.objects.get(slug="returns").days, tags=["policy/returns"])
            open.__exit__(None, None, None)
            [days, cache.get("old", "nothing")]
        """)
        assert stored == ([33, 33] if kind == "read committed" else [31, "nothing"])


def test_migrate_installs_once_and_a_missing_trigger_is_found(shared_postgresql, tmp_path):
    """The second ``migrate`` changes nothing, ``--check`` fails without a trigger, and the command puts it back."""
    shared_postgresql.sql("CREATE DATABASE again")
    named = {
        "DJANGO_DATABASE": f"port:{shared_postgresql.port}",
        "DJANGO_NAME": "again",
        "DJANGO_STORE": f"lmdb://{tmp_path}/store",
    }
    with children(1, **named) as (one,):
        before = shared_postgresql.sql("SELECT count(*) FROM parbake_outbox", dbname="again")
        one('call_command("migrate", run_syncdb=True, verbosity=0)')
        assert shared_postgresql.sql("SELECT count(*) FROM parbake_outbox", dbname="again") == before
        whole = "all changes of django_shop_policy, django_shop_topic are told\n"
        assert one('told("parbake_capture", "--check")') == whole
        assert one('told("parbake_capture")') == "nothing to change\n"
        shared_postgresql.sql(
            "DO $$ DECLARE t RECORD; BEGIN FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = "
            "'django_shop_policy'::REGCLASS AND NOT tgisinternal LOOP "
            "EXECUTE format('DROP TRIGGER %I ON django_shop_policy', t.tgname); END LOOP; END $$",
            dbname="again",
        )
        assert "django_shop_policy" in one('told("parbake_capture", "--check")')
        assert one('told("parbake_capture")') == "captured: django_shop_policy\n"
        assert one('told("parbake_capture", "--check")') == whole
        kept = '{**settings.PARBAKE, "capture": {"django_shop.Policy": ["policy/{id}"]}}'
        changed = one(f'with override_settings(PARBAKE={kept}): found = told("parbake_capture")\nfound')
        assert changed == "captured: django_shop_policy; not captured any more: django_shop_topic\n"


def test_a_runner_of_tests_drops_its_database(shared_postgresql, tmp_path):
    """A test database is polled while it exists and dropped at the end, and a transaction per test hides nothing."""
    shared_postgresql.sql("CREATE DATABASE runner")
    named = {"DJANGO_DATABASE": f"port:{shared_postgresql.port}", "DJANGO_NAME": "runner", "DJANGO_STORE": "memory://"}
    with children(1, **named) as (one,):
        assert one("""
            from django.test import TestCase
            from django.test.utils import setup_databases, teardown_databases

            seen = [cache.get("app")]  # polls the other database
            old = setup_databases(0, False)
            Policy.objects.create(slug="returns", days=1)
            acked()
            seen += [shown(), shown()]

            class Case(TestCase):
                def runTest(self):
                    seen.append(shown())
                    Policy.objects.update(days=2)
                    seen.append(client.post("/policy/returns", {"days": 3}).content.decode())
                    seen.append(shown())

            Case().debug()
            seen += [shown(), str(runtime._runtime.app.settings.sources[0].conninfo).count("test_runner")]
            teardown_databases(old, 0)
            seen
        """) == [
            None,
            ["1 days", True],
            ["1 days", False],
            ["1 days", False],
            "3 days",
            ["3 days", True],
            ["1 days", False],
            1,
        ]
    assert shared_postgresql.sql("SELECT count(*) FROM pg_database WHERE datname = 'test_runner'") == [(0,)]


def test_a_database_in_memory_is_never_cached(tmp_path):
    """Entries with tags are computed each time on an SQLite in memory, and others are kept."""
    with children(1, DJANGO_DATABASE=":memory:", DJANGO_STORE=f"lmdb://{tmp_path}/store") as (one,):
        assert one("""
            Policy.objects.create(slug="returns", days=1)
            cache.set("plain", 5)
            [shown(), shown(), client.post("/policy/returns", {"days": 3}).content.decode(), cache.get("plain")]
        """) == [["1 days", True], ["1 days", True], "3 days", 5]


WRONG = {
    "E001": ["5", "{'tables': {}}", "{'capture': []}", "{'families': ['Not One']}", "{'keep': 'long'}"],
    "E002": ["{'capture': {'django_shop.Polcy': ['policy']}}", "{'capture': {'Policy': ['policy']}}"],
    "E003": ["{'capture': {'django_shop.Policy': 'policy'}}", "{'capture': {'django_shop.Policy': ['po/{id']}}"],
    "E004": ["{'capture': {'django_shop.Policy': ['policy/{nummer}']}}"],
    "E005": ["{'capture': {'django_shop.Special': ['special/{at}']}}"],
    "E006": ["{'capture': {'elsewhere.Thing': ['thing/{id}']}}"],
}


def test_a_wrong_setting_is_an_error_of_the_checks(tmp_path):
    """``manage.py check`` names each mistake: form, model, template, field, type and database."""
    with children(1, DJANGO_DATABASE=str(tmp_path / "shop.db"), DJANGO_ELSEWHERE=str(tmp_path / "else.db")) as (one,):
        one("""
            def checked(found):
                with override_settings(PARBAKE=found):
                    return [each.id.removeprefix("parbake.") for each in project.check()]
        """)
        assert one("[project.check(), call_command('check')]") == [[], None]
        for number, settings in WRONG.items():
            for each in settings:
                assert (each, one(f"checked({each})")) == (each, [number])
        right = {"django_shop.Special": ["special/{pk}"], "django_shop.Policy": ["t/{topic_id}"]}
        assert one(f"checked({{'capture': {right}}})") == []


def test_the_worker_polls_and_ends_when_it_is_told_to(tmp_path):
    """``manage.py parbake_worker`` acknowledges a change that no other process polls for, and ends at SIGTERM."""
    with children(1, DJANGO_DATABASE=str(tmp_path / "shop.db"), DJANGO_STORE=f"lmdb://{tmp_path}/store") as (one,):
        one('Policy.objects.create(slug="returns")')
        environment = {
            **os.environ, "DJANGO_SETTINGS_MODULE": "tests.servers.django_shop.settings",
            "DJANGO_DATABASE": str(tmp_path / "shop.db"), "DJANGO_STORE": f"lmdb://{tmp_path}/store",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }  # fmt: skip
        command = [sys.executable, "-m", "django", "parbake_worker"]
        worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert worker.stdout.readline() == "the worker runs\n"
            assert (
                one("""
                app = runtime.made()  # of a process that does not poll
                until = time.monotonic() + 30
                while not app.sync.run(app.ops.applied())[project.source_name("default")] and time.monotonic() < until:
                    time.sleep(0.05)
                applied = app.sync.run(app.ops.applied())[project.source_name("default")]
                app.sync.close()
                applied
            """)
                > 0
            )
        finally:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(30) == 0
            worker.stdout.close()


def test_without_django_the_error_names_the_extra(monkeypatch):
    """Importing the room without Django says which extra brings it."""
    monkeypatch.setitem(sys.modules, "django", None)
    monkeypatch.delitem(sys.modules, "parbake.contrib.django", raising=False)
    with pytest.raises(ParbakeError, match=r"'\.\[django\]'"):
        import parbake.contrib.django  # noqa: F401  # the import is what fails
