"""What shops of others on Django have met: rows that are read early, missing triggers, other databases, lost stores."""

import shutil
import signal

import pytest
from tests.servers import launch
from tests.servers.django_shop.child import children
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("django")


@pytest.fixture
def named(shared_postgresql, request, tmp_path):
    """Make a database, and return the variables of a shop on it."""
    name = f"met_{abs(hash(request.node.name)) % 10**9}"
    shared_postgresql.sql(f"CREATE DATABASE {name}")
    return {
        "DJANGO_DATABASE": f"port:{shared_postgresql.port}",
        "DJANGO_NAME": name,
        "DJANGO_STORE": f"lmdb://{tmp_path}/store",
    }


@pytest.mark.parametrize("is_async", [False, True])
def test_a_row_that_a_view_reads_before_its_template_is_as_old_as_the_request(named, is_async):
    """A change between the reading of a row and the rendering of its fragment does not leave the old row cached."""
    with children(1, **named) as (one,):
        one('Policy.objects.create(slug="returns", days=30); acked()')
        one("from asgiref.sync import async_to_sync")
        ask = "async_to_sync(AsyncClient().get)" if is_async else "client.get"
        first = one(f"""
            pages.between = lambda: (Policy.objects.update(days=5), acked())
            first = {ask}("/early/returns").content.decode()
            pages.between = lambda: None
            first
        """)
        assert first == "30 days"  # it was computed before the change
        assert one(f'{ask}("/early/returns").content.decode()') == "5 days"
        assert one('[cache.set("k", 1, tags=["policy"]), cache.get("k")]') == [None, 1]  # and others are stored


def test_a_model_whose_triggers_are_missing_is_never_cached(named, shared_postgresql):
    """Without triggers that raise the tags of the setting, pages are computed; with them, pages are cached."""
    with children(2, **named) as (one, two):
        one('Policy.objects.create(slug="returns", days=30); acked()')
        assert [two("shown()"), two("shown()")] == [["30 days", True], ["30 days", False]]
        fewer = '{**settings.PARBAKE, "capture": {"django_shop.Topic": ["topic/{pk}"]}}'  # another release
        assert one(f'with override_settings(PARBAKE={fewer}): found = told("migrate")\nfound').count(
            "not captured any more: django_shop_policy"
        )
        two("acked()")
        for days in (1, 2):
            shared_postgresql.sql(f"UPDATE django_shop_policy SET days = {days}", dbname=named["DJANGO_NAME"])
            two("acked()")
            assert two("shown()")[0] == f"{days} days"
        assert one('told("parbake_capture")') == "captured: django_shop_policy\n"
        two("acked()")
        assert [two("shown()"), two("shown()")] == [["2 days", True], ["2 days", False]]
        other = '{**settings.PARBAKE, "capture": {"django_shop.Policy": ["policy/{id}"]}}'  # the setting is ahead
        ahead = f"""
            with override_settings(PARBAKE={other}):
                cache.set("k", 1, tags=["policy"])
                acked()
                found = cache.get("k")
            found
        """
        assert one(ahead) is None


def test_a_database_that_is_restored_or_made_again_costs_what_is_cached_and_no_page(named, shared_postgresql):
    """A process that starts over another database of the same name raises the families, and goes on."""
    with children(1, **named) as (one,):
        one('Policy.objects.create(slug="returns", days=30); acked()')
        assert one("shown()") == ["30 days", True]
    shared_postgresql.sql(f"DROP DATABASE {named['DJANGO_NAME']} WITH (FORCE)")
    shared_postgresql.sql(f"CREATE DATABASE {named['DJANGO_NAME']}")
    with children(1, **named) as (one,):
        one('Policy.objects.create(slug="returns", days=4); acked()')
        assert [one("shown()"), one("shown()")] == [["4 days", True], ["4 days", False]]


def test_a_database_that_is_replaced_under_a_running_process_is_read_anew(named, shared_postgresql):
    """An older copy is put in its place: nothing cached from before is shown, and pages are cached again soon."""
    name = named["DJANGO_NAME"]
    with children(1, **named) as (one,):
        one('Policy.objects.create(slug="returns", days=30); acked()')
        one("connection.close(); runtime.close()")
        shared_postgresql.sql(f"CREATE DATABASE {name}_copy TEMPLATE {name}")
        for days in (1, 2, 3):
            one(f"Policy.objects.update(days={days}); acked()")
        assert one("[shown(), shown()]") == [["3 days", True], ["3 days", False]]
        shared_postgresql.sql(f"DROP DATABASE {name} WITH (FORCE)", f"ALTER DATABASE {name}_copy RENAME TO {name}")
        found = one("""
            connection.close()
            began, seen, outdated_s = time.monotonic(), [], 0
            while seen != ["30 days", False] and time.monotonic() < began + 60:
                with contextlib.suppress(Exception):  # its connections were ended
                    seen = shown()
                    outdated_s = time.monotonic() - began if seen[0] == "3 days" else outdated_s
                time.sleep(0.05)
            [seen, outdated_s]
        """)
        assert found[0] == ["30 days", False]
        assert found[1] < 15  # and not the 30 seconds of a source that is silent
        shared_postgresql.sql("UPDATE django_shop_policy SET days = 5", dbname=name)
        eventually(lambda: has_acked(one))  # until the other database is accepted, reading it is refused
        assert one("shown()") == ["5 days", True]


