"""Declarations: legal lanes, roles of parameters, checks, and merging of registries."""

from collections.abc import AsyncIterator

import pytest
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.tasks.legality import could_be_precomputed, legal_lanes
from parbake.tasks.task_table import classify


@pytest.fixture
def tasks():
    """Return an empty registry."""
    return pb.Registry()


def live(tasks, name="intent"):
    """Declare a live task."""

    def fn(message: pb.Live[str]) -> str:
        return message

    fn.__name__ = name
    return tasks.live(why="needs the message")(fn)


def two_keys() -> list[str]:
    """List keys."""
    return ["a", "b"]


def artifact(tasks, name="base", **changes):
    """Declare an artifact that reads nothing."""

    def fn(key: str) -> str:
        return key

    fn.__name__ = name
    return tasks.artifact(**contract(**changes))(fn)


def test_an_artifact_that_reads_a_live_input_is_refused(tasks):
    """An artifact with a live input is refused, and the error names the input and the reason."""

    def reply(key: str, *, message: pb.Live[str]) -> str:
        return key + message

    with pytest.raises(pb.errors.LaneError, match="exists only at request time") as caught:
        tasks.artifact(**contract())(reply)
    assert caught.value.field == "message"
    assert "reply -> message" in str(caught.value)


def test_a_live_input_is_found_through_other_tasks(tasks):
    """A live input is found through any number of tasks, and the error shows the path."""
    first = live(tasks)

    @tasks.live(why="reads the intent")
    def second(*, kind: str = pb.Input(first)) -> str:
        return kind

    def reply(key: str, *, kind: str = pb.Input(second)) -> str:
        return key + kind

    with pytest.raises(pb.errors.LaneError, match="reply -> second -> intent -> message"):
        tasks.artifact(**contract())(reply)
    with pytest.raises(pb.errors.LaneError):
        tasks.model(**contract(refresh=pb.every("20m")))(reply_model(second))


def reply_model(second):
    """Return a model function that reads a live task."""

    def train(*, kind: str = pb.Input(second)) -> str:
        return kind

    return train


def test_an_artifact_cannot_read_a_task_that_is_computed_per_request(tasks):
    """An artifact cannot read a live task, even one without live inputs, which should be an artifact."""

    @tasks.live(why="cheap")
    def clock() -> str:
        return "now"

    assert could_be_precomputed(clock)

    def reply(key: str, *, now: str = pb.Input(clock)) -> str:
        return key + now

    with pytest.raises(pb.errors.LaneError, match="declare that one as an artifact"):
        tasks.artifact(**contract())(reply)


def test_keys_are_listed_from_sources(tasks):
    """A function that lists keys cannot have live inputs."""

    def keys(*, message: pb.Live[str]) -> list[str]:
        return [message]

    with pytest.raises(pb.errors.LaneError) as caught:
        artifact(tasks, keys=keys)
    assert caught.value.field == "keys"


async def later() -> AsyncIterator[str]:
    """Yield a key from an async generator."""
    yield "a"


@pytest.mark.parametrize(
    ("keys", "why"),
    [(later, "async generator"), (["a"], "expected a function"), ("a", "expected a function"), (5, "expected a func")],
)
def test_a_key_lister_that_cannot_list_is_refused(tasks, keys, why):
    """An invalid ``keys=`` is refused when the task is declared, and the error says why."""
    with pytest.raises(pb.errors.DeclarationError, match=f"base: keys=.*{why}") as caught:
        artifact(tasks, keys=keys)
    assert caught.value.field == "keys"


def test_an_edge_must_fit_its_task(tasks):
    """An artifact cannot be read as a model, and a refined task cannot be read as an input."""
    base = artifact(tasks)

    @tasks.refine(base, budget="1s")
    async def finer(base: pb.Served[str], *, page: pb.Live[str]) -> str:
        return page

    def as_model(key: str, *, m: str = pb.Model(base)) -> str:
        return key

    def as_input(key: str, *, r: str = pb.Input(finer)) -> str:
        return key

    for wrong in (as_model, as_input):
        with pytest.raises(pb.errors.RoleError):
            tasks.artifact(**contract())(wrong)


