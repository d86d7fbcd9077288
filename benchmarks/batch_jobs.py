"""Provider batch jobs: a worker is killed 50 times at random points; no result may be lost, and none stored twice.

A worker builds one generation after the other through a batch interface: 40 prompts in two jobs. The provider is a
local server in this process. Each of its answers has a number of its own, so that it is known where it was stored. The
worker is killed with SIGKILL, and another one goes on at once. Jobs that no generation used are duplicates.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from _report import Goal, report
from rich.console import Console
from rich.progress import track

import parbake as pb
from parbake.errors import RunInProgress
from parbake.process.system_clock import SystemClock
from parbake.stores import open_store
from parbake_llm import ProviderBatch
from parbake_llm.batch.job_journal import JobRecord
from parbake_llm.generators.batches.anthropic import AnthropicBatches
from parbake_llm.generators.batches.openai import OpenAIBatches
from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Prompt
from provider_box import JobBox

KILLS, KEYS, JOBS_A_RUN = 50, 40, 2
JOB_S, SUBMIT_S, LONGEST_S = 0.1, 0.1, 1.0
MOST_DUPLICATES = 2
READY, STORE, LOG = "ready", "store", "promoted.jsonl"
ON_STDERR = Console(stderr=True)


def readers() -> list[str]:
    """The keys."""
    return [f"reader-{number:02}" for number in range(KEYS)]


def app_of(folder: Path, provider: Any) -> tuple[pb.App, Any]:
    """An app with one task, which writes a letter to each reader."""
    tasks = pb.Registry()

    @tasks.artifact(
        freshness_sla="2h", refresh=pb.every("1h"), invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="bench",
        keys=readers,
        via=ProviderBatch(provider, within="10m", poll="20ms", grace="1s", least="1s", most=KEYS // JOBS_A_RUN),
    )  # fmt: skip
    async def letter(reader: str, llm: pb.Resource[Generator]) -> str:
        stream = llm.stream(Prompt(question=f"Write to {reader}."), max_tokens=20, timeout_s=5)
        return "".join([delta.text async for delta in stream])

    return pb.App(tasks, store=f"lmdb://{folder / STORE}", resources={Generator: Refusing()}), letter


class Refusing:
    """The direct way, which the benchmark must never take."""

    name = "direct"

    async def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> Any:
        """Say that it was asked."""
        del prompt, max_tokens, timeout_s
        yield Delta("asked directly")


def provider_of(kind: str, url: str, key: str) -> Any:
    """The batch interface: one that keeps names of jobs (OpenAI), or one that does not (Anthropic)."""
    if kind == "openai":
        return OpenAIBatches(model="m", api_key=key, base_url=url)
    return AnthropicBatches(model="m", api_key=key, base_url=url)


async def work(folder: Path, provider: Any, *, once: bool) -> None:
    """Build generations until killed, or one; note the values of each one that was promoted."""
    app, letter = app_of(folder, provider)
    await app.drain()
    await note(app, letter, folder)  # the worker before may have been killed between the promotion and its note
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    while True:
        try:
            await app.materialize(letter)
        except RunInProgress:
            await asyncio.sleep(0.05)
            continue
        await note(app, letter, folder)
        if once:
            break
    await app.close()


async def note(app: pb.App, letter: Any, folder: Path) -> None:
    """Write the values of the current generation to the log, in one line."""
    values = {reader: value async for reader, value in app.stored(letter)}
    if values:
        _, control = await app.engine.store.stamp()
        line = json.dumps([control.pointer(letter.ref), values]) + "\n"
        with (folder / LOG).open("a") as log:
            log.write(line)


@dataclass
class Round:
    """What the kills found."""

    at: Counter[str]
    generations: dict[int, dict[str, str]]
    jobs: int
    used: int
    direct: int


def worker(folder: Path, kind: str, url: str, key: str, *words: str) -> subprocess.Popen[str]:
    """Start a worker, and wait until it begins."""
    command = [sys.executable, __file__, "--worker", str(folder), "--provider", kind, "--url", url, *words]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "BOX_KEY": key})
    assert started.stdout is not None
    if started.stdout.readline().strip() != READY:
        raise RuntimeError("the worker ended before it began")
    return started


async def phase(folder: Path, ref: str) -> str:
    """What the killed worker was doing, as its journal tells."""
    store = open_store(f"lmdb://{folder / STORE}")
    try:
        raw = await store.get(f"jobs/{ref}")
    finally:
        await store.close()
    record = msgspec.msgpack.decode(raw, type=JobRecord) if raw else JobRecord()
    if record.unresolved:
        return "submitting"
    if not record.jobs:
        return "before the first job"
    return "waiting or storing" if record.is_collected else "between two jobs"


def logged(folder: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The generations in the log; a line that was cut off is left out, since the next worker writes it again."""
    for line in (folder / LOG).read_text().splitlines():
        with contextlib.suppress(ValueError):
            generation, values = json.loads(line)
            yield generation, values


