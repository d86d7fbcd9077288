"""The simulation: new histories keep every promise, past failures stay fixed, and mutants are detected."""

import gc
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import campaign, play
from simulator.catalogue import applied, names, what_is_wrong
from simulator.processes import invariants
from simulator.world import file_disk
from simulator.world.world_state import World

FEW, MANY = 60, int(os.environ.get("PARBAKE_SIMULATED_SEEDS", "150"))
FEWER = {"atomic": 1, "single": 1, "copied": 1.5, "files": 1.5}
"""What differs in the last two kinds is only how losses are noticed."""
JOBS = 1 if "PYTEST_XDIST_WORKER" in os.environ else max(1, min(2, os.cpu_count() or 1))
"""Where tests run in two processes already, each plays its own histories."""
PAST = [line.split() for line in Path(__file__).with_name("seeds.txt").read_text().splitlines() if line[:1] != "#"]
QUICK = """
no_fence stamp_after_inputs tags_not_inherited input_not_fenced input_under_its_own_strength replica_read
entity_event_skips_set bulk_skips_entities soft_fence last_write_wins valid_until_ignored promote_apart
ack_before_durable collapse_inherited checksum_ignored cache_unfenced shapes_share_a_place
""".split()


@pytest.mark.timeout(7200)  # the limit is for a hang; a run takes some minutes
@pytest.mark.parametrize("seeds", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", list(campaign.MODELS))
def test_fresh_histories_keep_every_promise(kind, seeds):
    """New seeds give no violation, most reads are hits, and many read values that have just changed."""
    start = secrets.randbelow(1 << 40)
    seeds = int(seeds / FEWER[kind])
    found = campaign.run(kind, range(start, start + seeds), jobs=JOBS)
    assert not found.failed, [
        f"make simulate ARGS='--replay {model}:{seed}'  # {what}" for model, seed, what in found.failed
    ]
    assert found.seeds == seeds
    assert found.hit_rate >= 0.72  # calls to the store are lost all the time, and each outage costs hits
    assert found.recent_share >= 0.20


@pytest.mark.parametrize("kind", list(campaign.MODELS))
def test_histories_leave_nothing_to_be_warned_of(kind):
    """Histories cause no warnings, not even from finalizers, which are errors here."""
    assert not campaign.run(kind, range(5_000_000, 5_000_000 + int(30 / FEWER[kind]))).failed
    gc.collect()


def test_a_journal_elsewhere_tells_of_a_disk_that_was_set_back(monkeypatch):
    """A snapshot of a closed store is noticed after a restart of the machine: the journal knows a later opening."""
    monkeypatch.setattr(file_disk, "WITH_JOURNAL", 1.0)
    assert not campaign.run("files", range(60, 80)).failed


@pytest.mark.parametrize(("model", "seed"), PAST)
def test_a_history_that_once_failed_stays_mended(model, seed):
    """Every seed that ever broke a promise passes."""
    assert play(int(seed), model).violations == ()


@pytest.mark.parametrize("mutant", names())
def test_every_mutant_can_be_applied(mutant):
    """Every mutant finds the function that it replaces, also if no history here detects it."""
    with applied(mutant):
        assert what_is_wrong(mutant)


@pytest.mark.parametrize("mutant", QUICK)
def test_an_obvious_mutant_is_found_at_once(mutant):
    """An obvious mutant is detected within thirty histories; `make mutants` looks for the others."""
    assert mutant in names()
    first, violation = campaign.first_kill("atomic", range(30), jobs=JOBS, mutant=mutant)
    assert first, f"{mutant} survived"
    assert violation


def test_the_documentation_lists_every_mutant():
    """The table of mutants in the documentation has the docstring of each mutant."""
    text = (Path(__file__).parents[2] / "docs/explanation/freshness.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.+) \|$", text, re.MULTILINE)
    assert dict(rows) == {name: what_is_wrong(name) for name in names()}


DIGEST = """
import hashlib
from simulator import play
for model, seed in (("embedded", 342), ("snapshot", 43), ("single", 512), ("copied", 26), ("files", 5)):
    print(hashlib.sha256("\\n".join(play(seed, model, trace=True).trace).encode()).hexdigest())
"""
"""In each of these there is damage, a cache, two versions of the program, and servers that crash."""


def test_a_seed_plays_the_same_way_in_another_process():
    """A seed gives the same trace under any hash seed."""
    traces = [
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    ]
    assert traces[0] == traces[1]
    assert len(set(traces[0].split())) == 5


def test_a_store_that_lost_everything_can_be_judged():
    """Without a control record the tags of a stored value are unknown, and no error is raised."""
    empty = World(1, "single")
    assert invariants.reads_of(empty, "note@1", b"sx") is None
