"""Acceptance 6: after kill -9 of a worker or server no acknowledged event is lost and no generations mix."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from cluster import APP, HERE, Cluster, Server
from tests.waiting import HANGS_S, eventually

from parbake.stores.lmdb import LmdbStore, open_url
from retail_assistant.recs.recs_tasks import candidates, factors

QUESTION = "How many days do I have to send a book back?"


def generations(home: Path) -> dict[str, Any]:
    """Return the chain's generations in the store, and the model generations that stored candidates name."""
    return asyncio.run(_generations(open_url(f"lmdb://{home / 'store'}")))


async def _generations(store: LmdbStore) -> dict[str, Any]:
    try:
        _, control = await store.stamp()
        found = [record async for _, lookup in store.scan(candidates.ref) for record in lookup.records]
    finally:
        await store.close()
    kept = [record.meta for record in found if record.meta.generation]
    models = {built.generation for meta in kept for built in meta.tags.built_from if built.task == factors.ref}
    return {
        "pointers": {task: pointer.generation for task, pointer in control.pointers.items()},
        "own": sorted({meta.generation for meta in kept}),
        "models": sorted(models),
    }


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_run_killed_between_its_first_write_and_its_promotion_changes_nothing(cluster: Cluster, kills: int) -> None:
    """After runs killed at random points the pointers are unchanged, and the next run is promoted."""
    before = generations(cluster.home)
    environment = {**os.environ, "RETAIL_HOME": str(cluster.home), "TEST_CLOCK": str(cluster.home / "clock")}
    command = [sys.executable, "-m", "parbake", "materialize", APP, "factors"]
    draw = random.Random(7)  # a fixed seed, not a secret
    for _ in range(kills):
        run = subprocess.Popen(command, cwd=HERE, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started = _wait_for_a_new_generation(cluster.home, run)
        if started:
            time.sleep(draw.uniform(0.0, 0.35))
        run.kill()
        run.wait(timeout=HANGS_S)
        state = generations(cluster.home)
        assert len(state["models"]) == len(state["own"]) == 1, state
        assert state["models"] == [state["pointers"][factors.ref]], state
    clean = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    assert clean.returncode == 0, clean.stderr
    after = generations(cluster.home)
    assert after["pointers"][factors.ref] > before["pointers"][factors.ref]
    assert after["models"] == [after["pointers"][factors.ref]]


def _wait_for_a_new_generation(home: Path, run: subprocess.Popen[bytes]) -> bool:
    """Wait until the run has allocated its generations, which it does before its first write."""
    size = (home / "store" / "data.mdb").stat().st_mtime_ns
    deadline = time.monotonic() + HANGS_S
    while time.monotonic() < deadline and run.poll() is None:
        if (home / "store" / "data.mdb").stat().st_mtime_ns != size:
            return True
        time.sleep(0.005)
    return False


@pytest.mark.parametrize("kills", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_a_server_killed_under_load_loses_no_acknowledged_event(cluster: Cluster, kills: int) -> None:
    """After each kill under load, a restarted server answers with the last acknowledged change."""
    stop = threading.Event()
    acked: list[int] = []

    def load(server: Server, first: int) -> None:
        days = first
        while not stop.is_set():
            try:
                server.put("/shop/policies/returns", {"facts": {"window_days": days}})
                acked.append(days)
                server.chat(QUESTION)
            except (httpx.TransportError, AssertionError):
                return
            days += 1

    for round_ in range(kills):
        server = cluster.server()
        stop.clear()
        writer = threading.Thread(target=load, args=(server, 100 + 50 * round_))
        writer.start()
        time.sleep(0.7)
        enough = 2 * (round_ + 1)
        assert eventually(lambda n=enough: len(acked) >= n)
        server.kill()
        stop.set()
        writer.join(timeout=HANGS_S)
        again = cluster.server()
        in_shop = again.client.get("/shop/policies/returns").json()["facts"]["window_days"]
        assert in_shop >= acked[-1]
        assert f"{in_shop} days" in again.chat(QUESTION).text
        again.stop()
    assert len(acked) >= 2 * kills


def test_the_shop_is_not_dark_while_the_worker_is_dead(cluster: Cluster) -> None:
    """Without a worker, a server polls the outbox, serves committed changes and is ready."""
    server = cluster.server()
    with sqlite3.connect(cluster.home / "shop.db", timeout=HANGS_S) as shop:
        shop.execute("UPDATE policies SET facts = json_set(facts, '$.window_days', 77) WHERE id = 'returns'")
        shop.execute(
            "INSERT INTO parbake_outbox (id, subject, type, time)"
            " VALUES ('by-hand', 'policy/returns', 'policy.changed', ?)",
            (time.time(),),
        )
    assert eventually(lambda: "77 days" in server.chat(QUESTION).text)
    assert eventually(lambda: server.client.get("/readyz").status_code == 200)


@pytest.mark.skipif(sys.platform != "linux", reason="observes system calls through /proc")
def test_a_sync_is_observed_before_each_acknowledgement(cluster: Cluster) -> None:
    """Shop and store sync every commit, and an acknowledged write causes disk writes."""
    script = (
        "import sys, parbake.stores.lmdb as l; from retail_assistant.shop.schema import connect\n"
        "s = l.open_url('lmdb://' + sys.argv[1] + '/store'); c = connect(sys.argv[1] + '/shop.db')\n"
        "print(s._opened().flags()['sync'], c.execute('PRAGMA synchronous').fetchone()[0])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(cluster.home)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "2"]
    server = cluster.server()
    before = _written(server.popen.pid)
    server.put("/shop/policies/returns", {"facts": {"window_days": 30}})
    assert _written(server.popen.pid) > before


def _written(pid: int) -> int:
    """Return the bytes that a process has written to storage."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("write_bytes")))
