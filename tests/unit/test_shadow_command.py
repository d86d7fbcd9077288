"""``parbake shadow`` from the command line against a cache behind HTTP, and its wrong options."""

import builtins
import email.utils
import http.server
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

import parbake as pb
from parbake.cli.main import cli

RECOMPUTE = '''
"""What the truth is now."""
import parbake_lab.shadow


def recompute(key):
    """The current text."""
    if key == "raises":
        raise ValueError("this key has no source")
    if key == "dated":
        return parbake_lab.shadow.CurrentValue("new", changed_at=0.0)
    return f"text of {key}"


nothing = 7
'''


class Cache(http.server.BaseHTTPRequestHandler):
    """Serves entries and records the requests."""

    def do_GET(self):
        """Return the entry with its headers."""
        self.asked.append((self.command, self.path, self.headers["Cache-Control"]))
        status, body, headers = self.entries.get(self.path.removeprefix("/cache/"), (404, b"", {}))
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Log nothing."""


@pytest.fixture
def cache(monkeypatch):
    """Return a cache on a free port, with its URL."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = type("Handler", (Cache,), {"entries": {}, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        handler.url = f"http://127.0.0.1:{server.server_address[1]}/cache/{{key}}"
        yield handler
        server.shutdown()
        thread.join()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs ``parbake shadow`` in a folder with a module ``shop``."""
    name = "recompute_" + tmp_path.name.replace("-", "_")
    (tmp_path / f"{name}.py").write_text(RECOMPUTE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def invoke(*words):
        return CliRunner().invoke(cli, ["shadow", *(w.replace("shop:", f"{name}:") for w in words)])

    return invoke


def keys(folder, *names):
    """Write a file of keys and return its name."""
    (folder / "keys.txt").write_text("\n".join(names) + "\n\n")
    return "keys.txt"


def test_an_http_cache_is_compared(run, cache, tmp_path):
    """Outcomes are counted, ages come from ``Age`` or ``Date``, and every request is ``only-if-cached``."""
    hour_ago = email.utils.formatdate(time.time() - 3600, usegmt=True)
    cache.entries |= {
        "same": (200, b"text of same", {"Age": "30"}),
        "old%2F1": (200, b"text of old", {"Date": hour_ago}),
        "dated": (200, b"old", {}),
        "raises": (200, b"x", {}),
        "binary": (200, b"\xff\xfe", {}),
        "busy": (503, b"", {}),
        "elsewhere": (302, b"", {"Location": "/cache/same"}),
    }
    names = keys(tmp_path, "same", "old/1", "dated", "raises", "binary", "busy", "elsewhere", "none", "none")
    result = run(
        cache.url, "--recompute", "shop:recompute", "--keys", names, "--decode", "text", "--rate", "1000",
        "--cost-per-recompute", "0.5", "--stale-cost", "3", "--report", "out.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["outcomes"] == {"equal": 1, "different": 2, "failed": 1, "undecodable": 3, "missing": 1}
    assert found["age_stale"]["max"] == pytest.approx(3600, abs=60)
    assert found["age_all"]["count"] == 2
    assert found["wrong_for"]["count"] == 1
    assert (found["cost_recompute_all"], found["cost_stale"]) == (2.0, 6.0)
    assert {"ValueError", "status 503", "status 302"} <= {problem["what"] for problem in found["problems"]}
    assert "66.67% (95 % interval" in result.output
    assert "text of" not in result.output
    assert {(verb, control) for verb, _, control in cache.asked} == {("GET", "only-if-cached")}


def test_values_are_shown_on_request(run, cache, tmp_path):
    """With ``--show-values`` the examples show both values."""
    cache.entries["k"] = (200, b'{"days": 30}', {})
    names = keys(tmp_path, "k")
    result = run(cache.url, "--recompute", "shop:recompute", "--keys", names, "--show-values")
    assert "{'days': 30}" in result.output
    assert "text of k" in result.output


@pytest.mark.parametrize(("fail_over", "status"), [("0.2", 3), ("0.9", 0)])
def test_the_exit_status_says_whether_it_is_too_stale(run, cache, tmp_path, fail_over, status):
    """Status 3 needs the interval's lower end above the limit; for 4 stale keys of 4 that is 51 %."""
    cache.entries |= {name: (200, b'"old"', {}) for name in "abcd"}
    names = keys(tmp_path, *"abcd")
    words = ("--recompute", "shop:recompute", "--keys", names, "--rate", "1000", "--fail-over", fail_over)
    assert run(cache.url, *words).exit_code == status


