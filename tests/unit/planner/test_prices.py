"""Price books, the figures that prices imply, and refused prices."""

import dataclasses
import datetime as dt
import json
import math

import pytest

from parbake.errors import BadInput
from parbake_planner.breakeven import STORY, Prices, break_even_volume, flip_factor, read_prices
from parbake_planner.ledger.costs import read_book
from parbake_planner.prices import Book, Rate, Tokens, call_cost, checked

TODAY = dt.date(2026, 11, 25)


def rate(**changed):
    """Return a price that is valid since spring."""
    given = {"provider": "acme", "model": "small", "since": dt.date(2026, 4, 1), "input": 1.0, "output": 4.0}
    return Rate(**{**given, "batch": 0.5, "cache_read": 0.1, "cache_write": 1.25, **changed})


def book(*rates):
    """Return a price book of today."""
    return Book(as_of=TODAY, rates=rates or (rate(),))


def test_the_break_even_volume_of_the_example():
    """$2,600 a day against $0.0119 a request breaks even at 218,487 requests a day."""
    assert break_even_volume(batch=2_400, storage=200, on_demand=0.012, serve=0.0001) == pytest.approx(218_487, abs=1)
    assert break_even_volume(batch=1, storage=1, on_demand=0.1, serve=0.1) == math.inf


@pytest.mark.parametrize(
    ("ratio", "theta"), [(100, 0.011), (20, 0.051), (10, 0.102), (5, 0.202), (4, 0.253), (2, 0.505)]
)
def test_the_threshold_by_hand(ratio, theta):
    """The threshold is ``(batch + write) / (on_demand - serve + write)`` at each ratio of prices."""
    prices = Prices(on_demand=0.012, serve=0.0001, batch=0.012 / ratio, write=0.00001)
    assert prices.theta() == pytest.approx((0.012 / ratio + 0.00001) / (0.012 - 0.0001 + 0.00001))
    assert prices.theta() == pytest.approx(theta, abs=0.0006)


def test_waiting_and_staleness_move_the_threshold():
    """The value of waiting time lowers the threshold, and the cost of stale serves raises it."""
    dear = Prices(on_demand=0.012, serve=0.0001, batch=0.00012, write=0.00001, second=0.01, stale_serve=0.001)
    miss = 0.012 + 0.01 * 0.8 - (0.0001 + 0.01 * 0.005) + 0.00001
    assert dear.theta(stale_serves=2.0) == pytest.approx((0.00013 + 2 * 0.001) / miss)


def test_the_example_flips_at_a_price_1_82_times_lower():
    """Precomputing for $2,600 and 400,000 serves costs as much as real time at $0.0066 a request."""
    flip = flip_factor(STORY, fixed=2_600, computed=0, served=400_000, requests=400_000)
    assert flip == pytest.approx(0.012 / 0.0066)
    low = flip_factor(
        dataclasses.replace(STORY, on_demand=0.006), fixed=2_600, computed=0, served=400_000, requests=400_000
    )
    assert low < 1
    assert flip_factor(STORY, fixed=1, computed=9, served=0, requests=9) == 1.0


def test_a_call_is_priced_by_its_tokens_and_its_processing():
    """Input, output and cached tokens each have their price, and batch processing halves it."""
    tokens = Tokens(input=1_000_000, output=500_000, cache_read=1_000_000, cache_write=1_000_000)
    assert call_cost(rate(), tokens) == pytest.approx(1.0 + 2.0 + 0.1 + 1.25)
    assert call_cost(rate(), tokens, processing="batch") == pytest.approx(4.35 / 2)


@pytest.mark.parametrize("asked", [{"processing": "flex"}, {"tokens": Tokens(cache_write=1)}])
def test_what_is_not_offered_has_no_price(asked):
    """A processing tier or token kind without a price is refused."""
    with pytest.raises(BadInput, match="has no"):
        call_cost(rate(cache_write=None), asked.pop("tokens", Tokens(input=1)), **asked)


def test_an_unknown_context_is_refused():
    """An unknown context length is refused, and not priced as standard."""
    with pytest.raises(BadInput, match="no price for context 'long', only for standard"):
        book().rate("acme", "small", on=TODAY, context="long")


@pytest.mark.parametrize(("model", "on"), [("large", TODAY), ("small", dt.date(2026, 1, 1))])
def test_an_unknown_model_or_too_early_a_day_is_refused(model, on):
    """A model without a price on that day is refused."""
    with pytest.raises(BadInput, match="no price"):
        book().rate("acme", model, on=on)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"input": -1.0}, "input"),
        ({"output": math.nan}, "output"),
        ({"batch": 1.0}, "batch"),
        ({"flex": 1.2}, "flex"),
        ({"since": dt.date(2026, 12, 1)}, "since"),
    ],
)
def test_a_price_that_cannot_be_right_is_refused(changed, field):
    """Negative or NaN prices, discounts that are none, and prices from the future are refused by field."""
    with pytest.raises(BadInput) as caught:
        checked(book(rate(**changed)), today=TODAY)
    assert caught.value.field == field


def test_a_book_from_the_future_or_with_a_price_twice_is_refused():
    """A book dated in the future, or with a price given twice, is refused."""
    with pytest.raises(BadInput, match="dated in the future"):
        checked(book(), today=TODAY - dt.timedelta(days=1))
    with pytest.raises(BadInput, match="given twice"):
        checked(book(rate(), rate()), today=TODAY)


def written(folder, **changed):
    """Write a task's prices to a file and return its path."""
    stated = {"as_of": "2026-11-25", "serve": 0.0001, "write": 0.00001, "on_demand": 0.012, "batch": 0.00012, **changed}
    path = folder / "prices.json"
    path.write_text(json.dumps({name: value for name, value in stated.items() if value != "left out"}))
    return path


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"serve": -1}, "serve=-1"),
        ({"serve": "left out"}, "serve"),
        ({"batch": "left out"}, "batch is missing"),
        ({"on_demand": "cheap"}, "on_demand"),
        ({"as_of": "2027-01-01"}, "in the future"),
        ({"serve": 0.02}, "must exceed serve"),
        ({"prise": 1}, "prise"),
    ],
)
def test_a_file_of_prices_that_cannot_be_used(tmp_path, changed, says):
    """Negative, missing, misspelt or future entries are refused by name."""
    with pytest.raises(BadInput, match=says):
        read_prices(written(tmp_path, **changed), today=TODAY)


def test_prices_from_usage_and_a_book(tmp_path):
    """Prices that are not stated are computed from tokens and the book's rates."""
    line = {"provider": "acme", "model": "small", "since": "2026-04-01", "input": 1, "output": 4, "batch": 0.5}
    usage = {"provider": "acme", "model": "small", "tokens": {"input": 8_000, "output": 1_000}}
    told = {"usage": usage, "book": {"as_of": "2026-11-01", "rates": [line]}}
    prices = read_prices(written(tmp_path, on_demand="left out", batch="left out", **told), today=TODAY)
    assert prices.on_demand == pytest.approx(0.012)
    assert prices.batch == pytest.approx(0.006)


def test_a_file_that_is_none(tmp_path):
    """A missing file, or one that is not JSON, is refused by name."""
    with pytest.raises(BadInput, match="No such file"):
        read_prices(tmp_path / "absent.json", today=TODAY)
    (tmp_path / "book.json").write_text("{")
    with pytest.raises(BadInput, match=r"book\.json"):
        read_book(tmp_path / "book.json", today=TODAY)
