"""What cannot be meant is refused where it is written, in one sentence that shows the right form."""

import pytest
from tests.unit.shopfloor import contract

import parbake as pb


def declare(**changes):
    """Declare an artifact with something changed in its settings."""

    @pb.Registry().artifact(**contract(**changes))
    def row(key: str) -> str:
        return key

    return row


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("fallback_if_stale", pb.Recompute, "fallback_if_stale=pb.Recompute is a class: write pb.Recompute()"),
        ("fallback_if_stale", pb.ServeStale, "write pb.ServeStale(within='1h')"),
        ("fallback_if_stale", pb.Use, "write pb.Use(other_task)"),
        ("fallback_if_stale", "refuse", "fallback_if_stale='refuse': expected pb.Recompute(), pb.ServeStale"),
        ("fallback_if_stale", None, "fallback_if_stale=None: expected pb.Recompute(), pb.ServeStale"),
        (
            "invalidated_by",
            ["policy"],
            "invalidated_by holds 'policy': write pb.fence('policy') or pb.refresh('policy')",
        ),
        ("invalidated_by", "policy", "invalidated_by='policy': expected a list, such as [pb.fence('policy')]"),
        ("invalidated_by", pb.fence("policy"), "write a list, [pb.fence('policy')]"),
        ("invalidated_by", [7], "invalidated_by holds 7: write pb.fence('policy')"),
        ("invalidated_by", None, "[] when nothing kills it"),
        ("refresh", "1h", "refresh='1h': write pb.every('1h')"),
        ("refresh", 3600, "refresh=3600: write pb.every('6h') or pb.planned()"),
        ("refresh", pb.refresh("policy"), "write pb.every('6h') or pb.planned()"),
        ("refresh", pb.every("20m"), "row: refresh=pb.every(...) needs keys=, a function that lists the keys"),
        ("owner", None, "owner=None: expected the name of a team"),
        ("confidence", 0.5, "confidence=0.5: expected a curve"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(field, value, says):
    """The message names the setting and what was given, and shows what to write instead; nothing is declared."""
    with pytest.raises(pb.ContractError) as caught:
        declare(**{field: value})
    assert says in str(caught.value)
    assert caught.value.field == ("keys" if "needs keys=" in says else field)


def test_a_model_is_checked_alike():
    """A model's schedule and fallback are read by the same rules."""
    for changes, says in [({"refresh": "1h"}, "write pb.every"), ({"fallback_if_stale": pb.Refuse}, "pb.Refuse()")]:
        with pytest.raises(pb.ContractError, match=says.replace("(", r"\(").replace(")", r"\)")):
            pb.Registry().model(**contract(**({"refresh": pb.every("20m")} | changes)))


@pytest.fixture
def app():
    """Return an app with an artifact, a refine and a live task."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[]))
    def row(key: str) -> str:
        return key

    @tasks.refine(row, budget="10s")
    async def finer(base: pb.Served[str], *, page: pb.Live[int]) -> str:
        return f"{base.value}{page}"

    @tasks.live(why="needs the words")
    async def length(words: pb.Live[str], twice: pb.Live[bool] = False) -> int:
        return len(words) * (2 if twice else 1)

    return pb.App(tasks)


@pytest.mark.parametrize(
    ("task", "args", "kwargs", "says"),
    [
        ("row", (), {}, "row needs a key: serve(row, key)"),
        ("row", ("a", "b"), {}, "row takes a key and nothing else, not 'b'"),
        ("row", ("a",), {"page": 1}, "row takes a key and nothing else, not page"),
        ("finer", (), {"page": 1}, "finer needs a key"),
        ("finer", ("a", 1, 2), {}, "finer takes 1 live values, not 2"),
        ("finer", ("a", 1), {"page": 1}, "finer: page is given twice"),
        ("length", ("a", True, 3), {}, "length takes 2 live values, not 3"),
        ("length", ("a",), {"words": "b"}, "length: words is given twice"),
    ],
)
async def test_too_few_and_too_many_arguments_are_refused(app, task, args, kwargs, says):
    """``serve`` names what is missing or too much; it neither drops an argument nor fails with an index."""
    with pytest.raises(pb.BadInput) as caught:
        await app.serve(app.tasks[task], *args, **kwargs)
    assert says in str(caught.value)


async def test_the_name_of_a_task_is_no_task(app):
    """Who passes a name is told to pass the task."""
    with pytest.raises(pb.BadInput, match="the first argument is the task itself, not its name"):
        await app.serve("row", "a")


async def test_positions_and_names_mix(app):
    """Live values may stand by position and by name."""
    assert (await app.serve(app.tasks["length"], "abc", twice=True)).value == 6
    assert (await app.serve(app.tasks["finer"], "a", 1)).value == "a1"


@pytest.mark.parametrize(
    ("items", "form"),
    [
        ([pb.ignore("user/{key}", "why")], "pb.ignore('user', "),
        ([pb.ignore("user", " ")], "has no reason"),
        ([pb.ignore("user", "why"), pb.fence("user/{key}")], "both ignores 'user' and holds pb.fence('user/{key}')"),
    ],
)
def test_an_ignored_family_is_whole_reasoned_and_not_minded(items, form):
    """An entity, a missing reason and a contradiction are refused with the form that was meant."""
    with pytest.raises(pb.ContractError) as caught:
        pb.Registry().artifact(freshness_sla="1h", invalidated_by=items, fallback_if_stale=pb.Recompute(), owner="team")
    assert form in str(caught.value)
    assert caught.value.field == "invalidated_by"