def test_a_gate_is_not_passed_where_nothing_was_compared(run, cache, tmp_path):
    """If no key could be compared, ``--fail-over`` ends with status 2."""
    cache.entries |= {"raises": (200, b'"old"', {})}
    words = ("--recompute", "shop:recompute", "--keys", keys(tmp_path, "raises"), "--fail-over", "0.1")
    assert run(cache.url, *words).exit_code == 2
    result = run(cache.url, *words[:-2])
    assert result.exit_code == 0
    assert "nothing could be compared, so nothing is known" in result.stderr
    assert "0.00%" not in result.output


def asked_log(folder, counts):
    """Write a log in which each key is asked for so many times, and return its name."""
    keys = [key for key, count in counts.items() for _ in range(count)]
    rows = "".join(f"{key},{1_700_000_000 + n}\n" for n, key in enumerate(keys))
    (folder / "log.csv").write_text("key,timestamp\n" + rows)
    return "log.csv"


COLD = [f"cold {n}" for n in range(9)]
LOGGED = ("--recompute", "shop:recompute", "--decode", "text", "--rate", "10000", "--seed", "7", "--report", "out.json")


def hot_and_stale(cache, folder):
    """Fill a cache with nine fresh keys and a stale one, which makes 90 % of the requests of the log that is named."""
    cache.entries |= {key.replace(" ", "%20"): (200, f"text of {key}".encode(), {}) for key in COLD}
    cache.entries["hot"] = (200, b"old", {})
    return asked_log(folder, {"hot": 81, **dict.fromkeys(COLD, 1)})


def test_requests_of_a_log_are_weighed_as_they_are_asked(run, cache, tmp_path):
    """A stale key with 90 % of the requests makes 90 % of them stale, though it is one key of ten, read once."""
    log = hot_and_stale(cache, tmp_path)
    result = run(cache.url, "--log", log, "--sample", "2000", *LOGGED, "--stale-cost", "2", "--cost-per-recompute", "1")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["counts"], found["requests_drawn"], found["sampled"], found["keys_drawn"]) == (
        "requests", 2000, 2000, 10,
    )  # fmt: skip
    assert found["stale_share"] == pytest.approx(0.9, abs=0.03)
    assert found["stale_low"] < 0.9 < found["stale_high"] < found["stale_low"] + 0.04
    assert found["key_outcomes"] == {"different": 1, "equal": 9}
    assert found["cost_stale"] == 2 * found["outcomes"]["different"]
    assert (found["cost_recompute_all"], found["unneeded_share"]) == (10, 0.9)
    reads = Counter(path for _, path, _ in cache.asked)
    assert max(reads.values()) <= 3  # whether the cache can be reached, the comparison, and again where it differs
    assert "2000 of 2000 drawn requests looked at, and 10 of their 10 different keys" in result.output
    assert "1 of 10" in result.output


def test_a_gate_counts_requests_of_a_log(run, cache, tmp_path):
    """With ``--log`` the share of requests decides: 90 % is too stale at a limit that 10 % of the keys would pass."""
    log = hot_and_stale(cache, tmp_path)
    assert run(cache.url, "--log", log, *LOGGED, "--fail-over", "0.5").exit_code == 3
    names = keys(tmp_path, "hot", *COLD)
    assert run(cache.url, "--keys", names, *LOGGED, "--fail-over", "0.5").exit_code == 0


def test_a_gate_is_not_passed_where_the_cache_answers_no_request(run, cache, tmp_path):
    """Requests that the cache would not have answered are missing, and prove nothing: the gate ends with status 2."""
    log = asked_log(tmp_path, {"a": 3, "b": 1})
    assert run(cache.url, "--log", log, "--sample", "40", *LOGGED, "--fail-over", "0.1").exit_code == 2
    assert json.loads((tmp_path / "out.json").read_text())["outcomes"] == {"missing": 40}


