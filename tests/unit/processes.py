"""Runs commands as processes in a folder with an app, waits for their effects, and ends them."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.signals import born_with
from tests.waiting import HANGS_S

import parbake as pb
from parbake.lanes.batch.runs import Runs
from parbake.values.codecs.wire_shape import wire_shape

ROW = f"row@1:{wire_shape(str).hex()}"

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
        time.sleep(3600)


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


@tasks.live(why="looks at the moment")
def look(word: pb.Live[str]) -> str:
    busy("request")
    return word


app = pb.App(tasks, store="lmdb://STORE?map_size=16MiB")
busy("import")


def make() -> pb.App:
    raise LookupError("no setting of that name")
"""


class Shop:
    """A folder with an app, and the commands that are run in it."""

    def __init__(self, folder):
        """Write the app's module."""
        self.folder = folder
        self.processes = []
        (folder / "shop.py").write_text(SHOP.replace("STORE", str(folder / "store")))
        (folder / "temporary").mkdir()

    def start(self, *words, pace=0.0, busy="", interruptions=signal.SIG_DFL):
        """Start a command in a process group of its own, as a shell in a terminal does."""
        said = {"SHOP_PACE": str(pace), "SHOP_BUSY": busy, "TMPDIR": str(self.folder / "temporary")}
        variables = {**os.environ, **said}
        with born_with(interruptions):
            process = subprocess.Popen(
                [sys.executable, "-m", "parbake", *words], cwd=self.folder, env=variables, start_new_session=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def tell(self, process, number):
        """Send the signal to the process group; return the status and the error lines.

        Progress bars are left out, and what the server has seen of its store.
        """
        os.killpg(process.pid, number)
        _, complained = process.communicate(timeout=HANGS_S)
        lines = [line for line in complained.splitlines() if line and " left " not in line]
        return process.returncode, [line for line in lines if " parbake.health: " not in line]

    def run(self, *words, **options):
        """Run a command to its end; return its status, output and error lines."""
        process = self.start(*words, **options)
        said, complained = process.communicate(timeout=HANGS_S)
        return process.returncode, said, complained.splitlines()

    def computed(self):
        """Return the processes that computed rows, and a list with a key for each computation."""
        path = self.folder / "computed"
        lines = path.read_text().splitlines() if path.exists() else []
        return {int(line.split()[0]) for line in lines}, [line.split()[1] for line in lines]

    def kept(self):
        """Return the number of rows in each partition that the store keeps of an interrupted run."""
        state = asyncio.run(self.state())
        return [part.rows for part in state.under_way.finished.values()] if state.under_way else []

    async def state(self):
        """Return the state of the runs that the store keeps."""
        store = pb.App(pb.Registry(), store=f"lmdb://{self.folder}/store?map_size=16MiB").engine.store
        found = await Runs(store).in_full(ROW)
        await store.close()
        return found


@contextlib.contextmanager
def shop_in(folder):
    """Run the body with a shop, whose processes are ended after it."""
    made = Shop(folder)
    try:
        yield made
    finally:
        for process in made.processes:
            process.kill()
            process.communicate()


def are_gone(processes):
    """Return whether the processes have ended or are zombies."""
    return all(state_of(process) in ("", "Z") for process in processes)


def state_of(process):
    """Return the kernel's one-letter state of a process, or an empty text if it does not exist."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
