"""``parbake plan`` with a log, with and without prices."""

import builtins
import json
import sys
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from typer.testing import CliRunner

from parbake.cli.main import cli, main
from parbake_planner.breakeven import STORY
from parbake_planner.cli.plan_command import words
from parbake_planner.forecast.log_file import read
from parbake_planner.forecast.request_log import DAY
from parbake_planner.plan import make

BEGIN = 1_760_054_400.0


@pytest.fixture
def log(tmp_path):
    """Return the path of a log of three weeks."""
    rng = np.random.default_rng(0)
    rate = np.arange(1, 2_001.0) ** -1.0
    key = rng.choice(2_000, 8_000, p=rate / rate.sum())
    time = np.sort(BEGIN + rng.random(8_000) * 21 * DAY)
    path = tmp_path / "log.csv"
    path.write_text("key,timestamp\n" + "".join(f"user{k},{t:.0f}\n" for k, t in zip(key, time, strict=True)))
    return path


def plan(*arguments):
    """Run the command; return its output and exit status."""
    return CliRunner().invoke(cli, ["plan", *map(str, arguments)])


@pytest.fixture
def prices(tmp_path):
    """Return a file of prices in which batch is a hundred times cheaper."""
    stated = {"as_of": "2026-01-01", "serve": 0.0001, "write": 0.00001, "on_demand": 0.012, "batch": 0.00012}
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(stated | {"near_line": 0.0012}))
    return path


@pytest.mark.parametrize(("given", "lacks"), [([], ["prices", "keys"]), (["prices"], ["keys"]), (["keys"], ["prices"])])
def test_without_prices_or_keys_nothing_is_recommended(log, prices, tmp_path, given, lacks):
    """The table is shown, and one line, also in the JSON, names the options that are missing."""
    values = {"prices": prices, "keys": 5_000}
    options = [word for name in given for word in (f"--{name}", values[name])]
    done = plan(log, *options, "--json", tmp_path / "plan.json")
    assert done.exit_code == 0, done.output
    assert "precompute all" in done.output
    for said in ("recommended:", "because:", "threshold:", "break-even"):
        assert said not in done.output
    (line,) = [line for line in done.output.splitlines() if line.startswith("nothing is recommended")]
    assert [name for name in ("prices", "keys") if f"add --{name}" in line] == lacks
    assert ("the example's prices" in done.output) is ("prices" in lacks)
    found = json.loads((tmp_path / "plan.json").read_bytes())
    assert (found["recommended"], found["reason"], found["missing"]) == (None, line, lacks)


def test_prices_and_keys_give_a_recommendation(log, prices, tmp_path):
    """The output has all strategies, the reason, the break-even volume and the threshold; the JSON agrees."""
    done = plan(log, "--prices", prices, "--keys", 5_000, "--coverage", 0.8, "--json", tmp_path / "plan.json")
    assert done.exit_code == 0, done.output
    for said in ("real-time", "precompute all", "lazy", "per key", "recommended:", "because:", "break-even", "flip"):
        assert said in done.output
    assert "example" not in done.output
    assert "per key + events (assumed)" in done.output
    found = json.loads((tmp_path / "plan.json").read_bytes())
    assert (found["keys"], found["missing"]) == (5_000, [])
    assert found["recommended"] in found["strategies"]
    assert found["bound_usd_per_day"] < min(row["usd_per_day"] for row in found["strategies"].values())
    assert found["break_even_requests_per_day"] == pytest.approx(5_000 * 4 * 0.00013 / 0.0119)


def test_a_log_that_proves_nothing_leaves_the_default(tmp_path, prices):
    """With one request the recommendation is lazy, with the reason, at any prices."""
    (tmp_path / "one.csv").write_text("key,timestamp\na,1760054400\n")
    shown = plan(tmp_path / "one.csv", "--prices", prices, "--keys", 1).output
    for said in ("1 key,", "recommended: lazy", "strategies cannot be judged"):
        assert said in shown


def test_a_break_even_volume_needs_keys_that_are_known(tmp_path):
    """Without a known number of keys, no break-even volume is stated."""
    (tmp_path / "one.csv").write_text("key,timestamp\na,1760054400\n")
    found = make(read(tmp_path / "one.csv", now=BEGIN + DAY), STORY, sla_s=3600.0)
    assert "break-even volume: not known, as no key was known before its first request" in words(found)