def test_a_name_is_declared_once(tasks):
    """A second task of the same name is refused, also when registries are merged."""
    artifact(tasks)
    with pytest.raises(pb.errors.DeclarationError, match="'base' is already declared"):
        artifact(tasks)
    other = pb.Registry()
    artifact(other)
    with pytest.raises(pb.errors.DeclarationError):
        tasks.merge(other)


def test_merging_keeps_the_tasks_and_their_order(tasks):
    """A merged registry has the tasks of both in order, and both registries stay unchanged."""
    other = pb.Registry()
    one, two = artifact(tasks, "one"), artifact(other, "two")
    merged = tasks.merge(other)
    assert list(merged) == [one, two]
    assert list(tasks) == [one]
    assert merged["two"] is two


def test_an_unknown_name_is_an_error_with_status_404(tasks):
    """The error has the field and status, and cuts a long name."""
    with pytest.raises(pb.errors.UnknownTask) as caught:
        tasks["x" * 500]
    assert (caught.value.status, caught.value.field) == (404, "task")
    assert len(str(caught.value)) < 200


def test_a_task_from_a_registry_that_was_not_merged_is_found_at_load(tasks):
    """An app that lacks a task which another one reads fails when it is opened."""
    base = artifact(pb.Registry())
    artifact(tasks, "top", fallback_if_stale=pb.Use(base))
    with pytest.raises(pb.errors.DeclarationError, match="top reads base"):
        _ = pb.App(tasks).engine


@pytest.mark.parametrize("template", ["fact/{user}", "Fact", "fact/{", "fact/{}", "fact/ {key}"])
def test_an_impossible_tag_template_is_refused(tasks, template):
    """A template with an unknown placeholder or an invalid tag is refused."""
    with pytest.raises(pb.errors.ContractError) as caught:
        artifact(tasks, invalidated_by=[pb.fence(template)])
    assert caught.value.field == "invalidated_by"


@pytest.mark.parametrize(
    "wishes",
    [
        "session/{key}", 5, None, [5], [pb.refresh("session/{key}")], ["session"], ["session/*"], ["session/now"],
        ["session/{"], ["session/}"], ["session/{}"], ["{key}"], ["session/{key}/open"], ["session/{key}-{key}"],
        ["session/{{x}}{key}"], ["session/ {key}"], ["Session/{key}"], ["session/{key!r}"], [""],
    ],
)  # fmt: skip
def test_a_wish_that_can_never_name_a_key_is_refused(tasks, wishes):
    """An invalid ``prefetch=`` is refused; the error shows it and an example of the right form."""
    with pytest.raises(
        pb.errors.ContractError, match=r"^base: prefetch=.*write prefetch=\['session/\{key\}'\]"
    ) as caught:
        artifact(tasks, prefetch=wishes)
    assert caught.value.field == "prefetch"
    assert repr(wishes[0] if isinstance(wishes, list) else wishes) in str(caught.value)
    assert "invalidated_by" not in str(caught.value)


def test_the_wish_to_write_instead_has_the_name_of_the_key(tasks):
    """The example in the error uses the task's key and family; a valid template in any sequence is accepted."""
    with pytest.raises(pb.errors.ContractError, match=r"write prefetch=\['cart/\{shopper\}'\]"):

        @tasks.artifact(**contract(), prefetch=["cart"])
        def wrong(shoppers: pb.Keys[str]) -> dict[str, str]:
            return {}

    @tasks.artifact(**contract(), prefetch=("session/{shopper}", "cart/of-{shoppers}"))
    def right(shoppers: pb.Keys[str]) -> dict[str, str]:
        return {}

    assert [item.family for item in right.prefetch] == ["session", "cart"]


@pytest.mark.parametrize("template", ["fact", "fact/*", "fact/{key}", "fact/{users}", "fact/{user}"])
def test_a_template_may_name_the_key_as_it_is_spelled(tasks, template):
    """``{key}``, the parameter's name and its singular all stand for the key."""

    @tasks.artifact(**contract(invalidated_by=[pb.fence(template)]))
    def rows(users: pb.Keys[str]) -> dict[str, str]:
        return dict.fromkeys(users, "")

    assert rows.batched


