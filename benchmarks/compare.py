"""parbake's semantic cache and others, each real, asked the same questions in the same run.

BANKING77's questions are asked in random orders, each once of an empty cache, with the same vectors. An answer is
wrong if it is that of another label. Then again while sources change: every so often the source of a random label gets
a new version, and the cache is told by the most precise call that it has. An answer is outdated if it tells an older
version than the source had when the question was asked, also where no call tells the cache. Last, a forced race: the
source changes, and the cache is told, while an answer from it is being computed.

Peers answer from a similarity on, so each is also tried at stricter ones: how much does it answer where its share of
wrong answers is not greater than parbake's, or than 1 %? The vetoes of parbake, which refuse more, are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import _peers
from _faq import stream
from _faq.data import Known, Questions, banking77
from _replay import Cache, Compute, Replay, race
from _report import Goal, report, show
from threadpoolctl import threadpool_limits

import parbake as pb
from parbake_semantic import AdaptivePolicy, SemanticCache
from parbake_semantic.embedders.minilm import MiniLm

SHARED = Path(os.environ.get("PARBAKE_DATA") or Path(__file__).parents[2] / "shared" / "data")
SEEDS = 2
ALLOWED = 1.0
"""Per cent of requests that may be answered wrongly; also the default bound of parbake's policy."""


@contextlib.contextmanager
def opened(data: Questions, seed: int) -> Iterator[Cache]:
    """An empty cache of parbake's over LMDB."""
    with tempfile.TemporaryDirectory() as folder:
        app = pb.App(pb.Registry(), store=f"lmdb://{folder}/store", open=["source"])
        cache: SemanticCache[str] = SemanticCache(
            Known(data), app=app, policy=lambda: AdaptivePolicy(seed=seed), vetoes=()
        )
        labels = stream.answers(data)

        def ask(number: int, compute: Compute) -> tuple[str, bool]:
            asked = cache.begin_sync(data.texts[number])
            if asked.reply is not None:
                return asked.reply.value, True
            value = compute()  # only this tells the source: tags at the lookup would tell the answer
            return asked.finish_sync(value, tags=[f"source/{labels[number]}"]).value, False

        def tell(label: int, _: str) -> None:  # from another thread, as another request would
            changed = threading.Thread(target=lambda: app.sync.run(app.touch(f"source/{label}")))
            changed.start()
            changed.join()

        yield Cache(ask, lambda number: cache.begin_sync(data.texts[number]).reply is not None, tell)
        app.sync.close()


def ours(data: Questions, seeds: int) -> dict[str, Any]:
    """What parbake's cache did, as peers say it."""
    labels = stream.answers(data).tolist()
    made: dict[str, Any] = {"name": "parbake", "version": "", "used": "defaults, without vetoes", "told": "touch(tag)"}
    made |= {"runs": [], "changing": [], "tried": {}}
    for seed in range(seeds):
        order, changes = stream.order(data, seed).tolist(), stream.changes(data, seed).tolist()
        with opened(data, seed) as cache:
            made["runs"].append(Replay(cache, labels).play(order))
        with opened(data, seed) as cache:
            made["changing"].append(Replay(cache, labels).play(order, changes))
    with opened(data, 0) as cache:
        made["race"] = race(cache, labels)
    return made


def share(runs: list[dict[str, float]], what: str) -> float:
    """The mean over the orders."""
    return mean(run[what] for run in runs)


def total(runs: list[dict[str, float]], what: str) -> int:
    """The sum over the orders."""
    return int(sum(run[what] for run in runs))


def within(made: dict[str, Any], most: float) -> tuple[float, str]:
    """The most hits among its settings that answer at most this share wrongly, and at which."""
    settings = {made["used"]: made["runs"]} | {f"at {t}": runs for t, runs in made["tried"].items()}
    fit = [(share(runs, "hits"), name) for name, runs in settings.items() if share(runs, "wrong") <= most]
    return max(fit, default=(0.0, "none of those tried"))


def lend(others: list[dict[str, Any]]) -> None:
    """Let those that are built on RedisVL, and answer exactly as it does at their similarity, have its other ones."""
    lender = next((made for made in others if made["name"] == "RedisVL"), None)
    if lender is None:
        return
    for made in (made for made in others if not made["tried"]):
        alike = [at for at, runs in lender["tried"].items() if counted(runs) == counted(made["runs"])]
        if alike:
            print(f"{made['name']} answers as RedisVL does at {alike[0]}: it has its other settings, too")
            made["tried"] = lender["tried"]


