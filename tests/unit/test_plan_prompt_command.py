"""``parbake prompt plan`` with a trace, with and without prices."""

import datetime as dt
import json
import sys
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from parbake.cli.main import cli, main
from parbake.errors import MissingDependency

YEAR = dt.datetime.now(dt.UTC).year - 1
RATE = {"provider": "acme", "model": "one", "since": f"{YEAR}-01-01", "input": 3.0, "output": 15.0}
CACHED = {"cache_read": 0.1, "cache_write": 1.25, "cache_write_hour": 2.0}


def run(*arguments):
    """Run the command; return its output and exit status."""
    return CliRunner().invoke(cli, ["prompt", "plan", *map(str, arguments)])


def run_raising(*arguments):
    """Run the command; raise what it raises."""
    CliRunner().invoke(cli, ["prompt", "plan", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def trace(tmp_path):
    """Return the path of a trace in which each of a hundred prompts comes five times, a minute apart."""
    path = tmp_path / "trace.jsonl"
    rows = [
        {"timestamp": 1000 * (group * 5 + n * 60), "input_length": 5120, "output_length": 9,
         "hash_ids": [group * 10 + at for at in range(10)]}
        for group in range(100) for n in range(5)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_missing_library_is_named(trace, monkeypatch):
    """Without numpy the command says what to install."""
    monkeypatch.setitem(sys.modules, "parbake_llm.caching.decision", None)
    with pytest.raises(MissingDependency, match="plan") as caught:
        run_raising(trace)
    assert caught.value.field == "numpy"


@pytest.fixture
def book(tmp_path):
    """Return a function that writes a price book of the given rates."""

    def put(*rates):
        path = tmp_path / "book.json"
        path.write_text(json.dumps({"as_of": f"{YEAR}-02-01", "cpu_hour": 0.04, "rates": rates}))
        return path

    return put


def test_a_trace_with_prices_has_a_policy_adopted(trace, book, tmp_path):
    """The table has every policy, and the words and the JSON name the one that is adopted, with its comparison."""
    out = tmp_path / "plan.json"
    done = run(trace, "--book", book(RATE | CACHED), "--json", out)
    assert done.exit_code == 0, done.output
    for said in ("no caching", "always 5m", "always 1h", "warm all", "provider automatic", "planned", "clairvoyant",
                 "nobody can do better", "likelier than 27.8%", "1.11 reads", "upper bound"):  # fmt: skip
        assert said in done.output
    plan = json.loads(out.read_text())
    assert f"adopted: {plan['adopted']}" in done.output
    assert plan["adopted"] != "no caching"
    assert plan["gates"][0]["upper"] < 1
    assert (plan["requests"], plan["without_repeat"], plan["missing"]) == (500, 100, [])
    saved = plan["policies"]["planned"]["saving"]
    assert 0 < saved <= plan["policies"]["clairvoyant"]["saving"]


def test_without_prices_nothing_is_adopted(trace, tmp_path):
    """The example's prices are shown as such, and the output and the JSON name the missing option."""
    out = tmp_path / "plan.json"
    done = run(trace, "--json", out)
    assert done.exit_code == 0, done.output
    assert "the example's prices" in done.output
    assert "add --book FILE" in done.output
    assert "adopted:" not in done.output
    assert json.loads(out.read_text())["adopted"] is None


def test_a_trace_without_repeats_is_said_to_have_none(tmp_path, book):
    """Nothing is cached where nothing repeats, and that is the reason given."""
    path = tmp_path / "trace.csv"
    path.write_text("timestamp,session,input_tokens\n" + "".join(f"{at},s{at},2000\n" for at in range(50)))
    done = run(path, "--book", book(RATE | CACHED))
    assert "adopted: no caching" in done.output
    assert "no request repeats an earlier prefix" in done.output
    assert "50 of 50 requests share nothing" in done.output


def test_prices_without_an_hour_leave_it_out(trace, book):
    """A model that has no cache for an hour is planned without one, and a note says so."""
    done = run(trace, "--book", book(RATE | {"cache_read": 0.1, "cache_write": 1.25}))
    assert "no cache_write_hour" in done.output
    assert "always 1h" not in done.output
    assert "adopted: " in done.output


def test_the_model_is_chosen_from_the_book(trace, book):
    """A book of two models needs --model, whose refusal names both; with it, that model's price is used."""
    prices = book(RATE | CACHED, RATE | CACHED | {"model": "two", "input": 30.0})
    refused = run(trace, "--book", prices)
    assert refused.exit_code != 0
    assert "acme one, acme two" in str(refused.exception)
    costs = {}
    for model in ("one", "two"):
        out = trace.parent / f"{model}.json"
        assert run(trace, "--book", prices, "--model", model, "--json", out).exit_code == 0
        costs[model] = json.loads(out.read_text())["policies"]["no caching"]["usd"]
    assert costs["two"] == pytest.approx(10 * costs["one"])


def test_the_picture_shows_each_policy(trace, tmp_path):
    """The picture is an SVG with the policies' names as text."""
    picture = tmp_path / "saving.svg"
    assert run(trace, "--picture", picture).exit_code == 0
    text = ET.tostring(ET.parse(picture).getroot(), encoding="unicode", method="text")
    assert "planned" in text
    assert "clairvoyant" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'TRACE'"),
        (["TRACE", "--keys", "5"], "No such option: --keys"),
        (["TRACE", "--unit", "h"], "--unit h must be s or ms"),
        (["TRACE", "--model", "one"], "is missing"),
        (["TRACE", "--json", "TRACE"], "the trace itself"),
        (["TRACE", "--picture", "x.gif"], ".svg or .png"),
        (["absent.jsonl"], "absent.jsonl"),
        (["TRACE", "--tokens-per-block", "1024"], "10 hash_ids"),
    ],
)
def test_wrong_options_are_refused(trace, arguments, said, monkeypatch, capsys):
    """Each mistake ends the command with a message that names the option, and no traceback."""
    given = [str(trace) if one == "TRACE" else one for one in arguments]
    monkeypatch.setattr("sys.argv", ["parbake", "prompt", "plan", *given])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code not in (0, None)
    error = capsys.readouterr().err
    assert said in error.replace("\n", " ")
    assert "Traceback" not in error


def test_prices_without_caching_are_refused(trace, book):
    """A rate without cached reads cannot be planned, and the refusal says what is missing."""
    refused = run(trace, "--book", book(RATE))
    assert refused.exit_code != 0
    assert "no cache_read price" in str(refused.exception)
