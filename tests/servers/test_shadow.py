"""``parbake shadow`` against a real Valkey server: what it reads, and that it only reads."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import redis
from tests.waiting import HANGS_S, eventually
from typer.testing import CliRunner

import parbake as pb
from parbake.cli.main import cli
from parbake_lab.shadow.caches import DECODERS, UndecodableError
from parbake_lab.shadow.redis_cache import ALLOWED, ForbiddenCommandError, RedisCache, check

RECOMPUTE = '''
"""The truth: what every key said at first."""


def recompute(key):
    """The first text."""
    return f"first {key}"
'''


@pytest.fixture(scope="module")
def shadowed(tmp_path_factory):
    """Return the port of a server that ends with the module."""
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        pytest.skip("needs valkey-server or redis-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = f"--port {port} --bind 127.0.0.1 --save '' --appendonly no --dir".split()
    words = [word.replace("''", "") for word in words]
    with subprocess.Popen([program, *words, tmp_path_factory.mktemp("valkey")], stdout=subprocess.DEVNULL) as server:
        wait_for(port)
        yield port
        server.terminate()
        server.wait(HANGS_S)


def wait_for(port):
    """Wait until the server answers."""

    def answers():
        with contextlib.suppress(redis.ConnectionError), redis.Redis(port=port) as client:
            return client.ping()

    eventually(answers)


@pytest.fixture
def client(shadowed):
    """Return a client of the emptied server."""
    with redis.Redis(port=shadowed) as connected:
        connected.flushall()
        connected.config_resetstat()
        yield connected


@pytest.fixture
def run(shadowed, tmp_path, monkeypatch):
    """Return a function that runs ``parbake shadow`` on database 0 and returns its status and report."""
    name = "truth_" + tmp_path.name.replace("-", "_")
    (tmp_path / f"{name}.py").write_text(RECOMPUTE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def invoke(*options, user=""):
        url = f"redis://{user}127.0.0.1:{shadowed}/0"
        words = ["shadow", url, "--recompute", f"{name}:recompute", "--rate", "5000", "--report", "out.json"]
        result = CliRunner().invoke(cli, [*words, "--decode", "text", *options])
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        return result.exit_code, json.loads((tmp_path / "out.json").read_text())

    return invoke


def fill(client, count, *, stale=0):
    """Store this many keys for an hour, some of them with an outdated text."""
    for n in range(count):
        client.set(f"faq:{n}", f"{'second' if n < stale else 'first'} faq:{n}", ex=3600)


def sent(client):
    """Return every command in the server's statistics."""
    return {name.removeprefix("cmdstat_").replace("|", " ").upper() for name in client.info("commandstats")}


def test_the_stale_share_is_found(client, run):
    """The stale share of the sampled keys is found, with ages computed from their TTL."""
    fill(client, 40, stale=10)
    client.set("other:1", "not looked at")
    status, found = run("--pattern", "faq:*", "--ttl", "4600", "--fail-over", "0.1")
    assert (status, found["keys_drawn"], found["outcomes"]) == (3, 40, {"different": 10, "equal": 30})
    assert 1000 <= found["age_stale"]["p50"] < 1000 + HANGS_S
    assert found["stale_low"] < 0.25 < found["stale_high"]


def test_a_sample_is_bounded_and_repeats_with_its_seed(client, run, shadowed):
    """A sample has at most the requested number of keys, and the same keys for the same seed."""
    fill(client, 50)
    assert run("--sample", "7")[1]["keys_drawn"] == 7
    drawn = []
    for _ in range(2):
        cache = RedisCache(f"redis://127.0.0.1:{shadowed}/0", DECODERS["text"], seed=5)
        drawn.append(cache.sample(7, until=time.monotonic() + HANGS_S))
        cache.close()
    assert sorted(drawn[0]) == sorted(drawn[1])


def test_requests_of_a_log_are_looked_up_under_the_keys_of_the_cache(client, run, tmp_path):
    """A log's keys become the cache's by ``--key``; requests are weighed, missing ones counted, and nothing listed."""
    fill(client, 2, stale=1)  # faq:0 is stale, faq:1 is not, and faq:2 is missing
    asked = ["0"] * 60 + ["1"] * 20 + ["2"] * 20
    rows = "".join(f"{key},{1_700_000_000 + n}\n" for n, key in enumerate(asked))
    (tmp_path / "log.csv").write_text("key,timestamp\n" + rows)
    client.config_resetstat()
    words = ("--log", "log.csv", "--key", "faq:{key}", "--sample", "1000", "--seed", "3", "--ttl", "4600")
    status, found = run(*words, "--fail-over", "0.5")
    assert (status, found["keys_drawn"], found["sampled"]) == (3, 3, 1000)
    assert found["key_outcomes"] == {"different": 1, "equal": 1, "missing": 1}
    assert found["stale_share"] == pytest.approx(0.75, abs=0.05)
    assert found["outcomes"]["missing"] == pytest.approx(200, abs=50)
    assert found["examples"][0]["key"] == "faq:0"
    assert "SCAN" not in sent(client)
    assert client.info("commandstats")["cmdstat_get"]["calls"] == 4  # each key once, and the stale one again


