"""``parbake freshness``: a table for people, JSON for programs, and a status for who must be woken."""

import json
import sys

import pytest
from tests.unit.commands import invoke

from parbake.testing import FileClock

APP = """
import parbake as pb
from parbake.testing import FileClock

tasks = pb.Registry()


def policies() -> list[str]:
    return ["returns"]


@tasks.artifact(
    freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="support", keys=policies
)
def answer(policy: str) -> str:
    return policy.upper()


app = pb.App(tasks, store="lmdb://STORE?map_size=16MiB", clock=FileClock("STORE.clock"))
"""


@pytest.fixture
def clock(tmp_path):
    """Return the clock of the app."""
    return FileClock(tmp_path / "store.clock")


@pytest.fixture
def run(tmp_path, monkeypatch, clock):
    """Return a function that runs ``parbake freshness`` on an app whose task was just materialized."""
    name = "aging_" + tmp_path.name.replace("-", "_")
    (tmp_path / f"{name}.py").write_text(APP.replace("STORE", str(tmp_path / "store")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert invoke(name, "materialize", f"{name}:app", "answer").exit_code == 0
    return lambda *words: invoke(name, "freshness", f"{name}:app", *words)


def test_a_task_within_its_sla_passes(run, clock):
    """The table names ages, SLA and runs, and the status is 0 with and without ``--fail-on-breach``."""
    clock.advance(90)
    shown = run("--fail-on-breach")
    assert (shown.exit_code, "breach" in shown.output) == (0, False)
    assert all(word in shown.output for word in ("answer", "support", "1h", "1m30s"))


def test_a_breach_is_told_and_ends_with_1_if_asked(run, clock):
    """A task whose last run is older than its SLA is named with its owner; only ``--fail-on-breach`` fails."""
    clock.advance(2 * 3600)
    assert run().exit_code == 0
    shown = run("--fail-on-breach")
    assert shown.exit_code == 1
    assert "answer of support is in breach since " in shown.output


def test_json_is_what_the_server_answers(run, clock):
    """``--json`` prints one document with the fields of ``GET /v1/freshness``; a breach is told beside it."""
    clock.advance(2 * 3600)
    (row,) = json.loads(run("--json").stdout)["tasks"]
    assert (row["task"], row["keys"], row["freshness_sla_s"]) == ("answer", 1, 3600.0)
    assert row["breached_since"] == pytest.approx(row["last_run"] + 3600)
