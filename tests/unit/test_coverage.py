"""A contract must cover every family that its task reads, or the app does not open."""

import pytest
from tests.unit.shopfloor import Facts, contract, reading

import parbake as pb
from parbake.protocol.record import Stamp
from parbake.protocol.recording import Recording, from_templates
from parbake.serving.strays import Strays, stray_families
from parbake.stores.memory import MemoryStore
from parbake.tasks.contract import Contract
from parbake.tasks.families import untold


class Notes(pb.View):
    """A second view over the same table, of a family that the source does not report."""

    families = ("note",)

    def get(self, name):
        """Return one value."""
        self.entity(f"note/{name}")
        return self.rows("SELECT value FROM fact WHERE name = :name", name=name)[0][0]


class Careless(pb.View):
    """A view with methods that return rows without naming a tag."""

    families = ("fact",)

    def known(self, name):
        """Return one value, and name its tag."""
        self.entity(f"fact/{name}")
        return self._value(name)

    def silent(self, name):
        """Return one value, and name no tag."""
        return self._value(name)

    def stream(self):
        """Yield all values, and name no tag."""
        yield from self.rows("SELECT value FROM fact ORDER BY name")

    def through(self, name):
        """Return one value, whose tag is named by the method that it calls."""
        return self.known(name), self._value(name)

    def astray(self, name):
        """Name an entity of a family that the view does not declare."""
        self.entity(f"policy/{name}")

    def _value(self, name):
        return self.rows("SELECT value FROM fact WHERE name = :name", name=name)[0][0]


class Undeclared(pb.View):
    """A view that does not declare its families."""


@pytest.mark.parametrize("items", [[], [pb.fence("fcat")], [pb.fence("policy"), pb.refresh("user")]])
async def test_a_family_of_a_view_that_the_contract_leaves_out_keeps_the_app_from_opening(world, items):
    """If a contract lacks a family of a view, opening fails; the error names the view and lists possible fixes."""
    tasks, _ = reading(Facts, Facts.get, *items)
    app = world.app(tasks, open=["fcat", "policy", "user"])
    with pytest.raises(pb.errors.ContractError, match="value reads 'fact' through the view Facts") as caught:
        await app.drain()
    assert caught.value.field == "invalidated_by"
    for line in ("pb.fence('fact')", "pb.refresh('fact')", "pb.ignore('fact', "):
        assert line in str(caught.value)


async def test_a_view_that_declares_no_families_keeps_the_app_from_opening(world):
    """A view without families cannot be checked, so the app fails to open for every kind of reader."""
    tasks, _ = reading(Undeclared, str)
    live, listed = pb.Registry(), pb.Registry()

    @live.live(why="test")
    def now(*, facts: pb.Source[Undeclared] = pb.GIVEN) -> str:
        return ""

    def keys(*, facts: pb.Source[Undeclared]) -> list[str]:
        return []

    @listed.artifact(**contract(invalidated_by=[]), keys=keys, refresh=pb.every("30m"))
    def value(key: str) -> str:
        return key

    for registry in (tasks, live, listed):
        app = world.app(registry, sources=[world.source_of(Undeclared)])
        with pytest.raises(pb.errors.DeclarationError, match=r"the view Undeclared.*families = ") as caught:
            await app.drain()
        assert caught.value.field == "families"


@pytest.mark.parametrize("families", ["policy", ["Policy"], ["policy/a"], [7]])
async def test_families_are_a_list_of_words(world, families):
    """A string instead of a list, capitals, an entity and a number are refused, in a view and in a source."""

    class Odd(pb.View):
        """A view with such families."""

    Odd.families = families
    tasks, _ = reading(Odd, str)
    with pytest.raises(pb.errors.DeclarationError, match="Odd") as caught:
        await world.app(tasks, sources=[world.source_of(Odd)]).drain()
    assert caught.value.field == "families"
    with pytest.raises(
        pb.errors.DeclarationError, match=r"source 'facts' has families=.*such as \['policy'\]"
    ) as caught:
        world.source_of(families=families)
    assert caught.value.field == "families"


@pytest.mark.parametrize("tags", [[], ["policy/{policy}"], [["policy"]], [7], ["Policy"]])
async def test_a_touch_names_tags(world, tags):
    """An empty touch, a template, a list, a number and capitals are refused by name."""
    with pytest.raises(pb.BadInput) as caught:
        await world.app(pb.Registry(), open=["policy"]).touch(*tags)
    assert caught.value.field == "tag"


