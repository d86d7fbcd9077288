"""Batch runs from the command line that fail, are interrupted or killed, or run at the same time."""

from collections import Counter

import pytest
from tests.unit.processes import are_gone, shop_in
from tests.waiting import HANGS_S, eventually

import parbake as pb
from parbake.adapters.local import LocalExecutor


@pytest.fixture
def shop(tmp_path):
    """Return a shop whose processes are killed at the end of the test."""
    with shop_in(tmp_path) as made:
        yield made


def test_a_killed_run_leaves_no_process_and_is_continued(shop):
    """After ``kill -9`` no process remains; the next run keeps finished partitions and deletes the temporary folder."""
    first = shop.start("materialize", "shop:app", "row", "--processes", "2", pace=0.01)
    eventually(lambda: shop.computed()[1] and len(shop.kept()) >= 2)
    first.kill()
    first.wait()
    eventually(lambda: are_gone(shop.computed()[0]))
    before, kept = Counter(shop.computed()[1]), shop.kept()
    assert list((shop.folder / "temporary").iterdir())
    status, said, _ = shop.run("materialize", "shop:app", "row", "--processes", "2")
    assert status == 0
    assert "an interrupted run was continued" in said
    assert "300 rows in" in said
    assert f"{len(kept)} of " in said
    after = Counter(shop.computed()[1])
    assert len(after) == 300
    twice = {key for key, times in after.items() if times > 1}
    assert twice <= set(before)
    assert len(twice) <= len(before) - sum(kept), "what was finished was computed again"
    assert list((shop.folder / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("import os\nimport missing_by_name\n", "cannot import 'missing_by_name'; name a module"),
        ("from os import missing_name\n", "importing broken raised ImportError: cannot import name 'missing_name'"),
        ("1 / 0\n", "importing broken raised ZeroDivisionError: division by zero (broken.py, line 1)"),
        ("def app(:\n", "importing broken raised SyntaxError: invalid syntax (broken.py, line 1)"),
        ("raise SystemExit(3)\n", "importing broken raised SystemExit: 3 (broken.py, line 1)"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_line(shop, module, reason):
    """The error is one line with the app, the exception and its place."""
    (shop.folder / "broken.py").write_text(module)
    status, said, complained = shop.run("materialize", "broken:app", "row", "--processes", "2")
    assert (status, said, len(complained)) == (1, "", 1), complained
    assert complained[0].startswith(f"parbake: APP='broken:app': {reason}")


def test_a_factory_that_raises_is_one_line(shop):
    """An app factory that raises is reported in one line with the exception and its place."""
    status, _, complained = shop.run("tasks", "shop:make")
    assert (status, len(complained)) == (1, 1)
    assert "calling make raised LookupError: no setting of that name (shop.py, line " in complained[0]


async def test_an_app_that_only_other_processes_cannot_import_is_named(tmp_path, monkeypatch, capfd):
    """The run fails with one line that names the app, the cause and the folder, without a traceback."""
    (tmp_path / "elsewhere.py").write_text("import os\nraise RuntimeError('not in a child')\n")
    monkeypatch.chdir(tmp_path)
    tasks = pb.Registry()

    @tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="team")
    def row(key: str) -> str:
        return key

    app = pb.App(
        tasks, store=f"lmdb://{tmp_path}/store", batch=pb.Batch(executor=LocalExecutor("elsewhere:app", processes=1))
    )
    with pytest.raises(pb.BadInput) as caught:
        await app.materialize(row, keys=["a"])
    await app.close()
    told = str(caught.value)
    assert told.startswith("APP='elsewhere:app': importing elsewhere raised RuntimeError: not in a child")
    assert told.endswith(f"a process that computes partitions opens the app by this name, from {tmp_path}")
    assert "\n" not in told
    assert caught.value.field == "APP"
    assert capfd.readouterr().err == ""


def test_of_two_runs_at_once_one_is_refused(shop):
    """The second run ends with status 1 and one line about the first, which completes undisturbed."""
    first = shop.start("materialize", "shop:app", "row", pace=0.01)
    eventually(lambda: shop.computed()[1])
    status, said, complained = shop.run("materialize", "shop:app", "row")
    assert (status, said) == (1, "")
    told = [line for line in complained if "━" not in line and line]
    assert len(told) == 1, told
    assert told[0].startswith("parbake: row: a run is under way since ")
    said, _ = first.communicate(timeout=HANGS_S)
    assert (first.returncode, "300 rows in" in said) == (0, True)
    assert len(shop.computed()[1]) == 300