def test_parts_of_a_log_in_the_wrong_order_or_twice_change_nothing(log, prices, tmp_path):
    """Parts in the wrong order, or repeated, give the same recommendation, with a note."""
    header, *rows = log.read_text().splitlines()
    options = ("--prices", prices, "--keys", 2_000)
    half, right = len(rows) // 2, plan(log, *options).output.split("recommended:")[1]
    for name, joined in (("turned.csv", rows[half:] + rows[:half]), ("twice.csv", rows + rows)):
        (tmp_path / name).write_text("\n".join([header, *joined]))
        shown = plan(tmp_path / name, *options).output
        assert "joined parts, now sorted" in shown
        assert shown.split("recommended:")[1] == right


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_front_is_drawn(log, tmp_path, suffix):
    """``--picture`` draws cost against hits as SVG or PNG."""
    done = plan(log, "--picture", tmp_path / f"front.{suffix}")
    assert done.exit_code == 0, done.output
    begin = (tmp_path / f"front.{suffix}").read_bytes()[:200]
    assert b"PNG" in begin or b"<?xml" in begin


def texts(path):
    """Return the texts in a picture."""
    return [element.text for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_the_picture_marks_what_is_recommended(log, prices, tmp_path):
    """With prices the axis is in dollars, and the recommended point is labelled and in the legend."""
    done = plan(log, "--prices", prices, "--keys", 5_000, "--picture", tmp_path / "front.svg")
    recommended = done.output.split("recommended: ")[1].splitlines()[0]
    found = texts(tmp_path / "front.svg")
    assert f"{recommended} (recommended)" in found
    assert "recommended" in found
    assert "US dollars a day (logarithmic)" in found
    assert any(text.startswith("$") for text in found)


def test_a_picture_without_prices_says_what_its_axis_is(log, tmp_path):
    """Without prices the axis names the example's prices, and no point is marked."""
    plan(log, "--keys", 5_000, "--picture", tmp_path / "front.svg")
    found = texts(tmp_path / "front.svg")
    assert "US dollars a day at the example's prices, not yours (logarithmic)" in found
    assert not any("recommended" in text for text in found)


def test_your_prices_are_used(log, tmp_path):
    """With batch at the on-demand price the recommendation is lazy; ``--coverage`` needs a near_line price."""
    stated = {"as_of": "2026-01-01", "serve": 0.0001, "write": 0.00001, "on_demand": 0.012, "batch": 0.012}
    (tmp_path / "prices.json").write_text(json.dumps(stated))
    done = plan(log, "--prices", tmp_path / "prices.json", "--keys", 2_000)
    assert "recommended: lazy" in done.output
    assert "the example's prices" not in done.output
    refused = plan(log, "--prices", tmp_path / "prices.json", "--coverage", 0.5)
    assert "must have near_line" in str(refused.exception)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["absent.csv"], "absent.csv"),
        (["LOG", "--sla", "soon"], "sla='soon'"),
        (["LOG", "--coverage", "1.5"], "--coverage 1.5"),
        (["LOG", "--coverage", "0.5", "--precision", "0"], "--precision 0"),
        (["LOG", "--precision", "0.5"], "needs --coverage"),
        (["LOG", "--sla", "1s"], "an SLA of at least 36 s"),
        (["LOG", "--keys", "10"], "is less than the"),
        (["LOG", "--prices", "absent.json"], "absent.json"),
        (["LOG", "--picture", "front.gif"], ".svg or .png"),
        (["LOG", "--json", "LOG"], "the log itself"),
        (["LOG", "--json", "/no/such/folder/plan.json"], "--json"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(log, monkeypatch, capsys, arguments, says):
    """A wrong option ends with status 1 and an error that names it."""
    given = [str(log) if a == "LOG" else a for a in arguments]
    monkeypatch.setattr(sys, "argv", ["parbake", "plan", *given])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_without_the_libraries_it_says_what_to_install(log, tmp_path, monkeypatch, capsys):
    """Without matplotlib the error names the extra to install."""
    real = builtins.__import__

    def missing(name, *rest, **kwargs):
        if name == "matplotlib":
            raise ImportError(name)
        return real(name, *rest, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    monkeypatch.setattr(sys, "argv", ["parbake", "plan", str(log), "--picture", str(tmp_path / "front.svg")])
    with pytest.raises(SystemExit):
        main()
    assert "pip install '.[plots]'" in capsys.readouterr().err


def test_the_help_has_an_example():
    """``--help`` contains an example command."""
    assert "parbake plan requests.csv" in plan("--help").output
