"""``pb.cached``: the shortest way in, its defaults, and who refuses them."""

import pytest

import parbake as pb
from parbake.app import cached as module
from parbake.errors import ContractError, DeclarationError


@pytest.fixture(autouse=True)
def _own_process(monkeypatch):
    """Give each test a registry, a store and an app of its own."""
    monkeypatch.setattr(module, "_process", module._Process())


def test_a_value_is_kept_until_its_tag_is_raised():
    """A key is computed once, and again after its tag was touched; other keys keep their values."""
    made = []

    @pb.cached(ttl="1h", tags=["rate/{currency}"])
    def rate(currency: str) -> int:
        """The rate of a currency."""
        made.append(currency)
        return len(made)

    assert (rate("USD"), rate("EUR"), rate("USD")) == (1, 2, 1)
    rate.touch("rate/USD")
    assert (rate("USD"), rate("EUR")) == (3, 2)
    assert rate.serve("EUR").verdict is pb.Verdict.FRESH
    assert rate.__doc__ == "The rate of a currency."


async def test_a_coroutine_function_stays_one():
    """An ``async def`` is awaited, and its values are kept as well."""
    made = []

    @pb.cached(ttl="1h")
    async def double(number: int) -> int:
        made.append(number)
        return 2 * number

    assert (await double(2), await double(2), made) == (4, 4, [2])


def test_a_function_declared_later_shares_the_tags():
    """Functions that are declared after the first call are served by the same store, and one touch raises both."""

    @pb.cached(ttl="1h", tags=["shop"])
    def one(key: str) -> object:
        return [key]

    first = one("a")

    @pb.cached(ttl="1h", tags=["shop"])
    def two(key: str) -> object:
        return [key]

    assert (two("a"), one("a")) == (["a"], first)
    two.touch("shop")
    assert one.serve("a").lane == "realtime"


def test_functions_of_one_name_in_two_modules_do_not_meet():
    """Each keeps its own values, since the task is named after the module, too."""
    made = {}
    for module_name in ("one", "two"):

        def rate(currency: str) -> str:
            return currency

        rate.__module__ = module_name
        made[module_name] = pb.cached(ttl="1h")(rate)
    assert [made[name]("USD") for name in made] == ["USD", "USD"]
    assert len({made[name].task.name for name in made}) == 2


def test_a_function_declared_again_serves_only_its_own_values():
    """A function that replaces one of the same name, as in a notebook, is served, and never the other's values."""

    def declared(number: int):
        @pb.cached(ttl="1h")
        def same(key: str) -> int:
            return number

        return same

    assert declared(1)("a") == 1
    assert declared(2)("a") == 2


def test_what_was_not_stated_is_listed_and_refused_by_a_strict_app():
    """The table of tasks names the fields with defaults, and ``App(strict=True)`` refuses such tasks by name."""
    tasks = pb.Registry()

    @tasks.cached(ttl="1h")
    def known(key: str) -> str:
        return key

    (row,) = pb.App(tasks).classify()
    assert row.note == "by default: fallback_if_stale, invalidated_by, owner"
    with pytest.raises(DeclarationError, match="known leaves fallback_if_stale"):
        pb.App(tasks, strict=True)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"ttl": "soon"}, "ttl"),
        ({"ttl": "1h", "tags": [5]}, "tags"),
        ({"ttl": "1h", "tags": "policy"}, "tags"),
        ({"ttl": "1h", "tags": None}, "tags"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, field):
    """A duration that cannot be read, or a tag that is not text, is refused where the function is declared."""
    with pytest.raises(ContractError) as caught:

        @pb.cached(**settings)
        def known(key: str) -> str:
            return key

    assert caught.value.field == field