def has_acked(one):
    """Return whether what was changed is acknowledged."""
    try:
        one("acked()")
    except AssertionError:
        return False
    return True


def test_two_databases_share_a_store_and_nothing_in_it(named, shared_postgresql):
    """A runner of tests, whose database has another name, does not fail over a server's store, nor read its pages."""
    shared_postgresql.sql(f"CREATE DATABASE {named['DJANGO_NAME']}_test")
    with children(1, **named) as (one,):
        one('Policy.objects.create(slug="returns", days=30); acked()')
        assert one("shown()") == ["30 days", True]
        with children(1, **{**named, "DJANGO_NAME": f"{named['DJANGO_NAME']}_test"}) as (other,):
            other('Policy.objects.create(slug="returns", days=8); acked()')
            assert other("shown()") == ["8 days", True]
            assert one("shown()")[0] == "30 days"


def test_an_emptied_setting_and_a_command_remove_the_triggers(named, shared_postgresql):
    """``migrate`` without captured models, and ``parbake_capture --remove``, leave no trigger behind."""

    def triggers():
        query = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'parbake_capture%'"
        return shared_postgresql.sql(query, dbname=named["DJANGO_NAME"])[0][0]

    with children(1, **named) as (one,):
        assert triggers() == 10
        empty = '{**settings.PARBAKE, "capture": {}}'
        said = one(f'with override_settings(PARBAKE={empty}): found = told("migrate")\nfound')
        assert "not captured any more: django_shop_policy, django_shop_topic" in said
        assert triggers() == 0
        one('told("parbake_capture")')
        assert triggers() == 10
        assert one('told("parbake_capture", "--remove")').startswith("not captured any more: ")
        assert (triggers(), one('told("parbake_capture", "--remove")')) == (0, "nothing to change\n")


def test_a_view_of_the_database_is_refused(named, shared_postgresql):
    """``migrate`` names a captured model whose table is a view, and the cache serves nothing of it."""
    with children(1, **named) as (one,):
        name = named["DJANGO_NAME"]
        shared_postgresql.sql("DROP TABLE django_shop_note", dbname=name)
        shared_postgresql.sql("CREATE VIEW django_shop_note AS SELECT 1 AS id, 'x' AS text", dbname=name)
        with_view = '{**settings.PARBAKE, "capture": {"django_shop.Note": ["note/{id}"]}}'
        for command in ('"migrate"', '"parbake_capture"'):
            said = one(f"with override_settings(PARBAKE={with_view}): found = told({command})\nfound")
            assert "django_shop_note is a view of the database" in said
        found = one(f"""
            with override_settings(PARBAKE={with_view}):
                cache.set("k", 1, tags=["note"])
                acked()
                found = cache.get("k")
            found
        """)
        assert found is None


def test_requests_do_not_wait_for_a_store_that_is_down(shared_postgresql, tmp_path):
    """While the store hangs, one request in two seconds tries it, and the others compute at once; then it is used."""
    shared_postgresql.sql("CREATE DATABASE met_down")
    with launch.valkey(tmp_path) as store:
        shop = {
            "DJANGO_DATABASE": f"port:{shared_postgresql.port}", "DJANGO_NAME": "met_down", "DJANGO_STORE": store.url,
        }  # fmt: skip
        with children(1, **shop) as (one,):
            one('Policy.objects.create(slug="returns", days=30); acked()')
            assert [one("shown()"), one("shown()")] == [["30 days", True], ["30 days", False]]
            store.process.send_signal(signal.SIGSTOP)
            answers, tries, took_s = one("""
                failures, failed = [], runtime.breaker.failed
                runtime.breaker.failed = lambda: (failures.append(1), failed())
                shown()
                began = time.monotonic()
                found = [shown() for _ in range(20)]
                [found, len(failures), time.monotonic() - began]
            """)
            store.process.send_signal(signal.SIGCONT)
            assert answers == [["30 days", True]] * 20
            assert 1 <= tries <= 1 + took_s / 4  # a try takes two seconds, and so does the pause behind it
            assert one("""
                until = time.monotonic() + 30
                while shown()[1] and time.monotonic() < until:
                    time.sleep(0.1)
                shown()
            """) == ["30 days", False]


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ"])
def test_a_transaction_that_a_statement_begins_is_one_too(named, begin):
    """Rows that a raw transaction has written are cached for nobody, and it uses nothing that others have cached."""
    with children(1, **named) as (one,):
        found = one(f"""
            Policy.objects.create(slug="returns", days=30)
            acked()
            days = lambda: Policy.objects.get(slug="returns").days
            with connection.cursor() as cursor:
                cursor.execute({begin!r})
                cursor.execute("UPDATE django_shop_policy SET days = -1")
                inside = cache.get_or_set("days", days, tags=["policy"])
                cursor.execute("ROLLBACK")
            [inside, cache.get("days"), cache.get_or_set("days", days, tags=["policy"]), cache.get("days")]
        """)
        assert found == [-1, None, 30, 30]


