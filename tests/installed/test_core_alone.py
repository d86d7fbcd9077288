"""The core in a wheel of its own, with no other package there; and a stranger's wheel that adds to it."""

import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from environments import ROOT, ask, clean_environment, eventually

OTHERS = (
    "parbake_capture",
    "parbake_console",
    "parbake_lab",
    "parbake_llm",
    "parbake_planner",
    "parbake_proxy",
    "parbake_semantic",
)
ABSENT = "import importlib.util as u; print(*[n for n in {} if u.find_spec(n)])"


def build(folder, where):
    """Build the wheel of the project in a folder, and return it."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", where, "."]
    subprocess.run(command, cwd=folder, check=True, env=clean_environment())
    (found,) = where.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def core(tmp_path_factory):
    """Return a wheel of ``src/parbake`` alone, with the dependencies and extras of the whole one."""
    folder = tmp_path_factory.mktemp("core")
    shutil.copytree(ROOT / "src/parbake", folder / "src/parbake", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("LICENSE", "README.md"):
        shutil.copy2(ROOT / name, folder)
    text = (ROOT / "pyproject.toml").read_text()
    text = re.sub(r'^\[project\.entry-points\."parbake\.commands"\]\n(?:\w+ = .*\n)+', "", text, flags=re.MULTILINE)
    text = re.sub(r"^packages = \[.*\]$", 'packages = ["src/parbake"]', text, flags=re.MULTILINE)
    (folder / "pyproject.toml").write_text(text)
    assert tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["src/parbake"]
    return build(folder, tmp_path_factory.mktemp("core-wheel"))


def examples(page):
    """Return the Python examples of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.mark.timeout(600)
def test_the_core_alone_keeps_the_readmes_promise(make_environment, core, python):
    """With no other package installed, the README's first example, commands, a server and a worker do their work."""
    environment = make_environment(python)
    environment.install(f"{core}[http]", with_pip=True)
    assert environment.python("-c", ABSENT.format(OTHERS)).stdout.split() == []
    (environment.work / "first.py").write_text(next(text for text in examples("README.md") if "tasks = pb" in text))
    first = environment.python("first.py")
    assert first.stdout.splitlines() == [
        "You can return items within 30 days.", "fresh", "You can return items within 14 days.",
    ], first.stdout + first.stderr  # fmt: skip
    (environment.work / "shop.py").write_text(SHOP)
    listed = environment.parbake("tasks", "shop:app")
    assert "answer" in listed.stdout, listed.stdout + listed.stderr
    done = environment.parbake("materialize", "shop:app", "answer")
    assert "1 rows" in done.stdout, done.stdout + done.stderr
    with (
        environment.start("parbake", "worker", "shop:app"),
        environment.start("parbake", "serve", "shop:app", "--port", 0) as server,
    ):
        address = server.says(r"serving shop:app at (\S+)", within_s=60)[1]
        status, told = eventually(lambda: ask(f"{address}/v1/serve/answer", {"key": "returns"}), within_s=60)
        assert (status, told["value"], told["lane"]) == (200, "returns: 30 days", "batch")
        assert ask(f"{address}/v1/costs")[0] == 404


SHOP = """
from pathlib import Path

import parbake as pb

tasks = pb.Registry()


def names() -> list[str]:
    return ["returns"]


@tasks.artifact(freshness_sla="1h", refresh=pb.every("20m"), keys=names, invalidated_by=[pb.fence("policy/{name}")],
                fallback_if_stale=pb.Recompute(), owner="support")
def answer(name: str) -> str:
    return f"{name}: 30 days"


app = pb.App(tasks, store=f"lmdb://{Path(__file__).parent}/store")
"""

STRANGER = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "stranger"
version = "1"

[project.entry-points."parbake.stores"]
odd = "stranger:open_store"
memory = "stranger:must_not_win"

[project.entry-points."parbake.events"]
ticker = "stranger:open_ticker"

