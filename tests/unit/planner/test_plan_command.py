"""``parbake plan`` as a sceptic calls it: a log, perhaps prices, nothing else."""

import builtins
import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from parbake.cli.main import cli, main
from parbake.planner.log import DAY

BEGIN = 1_760_054_400.0


@pytest.fixture
def log(tmp_path):
    """Return a log of three weeks."""
    rng = np.random.default_rng(0)
    rate = np.arange(1, 2_001.0) ** -1.0
    key = rng.choice(2_000, 8_000, p=rate / rate.sum())
    time = np.sort(BEGIN + rng.random(8_000) * 21 * DAY)
    path = tmp_path / "log.csv"
    path.write_text("key,timestamp\n" + "".join(f"user{k},{t:.0f}\n" for k, t in zip(key, time, strict=True)))
    return path


def plan(*arguments):
    """Call the command; return what it printed and its exit status."""
    return CliRunner().invoke(cli, ["plan", *map(str, arguments)])


def test_a_log_alone_gives_a_table_and_a_recommendation(log, tmp_path):
    """All strategies, the reason, the break-even volume, the threshold, the price that flips it; the same as JSON."""
    done = plan(log, "--keys", 5_000, "--coverage", 0.8, "--json", tmp_path / "plan.json")
    assert done.exit_code == 0, done.output
    for words in ("real-time", "precompute all", "lazy", "per key", "recommended:", "because:", "break-even", "flip"):
        assert words in done.output
    assert "the design's example" in done.output
    assert "per key + events (assumed)" in done.output
    found = json.loads((tmp_path / "plan.json").read_bytes())
    assert found["keys"] == 5_000
    assert found["recommended"] in found["strategies"]
    assert found["bound_usd_per_day"] < min(row["usd_per_day"] for row in found["strategies"].values())
    assert found["break_even_requests_per_day"] == pytest.approx(5_000 * 4 * 0.00013 / 0.0119)


def test_a_log_that_proves_nothing_leaves_the_default(tmp_path):
    """One request: computed when asked for and kept, with the reason, whatever the prices say."""
    (tmp_path / "one.csv").write_text("key,timestamp\na,1760054400\n")
    shown = plan(tmp_path / "one.csv").output
    for words in ("1 key,", "recommended: lazy", "nothing can be judged", "break-even volume: not known"):
        assert words in shown


def test_parts_of_a_log_in_the_wrong_order_or_twice_change_nothing(log, tmp_path):
    """Files joined as they came say the same as one that was written at once, and a note tells of it."""
    header, *rows = log.read_text().splitlines()
    half, right = len(rows) // 2, plan(log).output.split("recommended:")[1]
    for name, joined in (("turned.csv", rows[half:] + rows[:half]), ("twice.csv", rows + rows)):
        (tmp_path / name).write_text("\n".join([header, *joined]))
        shown = plan(tmp_path / name).output
        assert "parts joined" in shown
        assert shown.split("recommended:")[1] == right


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_front_is_drawn(log, tmp_path, suffix):
    """A picture of cost against hits, in both formats."""
    done = plan(log, "--picture", tmp_path / f"front.{suffix}")
    assert done.exit_code == 0, done.output
    begin = (tmp_path / f"front.{suffix}").read_bytes()[:200]
    assert b"PNG" in begin or b"<?xml" in begin


def test_your_prices_are_used(log, tmp_path):
    """Batch at no discount: nothing is computed ahead."""
    stated = {"as_of": "2026-01-01", "serve": 0.0001, "write": 0.00001, "on_demand": 0.012, "batch": 0.012}
    (tmp_path / "prices.json").write_text(json.dumps(stated))
    done = plan(log, "--prices", tmp_path / "prices.json")
    assert "recommended: lazy" in done.output
    assert "the design's example" not in done.output
    refused = plan(log, "--prices", tmp_path / "prices.json", "--coverage", 0.5)
    assert "no near_line" in str(refused.exception)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["absent.csv"], "absent.csv"),
        (["LOG", "--sla", "soon"], "sla='soon'"),
        (["LOG", "--coverage", "1.5"], "--coverage 1.5"),
        (["LOG", "--coverage", "0.5", "--precision", "0"], "--precision 0"),
        (["LOG", "--precision", "0.5"], "which --coverage assumes"),
        (["LOG", "--sla", "1s"], "an SLA of at least 36 s"),
        (["LOG", "--keys", "10"], "the log alone names"),
        (["LOG", "--prices", "absent.json"], "absent.json"),
        (["LOG", "--picture", "front.gif"], ".svg or .png"),
        (["LOG", "--json", "LOG"], "the log itself"),
        (["LOG", "--json", "/no/such/folder/plan.json"], "--json"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(log, monkeypatch, capsys, arguments, says):
    """A wrong option is named before the work, with exit status 1."""
    given = [str(log) if a == "LOG" else a for a in arguments]
    monkeypatch.setattr(sys, "argv", ["parbake", "plan", *given])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_without_the_libraries_it_says_what_to_install(log, tmp_path, monkeypatch, capsys):
    """No traceback for a missing extra."""
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
    """The first thing a sceptic tries."""
    assert "parbake plan requests.csv" in plan("--help").output