LINES = """\
1.2.3.4 - - [14/Nov/2023:10:00:00 +0000] "GET /item/7?from=mail HTTP/1.1" 200 5 "-" "x"
1.2.3.4 - - [14/Nov/2023:10:00:01 +0000] "GET /item/caf%C3%A9 HTTP/1.1" 200 5 "-" "x"
1.2.3.4 - - [14/Nov/2023:10:00:01 +0000] "GET /item/caf\\xC3\\xA9 HTTP/1.1" 200 5 "-" "x"
1.2.3.4 - - [14/Nov/2023:10:00:02 +0000] "POST /item/7 HTTP/1.1" 200 5 "-" "x"
1.2.3.4 - - [14/Nov/2023:10:00:03 +0000] "GET /gone HTTP/1.1" 404 5 "-" "x"
"""


@pytest.mark.parametrize(
    ("place", "pattern", "asked"),
    [
        ("{key}", None, ["/item/7", "/item/caf%C3%A9"]),
        ("/{key}", None, ["/item/7", "/item/caf%C3%A9"]),
        ("/cache{key}", None, ["/cache/item/7", "/cache/item/caf%C3%A9"]),
        ("/cache/{key}?raw=1", None, ["/cache/item/7?raw=1", "/cache/item/caf%C3%A9?raw=1"]),
        ("/v2/{key}", "^GET /item/([^ ?]+)", ["/v2/7", "/v2/caf%C3%A9"]),
        ("{key}", "^GET ([^ ]+)", ["/item/7?from=mail", "/item/caf%C3%A9"]),
    ],
)
def test_keys_of_an_access_log_are_asked_for_as_the_log_has_them(run, cache, place, pattern, asked):
    """A path of an access log is not encoded again, wherever the address has it, and the note says what is left out.

    A byte that the log has escaped is asked for as an address has it.
    """
    Path("access.log").write_text(LINES)
    words = () if pattern is None else ("--key-pattern", pattern)
    result = run(cache.url.replace("/cache/{key}", place), "--log", "access.log", *words, *LOGGED)
    assert result.exit_code == 0, result.output
    assert {path for _, path, _ in cache.asked} == set(asked)
    assert "note: read as an access log" in result.stderr
    assert "note: left out: 1 (not a GET), 1 (not successful)" in result.stderr


def test_a_path_is_recomputed_as_the_log_has_it(run, cache, tmp_path):
    """The recompute gets the key that stands in the address, which is the whole path."""
    (tmp_path / "access.log").write_text(LINES)
    cache.entries["/item/7"] = (200, b"text of /item/7", {})
    assert run(cache.url.replace("/cache/{key}", "{key}"), "--log", "access.log", *LOGGED).exit_code == 0
    assert json.loads((tmp_path / "out.json").read_text())["key_outcomes"] == {"equal": 1, "missing": 1}


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ("item/7", "/item/7"),
        ("@elsewhere.example/", "/@elsewhere.example/"),
        (".elsewhere.example/", "/.elsewhere.example/"),
        ("/a b#c", "/a%20b%23c"),
    ],
)
def test_a_key_does_not_lead_to_another_host(run, cache, tmp_path, key, asked):
    """A key after the host is a path of that host, whatever it contains."""
    result = run(cache.url.replace("/cache/{key}", "{key}"), "--keys", keys(tmp_path, key), *LOGGED)
    assert result.exit_code == 0, result.output
    assert {path for _, path, _ in cache.asked} == {asked}


