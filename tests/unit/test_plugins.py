"""The seam: what a plugin is given, hears, offers and wraps, and what an app without one refuses."""

import threading

import pytest
from tests.unit.shopfloor import contract

import parbake as pb
import parbake_llm
import parbake_planner
from parbake.errors import BadInput, DeclarationError
from parbake.http import HttpApp
from parbake.ports.offers import HEAT, Port
from parbake_llm import Block, Prompts
from parbake_planner import Ledger, Planner

GREETING: Port[str] = Port("greeting", "tests.Greets()")


class Tool:
    """A resource."""

    name = "plain"


class Greets(pb.Plugin):
    """Offers a greeting, hears of everything, wraps a resource, and notes how it is closed."""

    def __init__(self, log=None):
        self.log = [] if log is None else log

    def open(self, parts):
        heard = []
        parts.offer(GREETING, "hello")
        parts.wrap(Tool, lambda tool, task, lane: (tool.name, task.name, lane))
        parts.on.hear(self)
        parts.on.live.append(lambda task, seconds, cpu_s: heard.append(("live", task)))
        parts.on.ran.append(lambda run: heard.extend(("ran", built.task) for built in run.built))
        parts.on.computed.append(lambda task, key, lane, took_s, *, outcome, cpu_s: heard.append((lane, task)))
        parts.on.close.append(lambda: self.log.append("greets closed"))
        return heard


class Answers(pb.Plugin):
    """Finds what another plugin has offered before."""

    def __init__(self, log=None):
        self.log = [] if log is None else log

    def open(self, parts):
        parts.on.close.append(lambda: self.log.append("answers closed"))
        return parts.found(GREETING)


class Fails(pb.Plugin):
    """Cannot be opened."""

    def open(self, parts):
        raise DeclarationError("no luck")