def test_a_model_is_no_substitute(tasks):
    """A model cannot be the fallback of an artifact, because it has no keys."""

    @tasks.model(**contract(refresh=pb.every("20m")))
    def train() -> str:
        return ""

    with pytest.raises(pb.errors.ContractError) as caught:
        artifact(tasks, fallback_if_stale=pb.Use(train))
    assert caught.value.field == "fallback_if_stale"


def test_result_types_are_unwrapped(tasks):
    """The value type is the one inside ``Value``, ``Absent`` or the mapping of a batched function."""

    @tasks.artifact(**contract())
    def one(key: str) -> pb.Value[int] | pb.Absent:
        return pb.Value(1)

    @tasks.artifact(**contract())
    def many(keys: pb.Keys[str]) -> dict[str, int | pb.Absent]:
        return dict.fromkeys(keys, 1)

    assert (one.value_type, many.value_type) == (int, int)
    with pytest.raises(pb.errors.RoleError, match="mapping"):

        @tasks.artifact(**contract())
        def wrong(keys: pb.Keys[str]) -> int:
            return 1


def test_the_table_says_mode_lanes_and_what_could_be_precomputed(tasks):
    """The table derives mode, refresh, fallback and lanes from the declarations."""
    base = artifact(tasks, refresh=pb.every("20m"), keys=two_keys, fallback_if_stale=pb.ServeStale("1h"))
    used = artifact(tasks, "used", fallback_if_stale=pb.Use(base), invalidated_by=[pb.refresh("fact/{key}")])

    @tasks.refine(base, budget="150ms")
    async def finer(base: pb.Served[str], *, page: pb.Live[str]) -> str:
        """Filter by page."""
        return page

    @tasks.live(why="cheap")
    def clock() -> str:
        return "now"

    rows = {row.task: row for row in classify(tasks)}
    assert (rows["base"].mode, rows["base"].refresh) == ("batch", "every 20m or on fact event")
    assert rows["base"].contract["fallback_if_stale"] == "serve stale within 1h"
    assert (rows["used"].mode, rows["used"].refresh) == ("near-real-time", "on fact event")
    assert rows["used"].contract["fallback_if_stale"] == "use base"
    assert (rows["finer"].mode, rows["finer"].rationale, rows["finer"].legal_lanes) == (
        "near-real-time",
        "Filter by page.",
        ("realtime",),
    )
    assert "could be precomputed" in rows["clock"].note
    assert legal_lanes(used) == ("batch", "event", "realtime")


async def test_a_cell_that_is_run_again_replaces_its_task():
    """With ``replace=True`` a task can be declared again; an app or task with the old one raises an error."""
    tasks = pb.Registry(replace=True)

    def declare(text):
        @tasks.artifact(**contract(invalidated_by=[]))
        def word(key: str) -> str:
            return text

        return word

    def reader(word):
        @tasks.artifact(**contract(invalidated_by=[]))
        def page(key: str, *, words: pb.Reader[str, str] = pb.Input(word)) -> str:
            return words.read(key).unwrap()

        return page

    first = declare("old")
    page = reader(first)
    app = pb.App(tasks)
    assert (await app.serve(page, "a")).value == "old"
    second = declare("new")
    with pytest.raises(
        pb.errors.UnknownTask, match="word is not the one that this app was opened with; make the app after"
    ):
        await app.serve(second, "a")
    with pytest.raises(
        pb.errors.DeclarationError, match="page reads word, which was declared again later: declare page ag"
    ):
        await pb.App(tasks).serve(second, "a")
    again = reader(second)
    assert (await pb.App(tasks).serve(again, "a")).value == "new"
    assert [task.name for task in tasks] == ["word", "page"]


def test_a_task_that_is_declared_twice_is_an_error_that_says_what_notebooks_do(tasks):
    """The error for a repeated name suggests ``Registry(replace=True)``."""
    artifact(tasks)
    with pytest.raises(pb.errors.DeclarationError, match=r"already declared.*Registry\(replace=True\)"):
        artifact(tasks)


def test_the_names_of_the_package_are_offered():
    """``dir`` of the package lists lazily imported names, and each can be read."""
    assert {"App", "Batch", "cached", "remaining_s"} <= set(dir(pb))
    assert all(hasattr(pb, name) for name in dir(pb))