WRONG_TAGS = {
    '{% fenced 60 "a" "policy/{slug} topic" %}{% endfenced %}': "has a blank: write each tag in quotes of its own",
    '{% fenced 60 "a" "policy/{p}" %}{% endfenced %}': "such as {p.pk}, or {p_id}",
    '{% fenced 60 "a" "policy" by user.pk %}{% endfenced %}': "'by user.pk' would show one fragment to all",
    '{% fenced 60 "a" "policy" %}<form>{% csrf_token %}</form>{% endfenced %}': "a user's own",
}


def test_a_fragment_that_nothing_would_outdate_is_refused_or_not_cached(named):
    """Several tags in one text, a row in place of its key, and a user's token are errors; no key means no caching."""
    with children(1, **named) as (one,):
        one('p = Policy.objects.create(slug="returns", days=30)')
        one("""
            from django.template import TemplateSyntaxError, engines
            def refused(text):
                try:
                    engines["django"].from_string("{% load parbake %}" + text).render({"p": p, "slug": "returns"})
                except TemplateSyntaxError as error:
                    return str(error)
        """)
        for text, said in WRONG_TAGS.items():
            assert said in one(f"refused({text!r})")
        assert one("""
            page = engines["django"].from_string(
                '{% load parbake %}{% fenced 60 "a" "policy/{slug}" %}{{ n }}{% endfenced %}'
            )
            [page.render({"slug": slug, "n": n}) for slug in (None, "") for n in (1, 2)]
        """) == ["1", "2", "1", "2"]
        assert "is one text" in one("""
            found = ""
            try:
                cache.set("k", 1, tags="policy")
            except BadInput as error:
                found = str(error)
            found
        """)


def test_check_names_a_store_that_cannot_be_used_and_a_missing_middleware(named):
    """``manage.py check`` opens the store, and looks for the middleware."""
    with children(1, **named) as (one,):
        found = one("""
            found = []
            for changed in ({"PARBAKE": {**settings.PARBAKE, "store": "nowhere://x"}}, {"MIDDLEWARE": []}):
                with override_settings(**changed):
                    found += [each.id for each in project.check()]
            found
        """)
        assert found == ["parbake.E007", "parbake.W001"]


def test_a_lost_folder_of_the_store_fails_no_page(named, tmp_path):
    """A store whose folder cannot be made is logged, and pages are computed."""
    (tmp_path / "file").write_text("")
    with children(1, **{**named, "DJANGO_STORE": f"lmdb://{tmp_path}/file/store"}) as (one,):
        one('Policy.objects.create(slug="returns", days=30)')
        assert [one("shown()"), one("shown()")] == [["30 days", True]] * 2
    shutil.rmtree(tmp_path / "store", ignore_errors=True)


def test_the_database_of_the_shop_may_be_its_store(named, shared_postgresql):
    """Rows, outbox and entries in one PostgreSQL database: two processes share pages and see a change by hand."""
    own = f"postgresql://postgres@127.0.0.1:{shared_postgresql.port}/{named['DJANGO_NAME']}?schema=cached"
    with children(2, **{**named, "DJANGO_STORE": own}) as (one, two):
        one('Policy.objects.create(slug="returns", days=30); acked()')
        assert [one("shown()"), two("shown()")] == [["30 days", True], ["30 days", False]]
        shared_postgresql.sql("UPDATE django_shop_policy SET days = 3", dbname=named["DJANGO_NAME"])
        one("acked()")
        assert [two("shown()"), one("shown()")] == [["3 days", True], ["3 days", False]]
