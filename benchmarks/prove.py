"""What ``parbake prove`` finds: omissions planted into six apps, and false alarms on apps that leave nothing out.

The apps are in ``_prove_apps``: policies and a catalogue on SQLite, deliveries on PostgreSQL. Those in ``unseen`` and
their omissions were written by people who had not read ``prove``: a clinic and a library on SQLite, energy on
PostgreSQL. Apps that leave nothing out are these six, the one of the tutorial, and the retail assistant over a small
generated shop.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from _prove_apps.omissions import PLANTED, Omission
from _prove_apps.unseen import blind_half, open_half
from _report import Goal, report, show

import parbake as pb
from parbake_capture.opening import install
from parbake_lab.prove.proof import Proof
from parbake_lab.prove.prove_run import ProveLimits, prove

HERE = Path(__file__).parent
OWN, UNSEEN = ("policy_shop", "catalogue", "deliveries"), ("clinic", "library", "energy")
ON_POSTGRESQL = {"deliveries", "energy"}
SETS = {"own": PLANTED, "open": open_half.PLANTED, "blind": blind_half.PLANTED}
Place = Callable[[], Any]


def loaded(app: str, folder: Path, omission: Omission | None = None) -> ModuleType:
    """The module of an app, with an omission planted into its text."""
    place = HERE / "_prove_apps" / ("unseen" if app in UNSEEN else "") / f"{app}.py"
    text = place.read_text()
    for old, new in ((omission.old, omission.new), *omission.also) if omission else ():
        if old not in text:
            raise SystemExit(f"{app} has no {old!r}")
        text = text.replace(old, new, 1)
    path = folder / f"{app}_{time.monotonic_ns()}.py"
    path.write_text(text)
    (folder / "notes.txt").write_text("a note")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def judged(build: Callable[[], pb.App], **limits: Any) -> Proof:
    """What is found in an app, which may be built more than once."""
    return asyncio.run(prove(build(), ProveLimits(**limits), progress=lambda _done, _total: None, anew=build))


def built(app: str, folder: Path, made: str, omission: Omission | None = None) -> Callable[[], pb.App]:
    """What loads an app over its database, each time as another module."""
    loaded(app, folder, omission).create(made)
    return lambda: loaded(app, folder, omission).build(made)


@contextmanager
def servers(stack: ExitStack) -> Iterator[Place]:
    """A PostgreSQL server, and what makes an empty database there."""
    sys.path.insert(0, str(HERE.parent))
    from tests.servers.pg import folder, postgresql

    server = stack.enter_context(postgresql(stack.enter_context(folder()) / "data", "fsync=off"))
    count = iter(range(10_000))

    def made() -> str:
        name = f"deliveries_{next(count)}"
        server.sql(f"CREATE DATABASE {name}")
        return server.address.removesuffix("/postgres") + f"/{name}"

    yield made


def empty(app: str, folder: Path, place: Place) -> str:
    """Where an app's new database is, or will be; each is in a folder of its own, as files may stand beside it."""
    if app in ON_POSTGRESQL:
        return str(place())
    return str(Path(tempfile.mkdtemp(dir=folder)) / f"{app}.db")


@dataclass
class Tally:
    """How many omissions of a kind were planted and found, and which were not."""

    planted: int = 0
    found: int = 0
    missed: list[str] = field(default_factory=list)


def plant(omissions: Sequence[Omission], folder: Path, place: Place) -> tuple[dict[str, Tally], float]:
    """Plant each omission by itself, and look whether something is found."""
    tallies: dict[str, Tally] = {}
    started = time.perf_counter()
    for omission in omissions:
        made = empty(omission.app, folder, place)
        proof = judged(built(omission.app, folder, made, omission))
        tally = tallies.setdefault(omission.kind, Tally())
        tally.planted += 1
        named = any(one.reason in omission.new for one in proof.ignored)  # of a contract that ignores a family
        tally.found += bool(proof.findings) or named
        if not proof.findings and not named:
            tally.missed.append(f"{omission.app}: {omission.old.strip()[:60]}")
    return tallies, time.perf_counter() - started


