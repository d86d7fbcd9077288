"""Does the assistant say the right thing? Written conversations are replayed, and each reply is judged by its rubric.

The sets were written by people who knew only the shop's pages and policies. ``building`` and ``fresh_building`` are for
work on the assistant. ``blind``, ``fresh_blind`` and ``third`` to ``eighth`` were run once and reported; ``fourth`` and
the later ones have been worked with since, so that a new set is needed to say what unseen messages get.

``--llm recorded`` answers with the replies that a large language model gave to ``fifth`` on 2026-11-30; in
``--recording recorded_prose.jsonl`` a hundred of them are plain prose or Markdown. With
``--ask FOLDER`` a request that is not recorded becomes a file there. Whoever stands in for the model writes the
reply beside it, and it is added.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from _answers.bridge import Bridge
from _answers.play import Judged, Player, share
from _answers.rubric import WISHES, Item
from _answers.shop import prepared
from _report import Goal, percentile, report, show
from _shop import Client, serving
from rich.progress import track

from retail_assistant.shop.schema import connect

SETS = Path(__file__).parent / "_answers"
PATIENT_S = 9_000.0
RIGHT = ("right", "properly refused")
VERDICTS = ("right", "properly refused", "partly", "beside", "refused", "wrong")


def read(name: str) -> list[Item]:
    """Read a set by its name or its path."""
    path = Path(name) if name.endswith(".jsonl") else SETS / f"{name}.jsonl"
    return [msgspec.json.decode(line, type=Item) for line in path.read_bytes().splitlines() if line.strip()]


def replay(items: Sequence[Item], address: str, home: Path, *, jobs: int = 1) -> list[Judged]:
    """Play all conversations against the server at an address, several at a time if a reader stands in for a model."""

    def play(item: Item) -> list[Judged]:
        client = Client(address, timeout_s=PATIENT_S if jobs > 1 else 30)
        with contextlib.closing(client), contextlib.closing(connect(home / "shop.db")) as conn:
            return Player(client, conn).play(item)

    with ThreadPoolExecutor(jobs) as pool:
        played = track(pool.map(play, items), description="conversations", total=len(items))
        return [judged for each in played for judged in each]


def by(judged: Sequence[Judged], name: Callable[[Judged], str]) -> list[list[object]]:
    """One row per name: how many, and the share of each verdict."""
    groups: dict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        groups[name(one)].append(one)
    rows = [[key, len(found), *(share(found, v) for v in VERDICTS)] for key, found in sorted(groups.items())]
    return [*rows, ["all", len(judged), *(share(judged, v) for v in VERDICTS)]]


def main() -> None:
    """Replay and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="building", help="the name or the path of a set (building)")
    parser.add_argument("--llm", default="extractive", help="who words replies (extractive)")
    parser.add_argument("--recording", type=Path, default=Path("recorded.jsonl"), help="the replies of --llm recorded")
    parser.add_argument("--ask", type=Path, help="a folder for requests that are not recorded")
    parser.add_argument("--jobs", type=int, default=1, help="how many conversations at a time, with --ask (1)")
    parser.add_argument("--address", help="a running server; one over a new shop is started by default")
    parser.add_argument("--home", type=Path, help="the data folder of that server")
    parser.add_argument("--out", type=Path, help="a file for the judged replies, as JSON Lines")
    parser.add_argument("--only", default="", help="play only conversations whose id or kind contains this")
    options = parser.parse_args()
    items = [i for i in read(options.set) if options.only in i.id or options.only == i.kind]
    with contextlib.ExitStack() as stack:
        home, address = options.home, options.address
        if home is None:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        prepared(home)
        bridge = None
        if address is None:
            settings = {"LLM": options.llm}
            if options.llm == "recorded":
                bridge = stack.enter_context(contextlib.closing(Bridge(options.ask, SETS / options.recording)))
                settings = bridge.settings
            _, address = stack.enter_context(serving(str(home), **settings))
        judged = replay(items, address, home, jobs=options.jobs)
        bridged = (bridge.given, bridge.missed, bridge.diverged) if bridge is not None else None
    if options.out:
        options.out.write_bytes(msgspec.json.Encoder().encode_lines(judged))
    _report(judged, bridged)


