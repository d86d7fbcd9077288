"""Batch runs from the command line that fail, are interrupted, killed, or meet another."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

import parbake as pb
from parbake.executors.local import LocalExecutor
from parbake.lanes.runs import State

SHOP = """
import os
import signal
import time
from pathlib import Path

import parbake as pb

tasks = pb.Registry()


def busy(where):
    if os.environ.get("SHOP_BUSY") == where:
        Path("busy").touch()
        time.sleep(60)


def judge(_):
    busy("gate")


def names() -> list[str]:
    busy("keys")
    return [f"key-{n:03}" for n in range(300)]


@tasks.artifact(
    freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="team", refresh=pb.every("20m"),
    keys=names, chunk=1, gates=pb.Gates(quality=judge),
)
def row(keys: pb.Keys[str]) -> dict[str, str]:
    busy("task")
    time.sleep(float(os.environ.get("SHOP_PACE", "0")))
    with Path("computed").open("a") as file:
        file.write(f"{os.getpid()} {keys[0]}\\n")
    return {key: key.upper() for key in keys}


app = pb.App(tasks, store="lmdb://STORE?map_size=16MiB")


def make() -> pb.App:
    raise LookupError("no setting of that name")
"""


class Shop:
    """A folder with an app, and the commands that are run in it."""

    def __init__(self, folder):
        """Write the module."""
        self.folder = folder
        self.processes = []
        (folder / "shop.py").write_text(SHOP.replace("STORE", str(folder / "store")))
        (folder / "temporary").mkdir()

    def start(self, *words, pace=0.0, busy=""):
        """Start a command in a process group of its own, as a shell does."""
        said = {"SHOP_PACE": str(pace), "SHOP_BUSY": busy, "TMPDIR": str(self.folder / "temporary")}
        variables = {**os.environ, **said}
        process = subprocess.Popen(
            [sys.executable, "-m", "parbake", *words], cwd=self.folder, env=variables, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def run(self, *words, **options):
        """Run a command to its end; its status, output and error lines."""
        process = self.start(*words, **options)
        said, complained = process.communicate(timeout=60)
        return process.returncode, said, complained.splitlines()

    def computed(self):
        """The processes that computed something, and each key as often as it was computed."""
        path = self.folder / "computed"
        lines = path.read_text().splitlines() if path.exists() else []
        return {int(line.split()[0]) for line in lines}, [line.split()[1] for line in lines]

    def kept(self):
        """The rows of each partition of the interrupted run that is kept."""
        state = asyncio.run(self.state())
        return [part.rows for part in state.under_way.finished.values()] if state.under_way else []

    async def state(self):
        """What the store keeps of the runs."""
        store = pb.App(pb.Registry(), store=f"lmdb://{self.folder}/store?map_size=16MiB").engine.store
        raw = await store.get("runs/row@1")
        await store.close()
        return msgspec.msgpack.decode(raw, type=State) if raw else State()


@pytest.fixture
def shop(tmp_path):
    """Return a shop whose processes are ended with the test."""
    made = Shop(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()


def eventually(condition, timeout_s=20.0):
    """Wait until something holds."""
    ends = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends, "it did not come to that"
        time.sleep(0.02)


def are_gone(processes):
    """Whether processes have ended, or are about to be buried."""
    return all(state_of(process) in ("", "Z") for process in processes)


def state_of(process):
    """The letter that the kernel has for the state of a process, empty for one that is not there."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_killed_run_leaves_no_process_and_is_continued(shop):
    """After ``kill -9`` its processes end; the next run keeps its partitions, and removes its temporary folder."""
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
    """The line names the app, what was raised and where, and how to see more."""
    (shop.folder / "broken.py").write_text(module)
    status, said, complained = shop.run("materialize", "broken:app", "row", "--processes", "2")
    assert (status, said, len(complained)) == (1, "", 1), complained
    assert complained[0].startswith(f"parbake: APP='broken:app': {reason}")


def test_a_factory_that_raises_is_one_line(shop):
    """As a module that does."""
    status, _, complained = shop.run("tasks", "shop:make")
    assert (status, len(complained)) == (1, 1)
    assert "calling make raised LookupError: no setting of that name (shop.py, line " in complained[0]