def clean(folder: Path, place: Place, *, has_assistant: bool) -> Iterator[tuple[str, Proof, float]]:
    """Judge apps that leave nothing out."""
    for app in (*OWN, *UNSEEN):
        build = built(app, folder, empty(app, folder, place))
        started = time.perf_counter()
        yield app, judged(build), time.perf_counter() - started
    started = time.perf_counter()
    yield "the tutorial's app", judged(partial(tutorial, folder)), time.perf_counter() - started
    if has_assistant:
        build = assistant(folder)
        started = time.perf_counter()
        yield "the retail assistant", judged(build, sample=150), time.perf_counter() - started


def tutorial(folder: Path) -> pb.App:
    """The app that the tutorial builds."""
    page = (HERE.parent / "docs" / "tutorial.md").read_text()
    path = folder / "delivery.py"
    path.write_text("\n".join(re.findall(r"```python delivery.py\n(.*?)```", page, re.DOTALL)))
    spec = importlib.util.spec_from_file_location("delivery", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    with chdir(folder):
        spec.loader.exec_module(module)
        module.DATABASE = str(folder / "courier.db")
        if not (folder / "courier.db").exists():
            module.create()
        install(f"sqlite:///{folder / 'courier.db'}", "zones:zone/{name}")
        module.source.path = folder / "courier.db"
    app: pb.App = module.app
    return app


def assistant(folder: Path) -> Callable[[], pb.App]:
    """The retail assistant over a small generated shop."""
    from retail_assistant.compose import build
    from retail_assistant.settings import from_environment
    from retail_assistant.world import generate

    home = folder / "shop"
    home.mkdir()
    generate(home / "shop.db", now=time.time(), products=120, shoppers=80, days=30, messages=400)
    return lambda: build(from_environment({"RETAIL_HOME": str(home)}))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="plant only omissions of this app or kind")
    parser.add_argument("--set", choices=SETS, help="plant the omissions of this set only")
    parser.add_argument("--without-clean", action="store_true", help="judge no app that leaves nothing out")
    parser.add_argument("--without-assistant", action="store_true", help="leave the retail assistant out")
    chosen = parser.parse_args()
    sets = [chosen.set] if chosen.set else list(SETS)
    omissions = [one for name in sets for one in SETS[name] if chosen.only in ("", one.app, one.kind)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="prove-")))
        place = stack.enter_context(servers(stack))
        tallies, took = plant(omissions, folder, place)
        judging = () if chosen.without_clean else clean(folder, place, has_assistant=not chosen.without_assistant)
        alarms = list(judging)
    for kind, tally in tallies.items():
        for missed in tally.missed:
            sys.stdout.write(f"not found: {kind} in {missed}\n")
    for name, proof, _ in alarms:
        for finding in proof.findings:
            sys.stdout.write(f"false alarm in {name}: {finding}\n")
        for one in proof.ignored:
            sys.stdout.write(f"{name}: {one.task} depends on {one.family}, which it ignores ({one.reason})\n")
        for what, why in proof.unproved.items():
            sys.stdout.write(f"{name}: not judged: {what}: {why}\n")
    judged_apps = [
        [name, p.values, p.changes, len(p.unproved), len(p.ignored), len(p.findings), s] for name, p, s in alarms
    ]
    show(["app that leaves nothing out", "values", "changes", "not judged", "ignored", "alarms", "s"], judged_apps)
    planted, found = sum(t.planted for t in tallies.values()), sum(t.found for t in tallies.values())
    share, wrong = 100.0 * found / max(1, planted), sum(len(p.findings) for _, p, _ in alarms)
    figures = {f"found: {kind}": 100.0 * t.found / t.planted for kind, t in tallies.items()}
    figures |= {f"seconds: {name}": s for name, _, s in alarms} | {"seconds per omission": took / max(1, planted)}
    goals = [
        Goal("planted omissions found", share, "%", ">= 95", share >= 95),
        Goal("false alarms", wrong, "", "= 0", wrong == 0),
    ]
    rows = [[kind, t.planted, t.found] for kind, t in tallies.items()]
    report("prove", ["omission", "planted", "found"], rows, figures=figures, goals=goals)


if __name__ == "__main__":
    main()
