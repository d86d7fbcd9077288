"""FAQ hits over HTTP: wordings nobody logged, no memory of embeddings, one thread; and a bare reply beside it.

The server is the product's own, with the generated shop prepared once in a temporary folder. Every question is embedded
anew. Beside it, in the same run, ``GET /healthz`` on the same connection: what the HTTP stack itself takes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from _report import Goal, percentile, report

ROUNDS, WARM = 30, 5
GOAL_MS = 8
OPENINGS = ("How many days do I have", "How long do I have", "Until which day am I able", "By what day do I need")
ENDINGS = (
    "to send a book back?",
    "to return a manga I bought?",
    "to give back an unread novel?",
    "to return something after delivery?",
    "to bring a parcel back to you?",
)
SIZES = {"RETAIL_PRODUCTS": "2000", "RETAIL_SHOPPERS": "2000"}
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **SIZES}


def start(home: str) -> tuple[subprocess.Popen[str], str]:
    """Prepare a shop and start a server on a free port; returns it with its address."""
    environment = {**os.environ, **ENVIRONMENT, "RETAIL_HOME": home}
    subprocess.run(
        [sys.executable, "-m", "retail_assistant", "prepare"], env=environment, check=True, capture_output=True
    )
    command = [sys.executable, "-m", "parbake", "serve", "retail_assistant.compose:served", "--port", "0"]
    server = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    for line in server.stderr:
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            return server, found[0]
    raise SystemExit("the server did not start")


def wait(client: httpx.Client) -> None:
    """Until the server answers."""
    for _ in range(600):
        try:
            client.get("/healthz")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server does not answer")


def ask(client: httpx.Client, question: str) -> tuple[float, bool]:
    """Seconds of one question, and whether the bank answered it."""
    before = time.perf_counter()
    response = client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": question}]})
    took = time.perf_counter() - before
    made: dict[str, Any] = response.json()["parbake"]
    return took, made["lane"] in ("batch", "event")


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as home:
        server, address = start(home)
        try:
            with httpx.Client(base_url=address, timeout=30) as client:
                wait(client)
                figures = measure(client, server.pid)
        finally:
            server.terminate()
            server.wait(timeout=10)
    rows = [(name, *figures[name]) for name in ("FAQ hit over HTTP", "GET /healthz")]
    p50 = figures["FAQ hit over HTTP"][0]
    report(
        "chat",
        ("what", "p50 ms", "p99 ms", "requests per CPU-second"),
        rows,
        figures={"p50_ms": p50, "p99_ms": rows[0][2], "per_cpu_second": rows[0][3], "hits": figures["hits"][0]},
        goals=[Goal("FAQ hit p50, unseen wordings", p50, "ms", f"<= {GOAL_MS}", met=p50 <= GOAL_MS)],
    )


def measure(client: httpx.Client, pid: int) -> dict[str, tuple[float, ...]]:
    """Hits and bare replies in turn."""
    questions = [f"{o} {e}" for o in OPENINGS for e in ENDINGS]
    times, bare, asked = [], [], 0
    spent = {"chat": 0.0, "bare": 0.0}
    for n in range(ROUNDS + WARM):
        for question in questions:
            before = cpu_s(pid)
            took, hit = ask(client, question)
            spent["chat"] += cpu_s(pid) - before
            asked += 1
            if hit and n >= WARM:
                times.append(took)
        before, started = cpu_s(pid), time.perf_counter()
        for _ in range(20):
            started = time.perf_counter()
            client.get("/healthz")
            bare.append(time.perf_counter() - started)
        spent["bare"] += cpu_s(pid) - before
    return {
        "FAQ hit over HTTP": (percentile(times, 50) * 1e3, percentile(times, 99) * 1e3, asked / spent["chat"]),
        "GET /healthz": (percentile(bare, 50) * 1e3, percentile(bare, 99) * 1e3, len(bare) / max(spent["bare"], 1e-9)),
        "hits": (len(times) / (ROUNDS * len(questions)),),
    }


if __name__ == "__main__":
    main()