async def test_an_app_that_only_other_processes_cannot_import_is_named(tmp_path, monkeypatch, capfd):
    """The run fails with the typed error of the process: which app, why, and from where it is opened; no traceback."""
    (tmp_path / "elsewhere.py").write_text("import os\nraise RuntimeError('not in a child')\n")
    monkeypatch.chdir(tmp_path)
    tasks = pb.Registry()

    @tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="team")
    def row(key: str) -> str:
        return key

    app = pb.App(tasks, store=f"lmdb://{tmp_path}/store", executor=LocalExecutor("elsewhere:app", processes=1))
    with pytest.raises(pb.BadInput) as caught:
        await app.materialize(row, keys=["a"])
    await app.close()
    told = str(caught.value)
    assert told.startswith("APP='elsewhere:app': importing elsewhere raised RuntimeError: not in a child")
    assert told.endswith(f"a process that computes partitions opens the app by this name, from {tmp_path}")
    assert "\n" not in told
    assert caught.value.field == "APP"
    assert capfd.readouterr().err == ""


def interrupt(process):
    """Do what a terminal does on Ctrl-C: tell the whole process group."""
    os.killpg(process.pid, signal.SIGINT)


def test_of_two_runs_at_once_one_is_refused(shop):
    """The second says in one line that the first is under way, status 1, and the first is not disturbed."""
    first = shop.start("materialize", "shop:app", "row", pace=0.01)
    eventually(lambda: shop.computed()[1])
    status, said, complained = shop.run("materialize", "shop:app", "row")
    assert (status, said) == (1, "")
    told = [line for line in complained if "━" not in line and line]
    assert len(told) == 1, told
    assert told[0].startswith("parbake: row: a run is under way since ")
    said, _ = first.communicate(timeout=30)
    assert (first.returncode, "300 rows in" in said) == (0, True)
    assert len(shop.computed()[1]) == 300


def test_an_interrupted_run_ends_at_once_with_one_line(shop):
    """Ctrl-C ends the run and its processes without a traceback, status 130; the next run continues it."""
    running = shop.start("materialize", "shop:app", "row", "--processes", "2", pace=0.02)
    eventually(lambda: len(shop.kept()) >= 2)
    interrupt(running)
    _, complained = running.communicate(timeout=10)
    assert running.returncode == 130
    told = [line for line in complained.splitlines() if "━" not in line]
    assert told == ["parbake: interrupted; the next run of row continues where this one stood"]
    eventually(lambda: are_gone(shop.computed()[0]), 1)
    status, said, _ = shop.run("runs", "shop:app", "row")
    assert (status, "interrupted" in said) == (0, True)
    status, said, _ = shop.run("materialize", "shop:app", "row")
    assert (status, "an interrupted run was continued" in said) == (0, True)


@pytest.mark.parametrize("where", ["task", "keys", "gate"])
@pytest.mark.parametrize(
    ("words", "number", "ends"),
    [
        ("materialize shop:app row", signal.SIGINT, (130, ["interrupted; the next run of row continues where"])),
        ("worker shop:app", signal.SIGINT, (130, ["interrupted"])),
        ("worker shop:app", signal.SIGTERM, (0, [])),
    ],
)
def test_a_busy_thread_does_not_delay_the_end(shop, where, words, number, ends):
    """A function cannot be ended, but its process is; what it was busy with is free to be continued at once."""
    status, says = ends
    running = shop.start(*words.split(), busy=where)
    eventually((shop.folder / "busy").exists)
    told_at = time.monotonic()
    os.killpg(running.pid, number)
    _, complained = running.communicate(timeout=20)
    assert time.monotonic() - told_at < 5, "about a second, on a machine with nothing else to do"
    assert running.returncode == status, complained
    lines = [line for line in complained.splitlines() if line and " left " not in line]  # but for the bar
    assert len(lines) == len(says), complained
    assert all(line.startswith(f"parbake: {word}") for line, word in zip(lines, says, strict=True))
    assert asyncio.run(shop.state()).under_way.standing(time.time()) == "interrupted"


def test_processes_that_compute_for_long_do_not_delay_an_interruption(shop):
    """Nobody waits for what nobody wants any more; also one that is just being started says nothing."""
    running = shop.start("materialize", "shop:app", "row", "--processes", "2", pace=60)
    eventually(lambda: processes_of(running))
    interrupt(running)
    _, complained = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "Traceback" not in complained


def processes_of(process):
    """The processes that a run has started, but for Python's own helper."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