@pytest.fixture
def shop():
    """Return the tasks: one stored, with a resource, and one live."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(**contract(invalidated_by=[], refresh=pb.every("20m"), keys=names))
    def label(name: str, tool: pb.Resource[Tool]) -> str:
        return f"{name} {tool}"

    @tasks.live(why="it is asked")
    async def said(words: pb.Live[str]) -> str:
        return words

    tasks.label, tasks.said = label, said
    return tasks


async def test_a_plugin_hears_each_kind_of_computation_and_wraps_resources(shop):
    """On request, live and in batch; and a function gets what the wrapper returns, with its task and lane."""
    app = pb.App(shop, resources={Tool: Tool()}, plugins=[Greets()])
    assert (await app.serve(shop.label, "x")).value == "x ('plain', 'label', 'realtime')"
    await app.serve(shop.said, words="hm")
    await app.materialize(shop.label)
    assert app.plugins[Greets] == [("realtime", "label"), ("live", "said"), ("ran", "label")]
    await app.close()


async def test_plugins_find_what_earlier_ones_offer_and_close_in_reverse(shop):
    """The order in the list decides; the last one closes first."""
    log = []
    app = pb.App(shop, resources={Tool: Tool()}, plugins=[Greets(log), Answers(log)])
    assert app.plugins[Answers] == "hello"
    await app.close()
    assert log == ["answers closed", "greets closed"]
    alone = pb.App(shop, resources={Tool: Tool()}, plugins=[Answers()])
    assert alone.plugins[Answers] is None
    await alone.close()
    with pytest.raises(BadInput, match="put that one first"):
        pb.App(shop, resources={Tool: Tool()}, plugins=[Answers(), Greets()]).engine  # noqa: B018  # opens it


async def test_one_instance_serves_two_apps(shop):
    """A plugin holds settings only; each app has a state of its own."""
    plugin = Greets()
    one, two = (pb.App(shop, resources={Tool: Tool()}, plugins=[plugin]) for _ in range(2))
    await one.serve(shop.said, words="hm")
    assert (one.plugins[Greets], two.plugins[Greets]) == ([("live", "said")], [])
    await one.close()
    await two.close()


def test_an_opening_that_fails_leaves_nothing_open(shop, tmp_path):
    """Three tries with a ledger before a plugin that fails leave no thread of it, and the store can be opened."""
    before = set(threading.enumerate())
    app = pb.App(
        shop, store=f"lmdb://{tmp_path}/store", resources={Tool: Tool()}, plugins=[Ledger(tmp_path / "l.db"), Fails()]
    )
    for _ in range(3):
        with pytest.raises(DeclarationError, match="no luck"):
            app.engine  # noqa: B018  # the first look opens it
    assert [thread for thread in set(threading.enumerate()) - before if "ledger" in thread.name] == []
    again = pb.App(shop, store=f"lmdb://{tmp_path}/store", resources={Tool: Tool()})
    assert again.sync.serve(shop.said, words="hm").value == "hm"
    again.sync.close()


@pytest.mark.parametrize("plugins", [[Greets(), Greets()], ["greets"], Greets, [Greets], {Greets()}])
def test_what_is_not_a_list_of_different_plugins_is_refused(shop, plugins):
    """The error names the setting."""
    with pytest.raises(BadInput) as caught:
        pb.App(shop, plugins=plugins)
    assert caught.value.field == "plugins"


def test_a_port_is_offered_once(shop):
    """A second offer of the same port is refused, so that the order of plugins never decides which one counts."""

    class Twice(pb.Plugin):
        def open(self, parts):
            parts.offer(GREETING, "hello again")

    with pytest.raises(BadInput, match="greeting"):
        pb.App(shop, resources={Tool: Tool()}, plugins=[Greets(), Twice()]).engine  # noqa: B018  # opens it


def test_a_setting_of_a_product_is_refused_with_the_word_plugin(shop):
    """``App(ledger=...)`` is not a setting of the core."""
    with pytest.raises(BadInput, match=r"ledger.*plugin") as caught:
        pb.App(shop, ledger="costs.db")
    assert caught.value.field == "ledger"
    with pytest.raises(BadInput, match=r"did you mean silence_limit="):
        pb.App(shop, silence_limt="1h")


async def test_a_planned_task_needs_its_plugin():
    """An app without the planner does not open: it would compute nothing ahead, and say nothing."""
    tasks = pb.Registry()

    def everybody() -> list[str]:
        return ["u1"]

    @tasks.artifact(
        **contract(freshness_sla="1d", invalidated_by=[], refresh=parbake_planner.planned(), keys=everybody)
    )
    def liked(shopper: str) -> str:
        return shopper

    with pytest.raises(DeclarationError, match=r"liked.*parbake_planner\.Ledger\(path\), parbake_planner\.Planner\(\)"):
        pb.App(tasks).engine  # noqa: B018  # opens it
    app = pb.App(tasks, plugins=[Planner()])
    assert (await app.serve(liked, "u1")).value == "u1"
    await app.close()


async def test_a_prefix_needs_its_plugin():
    """An app without the plugin for prompts does not open: nobody would look after the prefix."""
    tasks = pb.Registry()

    @parbake_llm.prefix(tasks, **contract(invalidated_by=[]))
    def rules(variant: str) -> list[Block]:
        return [Block("rules", variant)]

    with pytest.raises(DeclarationError, match=r"rules is a prefix.*parbake_llm\.Prompts\(\)"):
        pb.App(tasks).engine  # noqa: B018  # opens it
    app = pb.App(tasks, plugins=[Prompts()])
    assert (await app.serve(rules, "short")).value == (Block("rules", "short"),)
    await app.close()


async def test_reads_are_counted_by_key_only_if_a_plugin_asks(shop, tmp_path):
    """Without the ledger no key is kept; with it, the event lane is told which keys are read most."""
    bare = pb.App(shop, resources={Tool: Tool()})
    await bare.serve(shop.label, "x")
    assert bare.counters.drain_heat() == {}
    await bare.close()
    app = pb.App(shop, resources={Tool: Tool()}, plugins=[Ledger(tmp_path / "ledger.db")])
    await app.serve(shop.label, "x")
    app.plugins[Ledger].file.settle()
    heat = app.engine.parts.found(HEAT)
    assert heat.heat("label") == {b"sx": 1}
    await app.close()


async def test_an_observer_that_fails_costs_nobody_an_answer(shop, caplog):
    """Whatever a callback raises is logged with its name, and the read, the value and the other observers go on."""
    heard = []

    class Breaks(pb.Plugin):
        def open(self, parts):
            for calls in (parts.on.served, parts.on.computed, parts.on.missed, parts.on.live, parts.on.event):
                calls.append(self.boom)
            parts.on.computed.append(lambda *_, **__: heard.append("computed"))

        def boom(self, *_, **__):
            raise RuntimeError("plugin boom")

    app = pb.App(shop, resources={Tool: Tool()}, open=["shop"], plugins=[Breaks()])
    assert (await app.serve(shop.label, "x")).value.startswith("x ")
    assert (await app.serve(shop.said, words="hm")).value == "hm"
    assert (await app.touch("shop/1")).raised
    assert heard == ["computed"]
    assert "Breaks.boom" in caplog.text
    await app.close()


def test_a_plugin_may_have_no_state(shop):
    """A plugin without an ``open``, such as one that only brings routes, has the state ``None``."""

    class Routes(pb.Plugin):
        pass

    app = pb.App(shop, resources={Tool: Tool()}, plugins=[Routes()])
    assert app.plugins[Routes] is None
    app.sync.close()


async def told(*_, **__):
    """Be an async function."""


@pytest.mark.parametrize(
    ("name", "hear", "kind"),
    [*((name, told, "a plain") for name in ("close", "flush", "ran", "served")), ("worker", print, "an async")],
)
def test_a_callback_of_the_other_kind_is_refused(shop, name, hear, kind):
    """An async function where a plain one is called would never run, so the opening names the list and the function."""

    class Late(pb.Plugin):
        def open(self, parts):
            getattr(parts.on, name).append(hear)

    with pytest.raises(DeclarationError, match=rf"on.{name}: {hear.__name__} must be {kind} function"):
        pb.App(shop, resources={Tool: Tool()}, plugins=[Late()]).engine  # noqa: B018  # opens it


def test_an_opening_that_fails_names_the_plugin(shop):
    """An error in ``open`` has a note with the plugin's name, and an async ``open`` is refused."""

    class Fragile(pb.Plugin):
        def open(self, parts):
            raise OSError("no disk")

    class Later(pb.Plugin):
        async def open(self, parts):
            """Open later."""

    with pytest.raises(OSError, match="no disk") as caught:
        pb.App(shop, resources={Tool: Tool()}, plugins=[Fragile()]).engine  # noqa: B018  # opens it
    assert caught.value.__notes__ == ["while the plugin Fragile was opened"]
    with pytest.raises(DeclarationError, match=r"Later.open must be a plain function"):
        pb.App(shop, resources={Tool: Tool()}, plugins=[Later()]).engine  # noqa: B018  # opens it


