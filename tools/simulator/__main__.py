"""``python -m simulator``: play histories of faults against the freshness protocol, and look for a broken promise."""

from __future__ import annotations

import secrets
import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from parbake.cli.support import ending
from parbake.cli.support.output import must_be_writable, progress
from parbake.errors import BadInput
from simulator import campaign, play
from simulator.catalogue import names, what_is_wrong

EPILOG = 'Example: make simulate ARGS="--seeds 1000 --jobs 2"; make simulate ARGS="--replay single:4711"'
command = typer.Typer(add_completion=False)
FRESH = 1 << 40
TRACE_LINES = 60
REASONABLE = {"seeds": 10_000_000, "jobs": 256}


@command.command(epilog=EPILOG)
def simulate(
    *,
    seeds: Annotated[int, typer.Option(help="histories per kind of store")] = 200,
    start: Annotated[int, typer.Option(help="the first seed; by default a random one", show_default=False)] = -1,
    jobs: Annotated[int, typer.Option(help="processes at once")] = 1,
    store: Annotated[
        str,
        typer.Option(
            help="kind of store: atomic, single (item by item), copied (set back), files, both of the first two, or all"
        ),
    ] = "all",
    mutant: Annotated[
        str, typer.Option(help="plant a known fault, which must be found; 'all' plants each in turn")
    ] = "",
    replay: Annotated[str, typer.Option(help="play one history and print its trace: store model and seed")] = "",
    record: Annotated[Path | None, typer.Option(help="append the result to a file, as a line of JSON")] = None,
) -> None:
    """Play histories of servers, workers, clients and faults; exit 1 when any promise is broken."""
    with ending.handling_signals():
        _simulate(seeds, start, jobs, store, mutant=mutant, replay=replay, record=record)


def _simulate(seeds: int, start: int, jobs: int, store: str, *, mutant: str, replay: str, record: Path | None) -> None:
    if replay:
        _replay(replay)
        return
    kinds = _kinds(store)
    for option, value in (("seeds", seeds), ("jobs", jobs)):
        if not 1 <= value <= REASONABLE[option]:
            raise BadInput(f"--{option} {value} must be 1 to {REASONABLE[option]}", field=option)
    must_be_writable(record=record)
    first = secrets.randbelow(FRESH) if start < 0 else start
    if mutant == "all":
        _try_all(kinds, range(first, first + seeds), jobs)
    else:
        _search(kinds, range(first, first + seeds), jobs, mutant, record)


def _kinds(store: str) -> list[str]:
    several = {"both": ["atomic", "single"], "all": list(campaign.MODELS)}
    if store not in {*several, *campaign.MODELS}:
        raise BadInput(f"--store {store} must be atomic, single, copied, files, both or all", field="store")
    return several.get(store, [store])


def _search(kinds: list[str], seeds: range, jobs: int, mutant: str, record: Path | None) -> None:
    if mutant and mutant not in names():
        raise BadInput(f"--mutant {mutant} must be all or one of {', '.join(names())}", field="mutant")
    table = Table("store", "seeds", "reads", "hits", "recent", "computed", "violations", "seconds")
    failed: list[tuple[str, int, str]] = []
    for kind in kinds:
        before = time.perf_counter()
        found = _with_bar(kind, seeds, jobs, mutant)
        took = time.perf_counter() - before
        tally, share = found.tally, f"{found.hit_rate:.1%}"
        recent, seconds = f"{found.recent_share:.1%}", f"{took:.0f}"
        table.add_row(
            kind,
            str(found.seeds),
            str(tally.reads),
            share,
            recent,
            str(tally.computed),
            str(len(found.failed)),
            seconds,
        )
        failed += found.failed
        if record is not None:
            _append(record, kind, seeds, found, took)
    Console().print(table)
    typer.echo(f"seeds {seeds.start} to {seeds.stop - 1}")
    if failed:
        _show(failed, mutant)
        raise typer.Exit(1)


def _append(record: Path, kind: str, seeds: range, found: campaign.CampaignSummary, took: float) -> None:
    line = {
        "store": kind,
        "start": seeds.start,
        "seeds": found.seeds,
        "reads": found.tally.reads,
        "hit_rate": round(found.hit_rate, 4),
        "recent_share": round(found.recent_share, 4),
        "violations": len(found.failed),
        "seconds": round(took),
    }
    with record.open("ab") as file:
        file.write(msgspec.json.encode(line) + b"\n")


def _with_bar(kind: str, seeds: range, jobs: int, mutant: str) -> campaign.CampaignSummary:
    with progress() as bars:
        bar = bars.add_task(kind, total=len(seeds))

        def show(summary: campaign.CampaignSummary) -> None:
            broken = f", {len(summary.failed)} broken" if summary.failed else ""
            bars.update(bar, completed=summary.seeds, description=f"{kind}{broken}")

        return campaign.run(kind, seeds, jobs=jobs, mutant=mutant, progress=show)


def _show(failed: list[tuple[str, int, str]], mutant: str) -> None:
    """Print the trace of the first failing seed, and the commands that show the others."""
    model, seed, _ = failed[0]
    for model_name, number, violation in failed[:20]:
        typer.echo(f"{model_name}:{number}  {violation}")
    if not mutant:
        _print_trace(model, seed)
        typer.echo(f"replay: make simulate ARGS=--replay {model}:{seed}")


def _replay(which: str) -> None:
    model, _, seed = which.partition(":")
    models = [m for kind in campaign.MODELS.values() for m in kind]
    if model not in models or not seed.isdecimal():
        raise BadInput(f"--replay {which} must be {', '.join(models)}, a colon and a seed", field="replay")
    if _print_trace(model, int(seed), lines=None):
        raise typer.Exit(1)


def _print_trace(model: str, seed: int, *, lines: int | None = TRACE_LINES) -> bool:
    """Print a history, or the part before its first violation; returns whether there is one."""
    history = play(seed, model, trace=True)  # type: ignore[arg-type]  # checked before, or from a history
    trace = history.trace
    at = next((n for n, line in enumerate(trace) if "VIOLATION" in line), None)
    if lines is not None and at is not None:
        trace = trace[max(0, at - lines) : at + 1]
    typer.echo("\n".join(trace))
    return bool(history.violations)


def _try_all(kinds: list[str], seeds: range, jobs: int) -> None:
    table = Table("mutant", *(f"seeds to first kill, {kind}" for kind in kinds), "seen as", "what it gets wrong")
    survivors = []
    for name in names():
        first = [campaign.first_kill(kind, seeds, jobs=jobs, mutant=name) for kind in kinds]
        killed = [f"{n}" if n else f"> {len(seeds)}" for n, _ in first]
        if not any(n for n, _ in first):
            survivors.append(name)
        seen = ", ".join(sorted({violation.partition(":")[0] for n, violation in first if n}))
        table.add_row(name, *killed, seen, what_is_wrong(name))
        typer.echo(f"{name}: {', '.join(killed)}", err=True)
    Console(width=180).print(table)
    typer.echo(f"seeds {seeds.start} to {seeds.stop - 1}; {len(names()) - len(survivors)} of {len(names())} killed")
    if survivors:
        typer.echo(f"not killed: {', '.join(survivors)}: the judge did not notice them within these seeds")
        raise typer.Exit(1)


def main() -> None:
    """Run the command; an invalid option is one line on standard error."""
    try:
        command()
    except BadInput as error:
        typer.echo(f"simulate: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