HTTP = ("http://127.0.0.1:9/{key}", "--keys", "keys.txt")
REDIS = ("redis://127.0.0.1:9/0",)
LOG = ("--log", "log.csv")


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ((*HTTP, "--recompute", "shop"), "recompute"),
        ((*HTTP, "--recompute", "nowhere_at_all:recompute"), "recompute"),
        ((*HTTP, "--recompute", "shop:missing"), "recompute"),
        ((*HTTP, "--recompute", "shop:nothing"), "recompute"),
        ((*HTTP, "--report", "absent/out.json"), "report"),
        ((*HTTP, "--sample", "0"), "sample"),
        ((*HTTP, "--rate", "0"), "rate"),
        ((*HTTP, "--rate", "nan"), "rate"),
        ((*HTTP, "--parallel", "0"), "parallel"),
        ((*HTTP, "--timeout", "-1"), "timeout"),
        ((*HTTP, "--tolerance", "-1"), "tolerance"),
        ((*HTTP, "--ttl", "-1"), "ttl"),
        ((*HTTP, "--stale-cost", "inf"), "stale_cost"),
        ((*HTTP, "--fail-over", "2"), "fail_over"),
        ((*HTTP, "--decode", "pickle"), "decode"),
        ((*HTTP, "--pattern", "faq:*"), "pattern"),
        (HTTP, "CACHE"),  # nobody answers
        (("http://127.0.0.1:9/key", "--keys", "keys.txt"), "CACHE"),
        (("http://127.0.0.1:9/{key}",), "keys"),
        (("http://127.0.0.1:9/{key}", "--keys", "missing.txt"), "keys"),
        (("http://127.0.0.1:9/{key}", "--keys", "empty.txt"), "keys"),
        (("ftp://127.0.0.1/{key}",), "CACHE"),
        ((*REDIS, "--keys", "keys.txt"), "keys"),
        (("redis://127.0.0.1:port/0",), "CACHE"),
        (("redis://:ge#heim@127.0.0.1:9/0",), "CACHE"),
        (("redis://127.0.0.1:9/0?x=1",), "CACHE"),
        (("http://u:geheim@127.0.0.1:9/{key}", "--keys", "keys.txt"), "CACHE"),
        (("http://[::1/{key}", "--keys", "keys.txt"), "CACHE"),
        (("ftp://u:geheim@127.0.0.1/{key}",), "CACHE"),
        (REDIS, "CACHE"),  # nobody answers
        ((*HTTP, *LOG), "keys"),
        ((*REDIS, *LOG), "CACHE"),  # nobody answers
        ((HTTP[0], *LOG), "CACHE"),  # nobody answers
        ((*REDIS, *LOG, "--pattern", "faq:*"), "pattern"),
        ((*REDIS, *LOG, "--keys", "keys.txt"), "keys"),
        ((*REDIS, *LOG, "--key", "faq:"), "key"),
        ((*REDIS, *LOG, "--key", ""), "key"),
        ((HTTP[0], *LOG, "--key", "faq:{key}"), "key"),
        ((*REDIS, "--key", "faq:{key}"), "key"),
        ((*REDIS, "--format", "table"), "format"),
        ((*REDIS, *LOG, "--format", "ledger"), "format"),
        ((*HTTP, "--key-pattern", "(.)"), "key_pattern"),
        ((*REDIS, *LOG, "--key-pattern", "(.)"), "key_pattern"),
        ((*REDIS, *LOG, "--report", "log.csv"), "report"),
        ((*REDIS, "--log", "missing.csv"), "log"),
        ((*REDIS, "--log", "empty.txt"), "log"),
    ],
)
def test_a_wrong_option_is_named(run, tmp_path, monkeypatch, words, field):
    """The error names the wrong option before any key is compared."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    keys(tmp_path, "k")
    (tmp_path / "empty.txt").write_text("\n")
    asked_log(tmp_path, {"k": 2})
    chosen = () if "--recompute" in words else ("--recompute", "shop:recompute")
    error = run(*words, *chosen).exception
    assert isinstance(error, pb.BadInput), error
    assert error.field == field, error


def test_credentials_are_not_repeated(run):
    """A refused URL is not shown with its password."""
    error = run("ftp://me:secret@somewhere/{key}", "--recompute", "shop:recompute").exception
    assert "secret" not in str(error)


def test_a_missing_client_is_named_with_its_extra(run, monkeypatch):
    """Without the Redis client the error names the extra to install."""
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "redis":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "redis", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    error = run(*REDIS, "--recompute", "shop:recompute").exception
    assert isinstance(error, pb.errors.MissingDependency)
    assert "'.[redis]'" in str(error)


def test_a_missing_reader_of_logs_is_named_with_its_extra(run, tmp_path, monkeypatch):
    """Without numpy, which reads logs, the error names the extra to install."""
    monkeypatch.delitem(sys.modules, "parbake_planner.logs.read_requests", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    error = run(*REDIS, "--log", asked_log(tmp_path, {"k": 1}), "--recompute", "shop:recompute").exception
    assert isinstance(error, pb.errors.MissingDependency)
    assert (error.field, "'.[plan]'" in str(error)) == ("numpy", True)
