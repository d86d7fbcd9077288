"""Batch runs from the command line that fail, are interrupted, killed, or meet another."""

import os
import subprocess
import sys

import pytest

import parbake as pb
from parbake.executors.local import LocalExecutor

SHOP = """
import os
import time
from pathlib import Path

import parbake as pb

tasks = pb.Registry()


def names() -> list[str]:
    return [f"key-{n:03}" for n in range(300)]


@tasks.artifact(
    freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="team", refresh=pb.every("20m"),
    keys=names, chunk=1,
)
def row(keys: pb.Keys[str]) -> dict[str, str]:
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

    def start(self, *words, pace=0.0):
        """Start a command in a process group of its own, as a shell does."""
        variables = {**os.environ, "SHOP_PACE": str(pace), "TMPDIR": str(self.folder / "temporary")}
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


@pytest.fixture
def shop(tmp_path):
    """Return a shop whose processes are ended with the test."""
    made = Shop(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()


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