class Broken(pb.Plugin):
    """Fails wherever it is asked, after it has opened."""

    def open(self, parts):
        async def background():
            raise OSError("in the background")

        def lacking():
            raise OSError("what is lacking")

        def leave(*_, **__):
            raise SystemExit(3)

        parts.offer(HEAT, self)
        parts.on.server.append(background)
        parts.on.lacking.append(lacking)
        parts.on.served.append(leave)

    def heat(self, task):
        raise OSError("how hot it is")


async def test_a_plugin_that_fails_while_the_app_runs_stops_nothing_else(shop, caplog):
    """Reads and refreshes go on, readiness names what could not be asked, and the log has each error."""
    app = pb.App(shop, store="memory://", resources={Tool: Tool()}, plugins=[Broken()])
    async with app.serving():
        assert (await app.serve(shop.label, "a")).has_value
        assert any("could not be asked" in sentence for sentence in (await app.ready()).lacking)
        assert await app.engine._heat(shop.label.ref) == {}
    for said in ("in the background", "what is lacking", "how hot it is", "SystemExit: 3"):
        assert said in caplog.text
    await app.close()


def test_routes_that_are_none_are_refused_by_the_plugins_name(shop):
    """What a plugin returns instead of a list of routes is shown."""

    class Lost(Greets):
        def routes(self, app):
            """Return nothing."""

    with pytest.raises(DeclarationError, match=r"Lost\.routes returned None"):
        HttpApp(pb.App(shop, plugins=[Lost()]))


def test_a_missing_plugin_is_named(shop):
    """``app.plugins[Kind]`` of a class that the app does not have says how to add it, and ``get`` returns ``None``."""
    app = pb.App(shop)
    with pytest.raises(DeclarationError, match="no plugin Ledger"):
        app.plugins[Ledger]
    assert app.plugins.get(Ledger) is None
    assert list(app.plugins) == []