def test_a_server_that_refuses_is_one_clear_error(shadowed, client, tmp_path, monkeypatch):
    """With a log, too, a server that does not let the user in is an error that names the cache."""
    monkeypatch.chdir(tmp_path)
    client.execute_command("ACL", "SETUSER", "nobody", "on", ">word", "~*", "-@all")
    (tmp_path / "log.csv").write_text("key,timestamp\nk,1700000000\n")
    for address in (f"nobody:wrong@127.0.0.1:{shadowed}/0", f"127.0.0.1:{shadowed}/99"):
        words = ["shadow", f"redis://{address}", "--recompute", "json:dumps", "--log", "log.csv"]
        error = CliRunner().invoke(cli, words).exception
        assert isinstance(error, pb.BadInput), error
        assert error.field == "CACHE"


def test_the_server_sees_reads_only(client, run):
    """The server's statistics have only allowed commands, for keys of any type."""
    fill(client, 5, stale=1)
    client.hset("hash", mapping={"a": "1"})
    client.rpush("list", "a", "b")
    client.sadd("set", "a")
    client.zadd("zset", {"a": 1})
    client.xadd("stream", {"a": "1"})
    client.config_resetstat()
    run()
    ours = {"CONFIG RESETSTAT", "INFO"}
    assert {"SCAN", "GET", "PTTL", "OBJECT IDLETIME", "HGETALL", "ZRANGE"} <= sent(client)
    assert sent(client) - ours <= ALLOWED
    assert client.dbsize() == 10


def test_a_user_with_the_rights_of_the_guide_is_enough(client, run):
    """The rights in the guide are enough, and no command of use was refused."""
    fill(client, 10, stale=2)
    guide = (Path(__file__).parents[2] / "docs/howto/shadow.md").read_text()
    rights = re.search(r"~faq:\* (-@all .*)", guide)[1].split()
    client.execute_command("ACL", "SETUSER", "reader", "on", ">word", "~*", *rights)
    client.execute_command("ACL", "LOG", "RESET")
    _, found = run(user="reader:word@")
    assert found["outcomes"] == {"different": 2, "equal": 8}
    assert found["idle"]["count"] == 10
    refused = {entry["object"] for entry in client.acl_log()}
    assert refused <= {"client|setinfo"}


def test_looking_is_no_use(client, run):
    """A read does not reset an entry's idle time."""
    fill(client, 1)
    time.sleep(1.2)
    run()
    assert client.object("IDLETIME", "faq:0") >= 1


@pytest.mark.parametrize(
    "words", [("SET", "k", "v"), ("DEL", "k"), ("EVAL", "x"), ("OBJECT", "FREQ"), ("CLIENT", "KILL")]
)
def test_other_commands_are_not_sent(words, shadowed, client):
    """The client refuses any command that is not on its list before sending it."""
    with pytest.raises(ForbiddenCommandError):
        check(*words)
    cache = RedisCache(f"redis://127.0.0.1:{shadowed}/0", DECODERS["text"])
    with pytest.raises(ForbiddenCommandError):
        cache._ask(*words)
    with pytest.raises(ForbiddenCommandError):
        cache._client.pack_commands([words])
    cache.close()
    assert client.dbsize() == 0


def test_every_type_is_read_as_what_it_is(client, shadowed):
    """Strings, hashes, lists, sets and sorted sets are decoded; streams and long lists are reported."""
    client.set("string", msgspec.json.encode({"a": 1}))
    client.hset("hash", mapping={"a": "1", "b": "[2]"})
    client.rpush("list", "1", "2")
    client.sadd("set", "3", "1", "2")
    client.zadd("zset", {"7": 1.5})
    client.xadd("stream", {"a": "1"})
    client.rpush("long", *range(10_001))
    client.set("broken", "{")
    cache = RedisCache(f"redis://127.0.0.1:{shadowed}/0", DECODERS["json"])
    expected = {"string": {"a": 1}, "hash": {"a": 1, "b": [2]}, "list": [1, 2], "set": [1, 2, 3], "zset": [[7, 1.5]]}
    assert {name: cache.read(name).value for name in expected} == expected
    assert cache.read("absent") is None
    for name, why in {"stream": "stream", "long": "10000", "broken": "DecodeError"}.items():
        with pytest.raises(UndecodableError, match=why):
            cache.read(name)
    cache.close()