def counted(runs: list[dict[str, float]]) -> list[tuple[float, float]]:
    """What two caches that decide alike have in common."""
    return [(run["hits"], run["wrong"]) for run in runs]


def row(made: dict[str, Any]) -> list[object]:
    """What a cache did, for the table."""
    changing = made["changing"]
    looked, raced = total(changing, "looked"), made["race"]
    return [
        f"{made['name']} {made['version']}".strip(),
        made["used"],
        share(made["runs"], "hits"),
        share(made["runs"], "wrong"),
        made["told"],
        share(changing, "hits"),
        total(changing, "outdated"),
        100.0 * total(changing, "alive") / looked if looked else "-",
        f"{raced[0]} of {raced[1]}" if raced else "-",
    ]


COLUMNS = ("cache", "used", "hits %", "wrong %", "told by", "hits, changing %", "outdated", "kept %", "race")


def goals_of(mine: dict[str, Any], others: list[dict[str, Any]]) -> list[Goal]:
    """Whether ours is ahead of each at the same measured error, and serves nothing outdated."""
    hits, wrong = share(mine["runs"], "hits"), share(mine["runs"], "wrong")
    goals = [Goal("wrong, parbake", wrong, "% of requests", f"<= {ALLOWED:g}", wrong <= ALLOWED)]
    for made in others:
        if not made["tried"]:
            continue
        best, where = within(made, wrong)
        what = f"hits more than {made['name']} at most {wrong:.2f} % wrong ({where})"
        goals.append(Goal(what, hits - best, "points", "> 0", hits > best))
    outdated, raced = total(mine["changing"], "outdated"), mine["race"][0]
    goals.append(Goal("outdated answers, parbake", outdated, "", "0", not outdated))
    goals.append(Goal("old answers after a race, parbake", raced, "", "0", not raced))
    return goals


def sweep(mine: dict[str, Any], others: list[dict[str, Any]]) -> None:
    """Print what peers do at each setting."""
    wrong = share(mine["runs"], "wrong")
    rows: list[list[object]] = []
    for made in others:
        for setting, runs in made["tried"].items():
            rows.append([made["name"], setting, share(runs, "hits"), share(runs, "wrong")])
    show(("cache", "similarity", "hits %", "wrong %"), rows)
    lend(others)
    print()
    best = [[m["name"], *within(m, wrong), *within(m, ALLOWED)] for m in (mine, *others) if m["tried"] or m is mine]
    show(("cache", f"hits % at {wrong:.2f} % wrong", "where", f"hits % at {ALLOWED:g} % wrong", "where"), best)
    print()


def figures_of(made: dict[str, Any]) -> dict[str, float]:
    """The figures of a cache."""
    changing, name = made["changing"], made["name"]
    return {
        f"{name}: hits": share(made["runs"], "hits"),
        f"{name}: wrong": share(made["runs"], "wrong"),
        f"{name}: hits, changing": share(changing, "hits"),
        f"{name}: outdated": total(changing, "outdated"),
        **({f"{name}: hits at {ALLOWED:g} % wrong": within(made, ALLOWED)[0]} if made["tried"] else {}),
        **({f"{name}: old after a race": float(made["race"][0])} if made["race"] else {}),
    }


def done(name: str, _: object) -> None:
    """Say how far the run is."""
    print(f"{name} is done", file=sys.stderr)


def main() -> None:
    """Ask every cache, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="orders")
    parser.add_argument("--first", type=int, metavar="N", help="only so many of the questions, to try it")
    parser.add_argument("--peers", nargs="*", default=stream.PEERS, metavar="NAME", choices=stream.PEERS)
    given = parser.parse_args()
    data = banking77(SHARED / "banking77", MiniLm())
    if given.first:
        data = data.sampled(given.first)
    _peers.interpreter()
    with threadpool_limits(1), ThreadPoolExecutor(3) as pool:  # peers have processes of their own
        running = {"parbake": pool.submit(ours, data, given.seeds)}
        running |= {peer: pool.submit(stream.asked_of, peer, data, given.seeds, "--all") for peer in given.peers}
        for name, future in running.items():
            future.add_done_callback(partial(done, name))
        mine, *others = [future.result() for future in running.values()]
    changes = given.seeds * stream.CHANGES
    print(f"{data.name}: {given.seeds} orders of {len(data.texts):,} questions, {changes} changes of a source\n")
    sweep(mine, others)
    figures = {key: value for made in (mine, *others) for key, value in figures_of(made).items()}
    report("compare", COLUMNS, [row(made) for made in (mine, *others)], figures=figures, goals=goals_of(mine, others))


if __name__ == "__main__":
    main()