def kill_repeatedly(folder: Path, kind: str, kills: int, drawn: random.Random) -> Round:
    """Kill workers, let the last one finish a run, and read what was stored."""
    number = itertools.count(1)
    at: Counter[str] = Counter()
    with JobBox(clock=SystemClock()) as box:
        box.jobs.takes_s, box.jobs.submit_s = JOB_S, SUBMIT_S
        box.reply(lambda _: f"answer {next(number)}")
        url = box.openai_url if kind == "openai" else box.anthropic_url
        ref = app_of(folder, provider_of(kind, url, box.key))[1].ref
        for _ in track(range(kills), "kills", console=ON_STDERR):
            started = worker(folder, kind, url, box.key)
            time.sleep(drawn.uniform(0, LONGEST_S))
            os.kill(started.pid, signal.SIGKILL)
            started.communicate()
            at[asyncio.run(phase(folder, ref))] += 1
        worker(folder, kind, url, box.key, "--once").communicate()
        stored = dict(logged(folder))
        texts = {text for values in stored.values() for text in values.values()}
        used = sum(any(line.reply.text in texts for line in job.results or ()) for job in box.jobs.jobs)
        return Round(at, stored, len(box.jobs.jobs), used, len(box.requests))


def lost_and_twice(found: Round) -> tuple[int, int]:
    """How many keys of the promoted generations have no answer of a job, and how many answers were stored twice."""
    stored = [values.get(reader, "") for values in found.generations.values() for reader in readers()]
    answers = Counter(text for text in stored if text.startswith("answer "))
    return len(stored) - answers.total(), sum(count - 1 for count in answers.values())


def measure(kind: str, kills: int, seed: int) -> list[Goal]:
    """Run the kills against one kind of provider, and report."""
    with tempfile.TemporaryDirectory() as folder:
        found = kill_repeatedly(Path(folder), kind, kills, random.Random(seed))
    lost, twice = lost_and_twice(found)
    duplicates = found.jobs - found.used
    figures = {"lost": lost, "stored_twice": twice, "duplicates": duplicates, "generations": len(found.generations)}
    figures |= {"jobs": found.jobs, "asked_directly": found.direct}
    goals = [
        Goal(f"results lost ({kind})", lost, "results", "0", met=lost == 0),
        Goal(f"results stored twice ({kind})", twice, "results", "0", met=twice == 0),
        Goal(f"duplicates submitted ({kind})", duplicates, "jobs", "<= 2", met=duplicates <= MOST_DUPLICATES),
    ]
    rows = [(where, count) for where, count in found.at.most_common()]
    report(f"batch_jobs {kind}", ("killed while", "times"), rows, figures=figures, goals=goals)
    return goals


def main() -> int:
    """Measure, or be a worker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--provider", choices=("anthropic", "openai"), default="anthropic")
    parser.add_argument("--worker", type=Path)
    parser.add_argument("--url", default="")
    parser.add_argument("--once", action="store_true")
    given = parser.parse_args()
    if given.worker:
        asyncio.run(work(given.worker, provider_of(given.provider, given.url, os.environ["BOX_KEY"]), once=given.once))
        return 0
    return 0 if all(goal.met for goal in measure(given.provider, given.kills, given.seed)) else 1


if __name__ == "__main__":
    sys.exit(main())
