"""The tutorial works as written: with one server, and at its end with two servers and a worker on one Valkey."""

import json
import urllib.request

from tests.servers.launch import free_port
from tests.tutorial import Reader, matches, parts, steps


def _ask(url, document, method="POST"):
    request = urllib.request.Request(
        url, json.dumps(document).encode(), {"content-type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_no_server_serves_what_a_change_through_the_other_has_outdated(tmp_path, valkey_server):
    """The page's commands print what it shows, and each of fifty more changes is seen by the other server at once."""
    before, last = parts()
    ports = {"8001": str(free_port()), "8002": str(free_port())}
    swaps = {"redis://127.0.0.1:6390": f"{valkey_server.url}?prefix=tutorial"}
    swaps |= {
        f"{word}{old}": f"{word}{new}" for old, new in ports.items() for word in ("--port ", "localhost:", "0.1:")
    }
    reader = Reader(tmp_path, swaps)
    try:
        for step in steps(before):
            if step.file or "create()" in step.text:
                reader.take(step)
        for step in steps(last):
            if "valkey-server" not in step.text:
                reader.take(step)
        one, other = ports.values()
        for km in range(1, 51):
            one, other = other, one
            _ask(f"http://localhost:{one}/zones/hill", {"km": km}, "PUT")
            assert _ask(f"http://localhost:{other}/v1/serve/minutes", {"key": "hill"})["value"] == 2.0 * km + 10
    finally:
        reader.stop()


def test_a_reader_gets_what_the_page_shows(tmp_path):
    """Each code block is written to the file, and each command prints the output shown."""
    before, _ = parts()
    port = str(free_port())
    swaps = {f"{host}:8000": f"{host}:{port}" for host in ("localhost", "127.0.0.1")}
    reader = Reader(tmp_path, {**swaps, "serve delivery:served": f"serve delivery:served --port {port}"})
    try:
        for step in steps(before):
            reader.take(step)
    finally:
        reader.stop()
    lines = [line for step in steps(before) if step.file for line in step.text.splitlines() if line.strip()]
    assert len(lines) <= 75, "the page promises one small file"


def test_an_output_that_differs_is_noticed():
    """In shown output only ``...`` matches anything, and only within its line."""
    assert matches("a 1 b\n", "a 1 b")
    assert matches("a ... b\nc", "a 17 b\nc\n")
    assert not matches("a 1 b", "a 2 b")
    assert not matches("a ... c", "a b\nb c")
