"""Parsing and formatting of durations."""

import datetime as dt
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.growth import cpu_s

from parbake.errors import ContractError
from parbake.values.duration import humanize, seconds


@pytest.mark.parametrize(
    ("written", "expected"),
    [("90m", 5400), ("1h30m", 5400), ("200ms", 0.2), ("1.5s", 1.5), ("2d", 172800), ("1w", 604800), (7, 7), (0.5, 0.5)],
)
def test_every_unit_is_read(written, expected):
    """Each unit, and sums of units, are converted to seconds."""
    assert seconds(written, field="x") == pytest.approx(expected)


def test_a_timedelta_is_read():
    """A ``timedelta`` is converted to seconds."""
    assert seconds(dt.timedelta(minutes=1), field="x") == 60


@pytest.mark.parametrize("wrong", ["", "5", "h", "1x", "1h 30m", "-1h", "0s", 0, -1, float("inf"), float("nan")])
def test_a_malformed_or_empty_duration_names_the_field(wrong):
    """A malformed, zero, negative or infinite duration is refused, and the error names the field."""
    with pytest.raises(ContractError, match="freshness_sla") as caught:
        seconds(wrong, field="freshness_sla")
    assert caught.value.field == "freshness_sla"


@pytest.mark.parametrize("piece", ["1", "1.", "1h", "1m1"])
def test_a_long_text_is_refused_without_being_read(piece):
    """A text that is longer than any duration takes no longer than a short one, and the error shows its opening."""
    short, long = piece * 20, piece * 20_000
    for text in (short + "x", long + "x"):
        with pytest.raises(ContractError) as caught:
            seconds(text, field="since")
    assert len(str(caught.value)) < 300
    assert cpu_s(partial(_is_refused, long)) < 0.01 + 10 * cpu_s(partial(_is_refused, short))


def _is_refused(text):
    with pytest.raises(ContractError):
        seconds(f"{text}x", field="since")


@given(st.integers(1, 10**7))
def test_humanized_seconds_read_back(whole):
    """``seconds`` reads back what ``humanize`` writes."""
    assert seconds(humanize(whole), field="x") == whole


@pytest.mark.parametrize(("value", "text"), [(0.2, "200ms"), (0.9996, "1s"), (5400, "1h30m"), (86400, "1d")])
def test_humanize_uses_the_largest_units(value, text):
    """``humanize`` writes a duration in its largest units."""
    assert humanize(value) == text