def _report(judged: Sequence[Judged], bridged: tuple[int, int, int] | None) -> None:
    columns = ("kind", "replies", *VERDICTS)
    show(columns, by(judged, lambda j: j.kind))
    show(("made by", *columns[1:]), by(judged, lambda j: j.made_by))
    dialogues = [j for j in judged if j.of > 1 and j.turn > 0]
    pairs = [j for j in judged if j.pair]
    stated = [j for j in judged if j.expect == "answer"]
    unstated = [j for j in judged if j.expect == "not_stated"]
    breaking = sum(bool(WISHES & set(j.breaks)) for j in judged)
    figures = {
        "replies": float(len(judged)),
        "right": share(judged, *RIGHT),
        "right_follow_ups": share(dialogues, *RIGHT),
        "right_pairs": share(pairs, *RIGHT),
        "wrong": share(judged, "wrong"),
        "said_not_stated": share(unstated, "properly refused"),
        "refused": share(stated, "refused"),
        "breaking": float(breaking),
        "worded": 100 * sum(j.worded for j in judged) / len(judged),
        "wrong_if_worded": share([j for j in judged if j.worded], "wrong"),
        "p50_ms": percentile([j.ms for j in judged], 50),
        "p99_ms": percentile([j.ms for j in judged], 99),
    }
    if bridged is not None:
        _report_model(judged, figures, bridged)
        return
    goals = [
        _at_least("right or properly refused", figures["right"], 80),
        _at_least("the same in later turns of dialogues", figures["right_follow_ups"], 75),
        _at_least("the same in minimal pairs", figures["right_pairs"], 90),
        _at_most("false statements", figures["wrong"], 1),
        _at_least("not stated and said so", figures["said_not_stated"], 85),
        _at_most("answerable but refused", figures["refused"], 5),
        Goal("a turn over HTTP, p50", figures["p50_ms"], "ms", "<= 12", figures["p50_ms"] <= 12),
        Goal("a turn over HTTP, p99", figures["p99_ms"], "ms", "<= 50", figures["p99_ms"] <= 50),
        Goal("replies that show a product against a wish", figures["breaking"], "", "<= 0", breaking == 0),
    ]
    rows = list(figures.items())
    report("answers", ("figure", "value"), rows, figures=figures, goals=goals)


def _report_model(judged: Sequence[Judged], figures: dict[str, float], bridged: tuple[int, int, int]) -> None:
    """What a shop with a hosted model gets, and how many of the recorded replies were given to other words."""
    given, missed, diverged = bridged
    units = Counter[str]()
    for one in judged:
        units.update(one.units)
    stopped = 100 * (1 - units["released"] / units.total()) if units else 0.0
    figures |= {"units_stopped": stopped, "given": float(given), "missed": float(missed), "diverged": float(diverged)}
    goals = [
        _at_least("right or properly refused", figures["right"], 90),
        _at_least("the same in later turns", figures["right_follow_ups"], 85),
        _at_most("false statements", figures["wrong"], 1),
        _at_least("turns in which words of the model are shown", figures["worded"], 75),
        _at_most("units of the model that are not shown as it wrote them", stopped, 7),
    ]
    report("answers", ("figure", "value"), list(figures.items()), figures=figures, goals=goals)


def _at_least(what: str, value: float, goal: float) -> Goal:
    return Goal(what, value, "%", f">= {goal:g}", value >= goal)


def _at_most(what: str, value: float, goal: float) -> Goal:
    return Goal(what, value, "%", f"<= {goal:g}", value <= goal)


if __name__ == "__main__":
    main()
