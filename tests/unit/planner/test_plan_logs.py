"""``parbake plan`` with logs that people already have, and its page for a meeting."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from typer.testing import CliRunner

from parbake.cli.main import cli
from parbake.errors import BadInput

STATED = {"as_of": "2026-01-01", "serve": 0.0001, "write": 0.00001, "on_demand": 0.012, "batch": 0.00012}


def plan(*arguments):
    """Run the command; return its output and exit status."""
    return CliRunner().invoke(cli, ["plan", *map(str, arguments)])


def times(count, days=21):
    """Return keys and times of requests, of which few keys have most."""
    rng = np.random.default_rng(0)
    rate = np.arange(1, 301.0) ** -0.5
    keys = rng.choice(300, count, p=rate / rate.sum())
    begin = np.datetime64("2026-03-01T00:00:00")
    return zip(keys, begin + np.sort(rng.integers(0, days * 86_400, count)).astype("timedelta64[s]"), strict=True)


@pytest.fixture
def access(tmp_path):
    """Return the path of an access log of three weeks, with some lines that do not count."""
    path = tmp_path / "access.log"
    lines = [
        f'10.0.0.1 - - [{at.item():%d}/Mar/2026:{at.item():%H:%M:%S} +0000] "GET /item/{key} HTTP/1.1" 200 5 "-" "x"'
        for key, at in times(3_000)
    ]
    path.write_text("\n".join([*lines, '<script>alert("x")</script>', lines[0].replace("GET", "POST")]))
    return path


@pytest.fixture
def spend(tmp_path):
    """Return the path of LiteLLM's spend logs of three weeks, with their costs."""
    path = tmp_path / "spend.jsonl"
    rows = [
        {"request_id": str(n), "call_type": "acompletion", "startTime": f"{at}Z", "spend": 0.01 + 0.002 * (n % 3),
         "model": "m", "prompt_tokens": 9, "completion_tokens": 1, "cache_key": f"k{key}", "cache_hit": "False"}
        for n, (key, at) in enumerate(times(3_000))
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def prices(tmp_path):
    """Return a function that writes prices without the fields that are named."""

    def write(*without):
        path = tmp_path / "prices.json"
        path.write_text(json.dumps({name: value for name, value in STATED.items() if name not in without}))
        return path

    return write


class Page(HTMLParser):
    """Collects what a page loads, runs and says."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads, self.words, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [v for k, v in attrs if k in ("src", "href", "xlink:href") and not v.startswith("#")]

    def handle_data(self, data):
        self.words.append(data)


def test_an_access_log_is_planned_with_prices(access, prices, tmp_path):
    """A log as it is gives a recommendation, and the output and the JSON say what was read and left out."""
    done = plan(access, "--prices", prices(), "--keys", 400, "--json", tmp_path / "plan.json")
    assert done.exit_code == 0, done.output
    assert "recommended: " in done.output
    assert "left out: 1 (not a line of an access log), 1 (not a GET)" in done.output
    read = json.loads((tmp_path / "plan.json").read_bytes())["log"]
    assert (read["format"], read["rows"], read["median_usd"]) == ("access", 3_002, None)


@pytest.mark.parametrize("log", ["access", "spend"])
def test_nothing_is_recommended_without_prices(log, request, tmp_path):
    """A measured cost is told, but no other price is taken from an example, in the output, the JSON and the page."""
    done = plan(
        request.getfixturevalue(log), "--keys", 400, "--json", tmp_path / "p.json", "--page", tmp_path / "p.html"
    )
    assert done.exit_code == 0, done.output
    assert "recommended:" not in done.output
    assert json.loads((tmp_path / "p.json").read_bytes())["recommended"] is None
    page = Page((tmp_path / "p.html").read_text())
    text = " ".join(page.words)
    assert "Nothing is recommended without your prices" in text
    assert "svg" not in page.tags
    assert ("$" in text) is (log == "spend")
    assert ("$36.00 in all, which is $51" in text) is (log == "spend")


def test_the_cost_of_a_computation_may_come_from_the_log(spend, access, prices, tmp_path):
    """Prices without on_demand take the median of the log; with it they do not; a log without costs is refused."""
    paths = tmp_path / "p.json", tmp_path / "p.html"
    done = plan(spend, "--prices", prices("on_demand"), "--keys", 400, "--json", paths[0], "--page", paths[1])
    assert "3,000 computations, $0.012 each in the median; that is the price on request" in done.output
    assert "recommended: " in done.output
    assert json.loads(paths[0].read_bytes())["log"]["is_median_used"] is True
    assert "is the median of 3,000 costs that the log has measured" in paths[1].read_text()
    stated = plan(spend, "--prices", prices(), "--keys", 400)
    assert "a file of --prices without on_demand takes it from here" in stated.output
    refused = plan(access, "--prices", prices("on_demand"), "--keys", 400)
    assert isinstance(refused.exception, BadInput)
    assert refused.exception.field == "on_demand"
    assert plan(spend, "--prices", prices("batch")).exception.field == "batch"


def test_the_page_needs_no_network_and_runs_nothing(access, prices, tmp_path):
    """One file has the sum before and after, the marked picture for both widths, what was read, and the assumptions."""
    log = access.rename(tmp_path / "<b>&log")
    done = plan(log, "--prices", prices(), "--keys", 400, "--page", tmp_path / "p.html")
    assert done.exit_code == 0, done.output
    content = (tmp_path / "p.html").read_text()
    page = Page(content)
    text = " ".join(page.words)
    assert page.loads == []
    assert not {"script", "link", "img", "iframe", "b"} & set(page.tags)
    assert not re.search(r"@import|url\((?!#)", content)
    assert page.tags.count("svg") == 2
    assert content.count("(recommended)") == 2
    assert len(set(re.findall(r' id="([^"]+)"', content))) == len(re.findall(r' id="([^"]+)"', content))
    for said in ("What you do today", "What you should do", " a month", "<b>&log", "3,002", "not a GET",
                 "2026-03-01", "assumed here", "95 % interval", "The future is like", "Prices: $0.012"):  # fmt: skip
        assert said in text
    for said in ("prefers-color-scheme: dark", "max-width: 40rem", "currentColor", "var(--paper)"):
        assert said in content


def test_the_page_must_be_another_file_that_can_be_written(access):
    """The log itself and a missing folder are refused before the work, and the option is named."""
    for target in (access, "/no/such/folder/p.html"):
        assert plan(access, "--page", target).exception.field == "page"


def test_a_pattern_and_a_kind_are_options(access, prices):
    """``--key-pattern`` makes other keys, and ``--format`` is refused if it names no kind."""
    done = plan(access, "--key-pattern", r"^GET /item/(\d)")
    assert "10 keys" in done.output
    assert plan(access, "--format", "nginx").exception.field == "format"
    assert plan(access, "--key-pattern", "(").exception.field == "key_pattern"
