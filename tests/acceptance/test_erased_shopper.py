"""A shopper who has used everything is erased beside a running server: no file, no answer and no line has a trace."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from cluster import APP, HERE, Cluster, Process, Server
from conftest import SMALL, prepare
from tests.waiting import HANGS_S, eventually

from retail_assistant.shop import accounts, schema

ME, WORD, PASSPHRASE = "zqcanary7781", "zqsecret", "a long passphrase"
LATER = "zqlater"
"""Somebody who comes after the shopper."""
BANKED = "What is your return window?"
PLACEHOLDERS = {"{user}": "u00001", "{task}": "trending", "{position}": "1", "{id}": "returns", "{key}": "all"}
"""What stands in the paths of routes: what there is besides the erased shopper."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yield a small prepared shop with an account of the shopper."""
    home = prepare(tmp_path_factory.mktemp("erased"), **SMALL)
    conn = schema.connect(home / "shop.db")
    accounts.put_account(conn, ME, PASSPHRASE, now=0.0)
    conn.close()
    found = Cluster(home, **SMALL)
    yield found
    found.stop()


class Shopper:
    """Does over HTTP what a shopper can do."""

    def __init__(self, server: Server) -> None:
        """Sign in."""
        self._client = httpx.Client(base_url=server.url, timeout=HANGS_S)
        answer = self.send("POST", "/shop/sign-in", {"shopper": ME, "passphrase": PASSPHRASE})
        self._client.headers["authorization"] = f"Bearer {answer['session']}"
        self.asin = str(self.send("GET", "/shop/products")["products"][0]["asin"])

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """Send a request that must succeed."""
        answer = self._client.request(method, path, json=body, headers=headers)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return dict(answer.json())

    def chat(self, message: str) -> dict[str, Any]:
        """Send a message of a conversation that the server remembers; return how the reply was made."""
        around = {"session": f"s-{ME}", "page": self.asin}
        body = {"user": ME, "messages": [{"role": "user", "content": message}], "metadata": around}
        return dict(self.send("POST", "/v1/chat/completions", body)["parbake"])

    def do_everything(self) -> None:
        """Look, ask, order, review, complain."""
        self.send("POST", "/shop/views", {"shopper": ME, "asin": self.asin})
        self.send("GET", f"/shop/products?search={WORD}")
        self.send("GET", f"/shop/suggestions?user={ME}")
        self.send("POST", f"/shop/carts/{ME}/lines", {"asin": self.asin})
        bill = self.send("GET", f"/shop/carts/{ME}/summary")
        order = {"total_cents": bill["cents"], "address": f"1 {WORD} Street, Vienna"}
        number = self.send("POST", f"/shop/carts/{ME}/checkout", order)["number"]
        self.send("PUT", f"/shop/orders/{ME}/{number}", {"address": f"2 {WORD} Street, Vienna"})
        review = {"shopper": ME, "asin": self.asin, "rating": 5, "body": f"A fine book, says {WORD} of Vienna."}
        self.send("POST", "/shop/reviews", review)
        self.chat(f"my name is {WORD}, what do reviews say about this book?")
        self.chat(f"please send my order {number} to 3 {WORD} Street, Vienna")
        self.chat("add it to my cart")
        self.send("PUT", f"/shop/carts/{ME}", {"lines": {self.asin: 2}}, **{"idempotency-key": f"key-{WORD}"})
        self.chat("recommend me something to read")
        made = self.chat(BANKED)
        complaint = {"shopper": ME, "answer": made["faq"], "answer_id": made["answer_id"]}
        self.send("POST", "/shop/complaints", complaint)

    def end(self) -> None:
        """Close the connection."""
        self._client.close()


def erase(cluster: Cluster) -> dict[str, Any]:
    """Erase the shopper with the product's command, and return what it says."""
    command = [sys.executable, "-m", "parbake", "erase", APP, "--subject", ME, "--yes", "--json", "--at-once"]
    done = subprocess.run(
        command,
        cwd=HERE,
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=HANGS_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(msgspec.json.decode(done.stdout))


def files_with(home: Path, *words: str) -> set[str]:
    """Return the files that have one of some words in any byte; a log counts as its file."""
    found = [path for path in home.rglob("*") if path.is_file()]
    return {str(path.relative_to(home)).removesuffix("-wal") for path in found if has(path.read_bytes(), *words)}


def has(raw: bytes, *words: str) -> bool:
    """Whether bytes have one of some words."""
    return any(word.encode() in raw.lower() for word in words)


def answers_with_a_trace(server: Server, asin: str) -> list[str]:
    """Return the GET routes whose answer has a trace; each is asked for what others have."""
    paths = server.client.get("/v1/openapi.json").json()["paths"]
    asked = [path for path, methods in paths.items() if "get" in methods] + ["/metrics", "/v1/openapi.json"]
    found = []
    for path in asked:
        filled = path
        for name, value in {**PLACEHOLDERS, "{asin}": asin}.items():
            filled = filled.replace(name, value)
        with server.client.stream("GET", filled) as answer:
            endless = answer.headers.get("content-type", "").startswith("text/event-stream")
            raw = next(answer.iter_bytes(), b"") if endless else answer.read()
            if has(raw, ME, WORD):
                found.append(path)
    return found


@pytest.mark.slow
def test_a_shopper_leaves_no_trace(cluster: Cluster) -> None:
    """After the command the shopper's id and texts are in no file, no answer of a GET route and no line of a log."""
    server, worker = cluster.server(), cluster.worker()
    shopper = Shopper(server)
    shopper.do_everything()
    eventually(lambda: server.serve("candidates", ME)["lane"] == "event")
    shopper.end()
    server.serve("candidates", LATER)
    eventually(lambda: "ledger.db" in files_with(cluster.home, LATER))  # the server has written what was before it, too
    assert files_with(cluster.home, ME, WORD) >= {"shop.db", "ledger.db", "store/data.mdb"}
    done = erase(cluster)
    assert done["places"]["shop"].keys() >= {
        "accounts", "carts", "complaints", "orders", "proposals", "purchases", "reviews", "shoppers", "views",
        "written",
    }  # fmt: skip
    keys = {row["task"]: row["keys"] for row in server.client.get("/v1/freshness").json()["tasks"]}
    assert keys["faq_bank"] == 1, "the bank of everybody is gone, too"
    assert answers_with_a_trace(server, shopper.asin) == []
    assert server.client.get(f"/shop/orders/{ME}").json()["orders"] == []
    assert lines_with_a_trace(server, worker) == []
    assert files_with(cluster.home, ME, WORD) == set()


def lines_with_a_trace(*processes: Process) -> list[str]:
    """Return the lines that processes have logged with a trace."""
    return [line for process in processes for line in process.lines if has(line.encode(), ME, WORD)]