async def test_a_family_that_no_source_tells_of_keeps_the_app_from_opening(world):
    """A family that no source reports, such as a mistyped one, must be named in ``open=``, or the app does not open."""
    tasks, value = reading(Notes, Notes.get, pb.fence("note"))
    with pytest.raises(pb.errors.ContractError, match=r"value is bound by 'note'.*App\(open=\['note'\]\)"):
        await world.app(tasks, sources=[world.source_of(Notes)]).drain()
    opened = world.app(tasks, sources=[world.source_of(Notes)], open=["note"])
    world.put("a", "one")
    await opened.drain()
    assert (await opened.serve(value, "a")).value == "one"


@pytest.mark.parametrize(
    ("families", "known"), [((), "no family"), (("fact",), "fact"), (("memo", "fact"), "fact, memo")]
)
def test_a_family_that_nothing_tells_of_is_refused_with_those_that_are(families, known):
    """The error lists the families that are reported, so that a typing error is easy to see."""
    tasks, _ = reading(Notes, Notes.get, pb.fence("note"))
    (error,) = untold(tasks, families)
    assert f"(they report {known})" in str(error)
    assert error.field == "invalidated_by"
    assert list(untold(tasks, (*families, "note"))) == []


async def test_an_app_without_sources_accepts_every_declared_family(world):
    """Without sources, every family that a contract declares may be touched."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[pb.fence("policy"), pb.ignore("user", "one more does not matter")]))
    def answer(key: str) -> str:
        return key

    app = pb.App(tasks)
    assert (await app.touch("policy/a", "user/7")).raised.keys() >= {"policy/a", "user/7"}


async def test_touching_what_nobody_declares_raises_and_writes_nothing(world):
    """A touch of an undeclared family is refused, and none of its tags is written."""
    tasks, _ = reading(Facts, Facts.get, pb.fence("fact"))
    app = world.app(tasks)
    await app.drain()
    before = await app.engine.store.stamp()
    with pytest.raises(pb.BadInput, match="no task or source of this app declares the family 'fcat'") as caught:
        await app.touch("fact/a", "fcat/a")
    assert caught.value.field == "tag"
    assert await app.engine.store.stamp() == before


@pytest.mark.parametrize("names", ["policy", ["policy/a"], ["Policy"], [7]])
def test_open_takes_a_list_of_families(names):
    """A string instead of a list, an entity and an invalid family are refused by name."""
    with pytest.raises(pb.BadInput) as caught:
        pb.App(pb.Registry(), open=names)
    assert caught.value.field == "open"


@pytest.mark.parametrize("method", [Careless.silent, lambda view, _: list(view.stream())])
@pytest.mark.parametrize("item", [pb.fence("fact"), pb.refresh("fact")])
async def test_rows_that_no_tag_covers_fail_the_computation(world, method, item):
    """A method that returns rows without naming a tag fails, even beside one that does; the error names the method."""
    tasks, value = reading(Careless, lambda view, key: (view.known(key), method(view, key)), item)
    app = world.app(tasks, sources=[world.source_of(Careless)])
    world.put("a", "one")
    await app.drain()
    with pytest.raises(pb.errors.DeclarationError, match=r"value: Careless\.(silent|stream) returns rows") as caught:
        await app.serve(value, "a")
    assert "self.entity('fact/...')" in str(caught.value)


@pytest.mark.parametrize(
    ("method", "item", "value"),
    [
        (Careless.silent, pb.fence("fact/{key}"), "one"),
        (Careless.silent, pb.ignore("fact", "it never changes"), "one"),
        (Careless.through, pb.fence("fact"), "('one', 'one')"),
    ],
    ids=["template", "ignored", "named by a method that it calls"],
)
async def test_rows_are_covered_by_a_template_an_ignored_family_or_a_method_that_is_called(world, method, item, value):
    """Rows without a tag are accepted under a template, for an ignored family, or if a called method names one."""
    tasks, task = reading(Careless, method, item)
    app = world.app(tasks, sources=[world.source_of(Careless)])
    world.put("a", "one")
    await app.drain()
    assert (await app.serve(task, "a")).value == value


async def test_a_view_cannot_record_a_family_that_it_does_not_declare(world):
    """A view that names an entity of an undeclared family fails the computation."""
    tasks, value = reading(Careless, Careless.astray, pb.fence("fact"))
    app = world.app(tasks, sources=[world.source_of(Careless)])
    await app.drain()
    with pytest.raises(
        pb.errors.DeclarationError, match=r"the view Careless names 'policy'.*self\.entity\('fact/returns'\)"
    ) as caught:
        await app.serve(value, "a")
    assert caught.value.field == "families"


async def test_other_entities_bind_besides_the_templates_own(world):
    """A value is also bound by entities it read beyond its template, and a change of one outdates it."""
    tasks, value = reading(Facts, lambda view, key: view.get(key) + view.get("common"), pb.fence("fact/{key}"))
    app = world.app(tasks)
    world.put("a", "one ")
    world.put("common", "old")
    await app.drain()
    assert (await app.serve(value, "a")).value == "one old"
    world.put("common", "new")
    await app.drain()
    assert (await app.serve(value, "a")).value == "one new"


async def test_the_event_lane_refreshes_keys_that_a_template_does_not_name(world):
    """The event lane finds stored keys that are bound by an entity outside their template."""
    tasks, value = reading(Facts, lambda view, key: view.get(key) + view.get("common"), pb.refresh("fact/{key}"))
    app = world.app(tasks)
    world.put("a", "one ")
    world.put("common", "old")
    await app.drain()
    await app.serve(value, "a")
    while await app.engine.events.step():
        """Pass what was told before."""
    world.put("common", "new")
    await app.drain()
    await app.engine.events.step()
    served = await app.serve(value, "a")
    assert (served.value, served.lane, served.verdict) == ("one new", "event", pb.Verdict.FRESH)


async def test_a_family_is_ignored_by_its_own_reads_only(world):
    """``ignore`` covers a task's own reads; readers that fence the family, or inherit a fence, are outdated."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[pb.ignore("fact", "an old one will do")]))
    def loose(key: str, *, facts: pb.Source[Facts]) -> str:
        return facts.get(key)

    @tasks.artifact(**contract())
    def strict(key: str, *, looses: pb.Reader[str, str] = pb.Input(loose)) -> str:
        return looses.read(key).unwrap()

    @tasks.artifact(**contract(invalidated_by=[pb.ignore("fact", "so it says")]))
    def above(key: str, *, stricts: pb.Reader[str, str] = pb.Input(strict)) -> str:
        return stricts.read(key).unwrap()

    app = world.app(tasks)
    world.put("a", "old")
    await app.drain()
    for task in (loose, strict, above):
        assert (await app.serve(task, "a")).value == "old"
    world.put("a", "new")
    await app.drain()
    assert (await app.serve(loose, "a")).value == "old", "its own contract ignores the change"
    assert (await app.serve(strict, "a")).value == "new"
    assert (await app.serve(above, "a")).value == "new", "an inherited fence stays"