[project.entry-points."parbake.commands"]
hello = "stranger:command"
tasks = "stranger:command"
""",
    "stranger.py": '''
"""What a stranger adds: a store scheme, a source, a command, a route, a job of the worker, and an observer."""

import asyncio
from pathlib import Path

import typer

import parbake as pb
from parbake.http import Response, Route, json_response
from parbake.ports.sources import Extent, SourceEvent
from parbake.stores.memory import MemoryStore

command = typer.Typer(add_completion=False)


@command.command()
def hello(name: str) -> None:
    """Greet somebody."""
    typer.echo(f"hello {name}")


class OddStore(MemoryStore):
    """A store that is known by its class."""


def open_store(url):
    """Open ``odd://``."""
    return OddStore()


def must_not_win(url):
    """Nobody calls this: the scheme is parbake's own."""
    raise AssertionError(url)


class Ticker:
    """A log of one event."""

    name, is_gapless = "ticker", True
    families = ("price",)

    def extent(self):
        return Extent(0, 1)

    def poll(self, after, limit):
        return [] if after else [SourceEvent(1, "e1", "price/tea", "price.changed")]

    def close(self):
        """Nothing is open."""


def open_ticker(url):
    """Open ``ticker://``."""
    return Ticker()


class Odd(pb.Plugin):
    """Times computations, serves what it has seen, and works beside the worker."""

    def __init__(self, mark):
        self.mark = Path(mark)

    def open(self, parts):
        seen = []
        parts.on.computed.append(lambda task, key, lane, took_s, *, outcome, cpu_s: seen.append((task, lane)))

        async def job():
            self.mark.write_text(type(parts.store).__name__)
            await asyncio.Event().wait()

        parts.on.worker.append(job)
        return seen

    def routes(self, app):
        async def seen(_) -> Response:
            """What was computed."""
            return json_response(app.plugins[Odd])

        return [Route("GET", "/v1/odd", seen)]
''',
}
ODD_SHOP = """
from pathlib import Path

import stranger

import parbake as pb

tasks = pb.Registry()


@tasks.artifact(freshness_sla="1h", invalidated_by=[pb.fence("price/{article}")], fallback_if_stale=pb.Recompute(),
                owner="shop")
def price(article: str) -> int:
    return 250


MARK = Path(__file__).with_name("mark")
app = pb.App(tasks, store="odd://", events=["ticker://"], plugins=[stranger.Odd(MARK)])

if __name__ == "__main__":
    print(sorted(app.sync.run(app.drain()).raised), app.sync.serve(price, "tea").value, app.plugins[stranger.Odd])
    app.sync.close()
"""


@pytest.mark.one_python
@pytest.mark.timeout(600)
def test_a_strangers_wheel_adds_what_it_likes(make_environment, core, python, tmp_path):
    """Another package's store scheme, source, command, route, worker's job and observer are found and used."""
    project = tmp_path / "stranger"
    project.mkdir()
    for name, text in STRANGER.items():
        (project / name).write_text(text)
    environment = make_environment(python)
    environment.install(f"{core}[http]", build(project, tmp_path / "built"))
    assert environment.parbake("hello", "world").stdout == "hello world\n"
    assert "hello" in environment.parbake("--help").stdout
    (environment.work / "odd_shop.py").write_text(ODD_SHOP)
    used = environment.python("odd_shop.py")
    first = used.stdout.split("\n")[0]
    assert first == "['price/*', 'price/tea'] 250 [('price', 'realtime')]", used.stdout + used.stderr
    assert "price" in environment.parbake("tasks", "odd_shop:app").stdout
    with environment.start("parbake", "worker", "odd_shop:app"):
        # the file exists a moment before it has its text
        assert eventually((environment.work / "mark").read_text, within_s=60) == "OddStore"
    with environment.start("parbake", "serve", "odd_shop:app", "--port", 0) as server:
        address = server.says(r"serving odd_shop:app at (\S+)", within_s=60)[1]
        eventually(lambda: ask(f"{address}/v1/serve/price", {"key": "milk"})[0] == 200, within_s=60)
        assert ["price", "realtime"] in ask(f"{address}/v1/odd")[1]