async def test_a_returned_tag_must_be_of_a_declared_family(world):
    """A returned tag of an undeclared family is refused, because nobody could touch it."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[]))
    def value(key: str) -> pb.Value[str]:
        return pb.Value(key, tags=("memo/x",))

    with pytest.raises(pb.errors.DeclarationError, match=r"returned the tag 'memo/x'.*pb.fence\('memo'\)"):
        await pb.App(tasks).serve(value, "a")


@pytest.mark.parametrize(
    ("items", "read", "strays"),
    [
        ([pb.fence("fact/{key}")], ["fact/a"], set()),
        ([pb.fence("fact/{key}")], ["fact/a", "fact/b"], {"fact"}),
        ([pb.refresh("fact/{key}")], ["fact/b"], {"fact"}),
        ([pb.fence("fact")], ["fact/a", "fact/b"], set()),
        ([pb.fence("fact/{key}"), pb.fence("note")], ["fact/a", "note/b"], set()),
        ([pb.fence("fact/{key}"), pb.ignore("note", "why")], ["note/b"], set()),
        ([pb.fence("fact/{key}"), pb.fence("note/{key}")], ["fact/b", "note/b"], {"fact", "note"}),
    ],
)
def test_a_stray_is_an_entity_that_a_template_of_its_family_does_not_name(items, read, strays):
    """A family is stray if an entity was read that the family's template does not name."""
    recording = Recording(Stamp(1, 1))
    for tag in read:
        recording.entity(tag)
    bound = Contract(60.0, tuple(items), pb.Recompute(), "team")
    assert stray_families(bound, recording, from_templates(bound, {"key": "a"})) == strays


async def test_a_stray_is_noted_and_looked_up_once():
    """A stray family is written and read once per process, and another process finds it in the store."""

    class Counting(MemoryStore):
        """A store that records which names it reads and swaps."""

        def __init__(self):
            super().__init__()
            self.swaps, self.gets = [], []

        async def swap(self, name, expected, new):
            self.swaps.append(name)
            return await super().swap(name, expected, new)

        async def get(self, name):
            self.gets.append(name)
            return await super().get(name)

    store = Counting()
    here, elsewhere = Strays(store), Strays(store)
    assert not await elsewhere.has("row@1", "fact")
    for _ in range(3):
        await here.note("row@1", ["fact"])
    assert len(store.swaps) == 1
    store.gets.clear()
    assert [await here.has("row@1", "fact") for _ in range(2)] == [True, True]
    assert store.gets == []
    assert [await elsewhere.has("row@1", "fact") for _ in range(3)] == [True] * 3
    assert len(store.gets) == 1
    assert [await here.has(*other) for other in (("row@2", "fact"), ("row@1", "note"))] == [False, False]


class Told:
    """A session with three rows, and a tracker that records its calls."""

    ROWS = ((1,), (2,), (3,))

    def __init__(self):
        self.heard = []

    def rows(self, statement, parameters):
        return self.ROWS

    def entity(self, tag):
        self.heard.append(tag)

    def whole_set(self, family):
        self.heard.append(f"{family}/*")

    def query(self, *_):
        """Ignore a query."""

    def unnamed(self, view, method):
        self.heard.append(f"unnamed {method}")


class Streams(pb.View):
    """Methods that yield rows, and one that reads none."""

    families = ("fact",)

    def named(self):
        """Yield all rows, after naming their tag."""
        self.whole_set("fact")
        yield from self.rows("SELECT")

    def late(self):
        """Yield all rows, and name their tag at the end."""
        yield from self.rows("SELECT")
        self.whole_set("fact")

    def bare(self):
        """Yield all rows without naming a tag, and record when the method ends."""
        try:
            yield from self.rows("SELECT")
        finally:
            self._tracker.entity("closed")

    def constant(self):
        """Return a value without reading a row."""
        return 7


@pytest.fixture
def told():
    """Return a session that records what a view tells its tracker."""
    return Told()


@pytest.mark.parametrize(
    ("method", "heard"),
    [("named", ["fact/*"]), ("late", ["fact/*"]), ("bare", ["closed", "unnamed bare"])],
)
def test_a_stream_gives_every_row_and_is_judged_at_its_end(told, method, heard):
    """A generator method yields its rows in order, and a missing tag is reported when it ends."""
    assert tuple(getattr(Streams(told, told), method)()) == Told.ROWS
    assert told.heard == heard


def test_a_stream_that_is_left_is_closed_and_then_judged(told):
    """When a reader stops early, the method is closed first, and then its missing tag is reported."""
    stream = Streams(told, told).bare()
    assert next(stream) == (1,)
    assert told.heard == []
    stream.close()
    assert told.heard == ["closed", "unnamed bare"]


def test_two_streams_are_judged_apart(told):
    """A tag that one open stream names does not count for another."""
    view = Streams(told, told)
    bare, named = view.bare(), view.named()
    assert list(zip(bare, named, strict=True)) == list(zip(Told.ROWS, Told.ROWS, strict=True))
    assert told.heard == ["fact/*", "closed", "unnamed bare"]


def test_a_method_that_asks_for_no_row_owes_no_name(told):
    """A method that reads no rows need not name a tag."""
    assert Streams(told, told).constant() == 7
    assert told.heard == []


@pytest.mark.parametrize("is_named", [True, False])
def test_rows_that_a_task_asks_for_itself_are_named_before(told, is_named):
    """Rows read outside of a view's methods must have a tag named before the read."""
    view = Streams(told, told)
    if is_named:
        view.entity("fact/a")
    assert view.rows("SELECT") == Told.ROWS
    assert told.heard == (["fact/a"] if is_named else ["unnamed rows"])
