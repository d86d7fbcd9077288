"""Which false sentences of a model reach the customer, and which right ones do not?

People who had not seen the check wrote units over the results of real look-ups: false in one of six ways, or true. The
check was mended with the part ``building``; ``blind`` was run once before the last mends, so that it is spent as well.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TypeVar

import msgspec
from _answers.shop import prepared
from _answers.spoken import Case, judging
from _report import Goal, report, show

T = TypeVar("T")
SETS = Path(__file__).parent / "_answers"
_REFERENCE = re.compile(r"[\[{][\w.#-]+[\]}]")


class Written(msgspec.Struct, frozen=True):
    """A unit with the number of its case, and in which way it is false."""

    part: str
    case: int
    unit: str
    label: str
    fault: str

    @property
    def has_figure(self) -> bool:
        """Whether it has a digit besides its references."""
        return bool(re.search(r"\d", _REFERENCE.sub("", self.unit)))


class Judged(msgspec.Struct, frozen=True):
    """A unit, and whether its own words are shown."""

    written: Written
    is_shown: bool


def share(judged: list[Judged]) -> float:
    """The share of units whose own words are shown, in percent."""
    return 100 * sum(one.is_shown for one in judged) / len(judged) if judged else 0.0


async def judge(home: Path) -> list[Judged]:
    """Judge every unit over what its case looks up."""
    cases = _lines("released_cases", Case)
    found = []
    async with judging(home) as bench:
        for one in _lines("released", Written):
            case = cases[one.case - 1]
            evidence, _ = await bench.evidence(case)
            units = await bench.judged(one.unit, evidence, case.message)
            found.append(Judged(one, any(verdict.texts and not verdict.cause for _, verdict in units)))
    return found


def _lines(name: str, kind: type[T]) -> list[T]:
    return [msgspec.json.decode(line, type=kind) for line in (SETS / f"{name}.jsonl").read_bytes().splitlines()]


def main() -> None:
    """Judge and report."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        prepared(home)
        judged = asyncio.run(judge(home))
    groups: dict[tuple[str, str], list[Judged]] = defaultdict(list)
    for one in judged:
        groups[one.written.part, one.written.fault or "true"].append(one)
    show(("part", "units", "number", "shown, %"),
         [[*name, len(found), round(share(found), 1)] for name, found in sorted(groups.items())])  # fmt: skip
    figures: dict[str, float] = {}
    for part in ("building", "blind"):
        of_part = [one for one in judged if one.written.part == part]
        false = [one for one in of_part if one.written.label == "false"]
        figures[f"{part}_false_shown"] = share(false)
        figures[f"{part}_false_with_figure_shown"] = share([one for one in false if one.written.has_figure])
        figures[f"{part}_true_shown"] = share([one for one in of_part if one.written.label == "true"])
    goals = [
        Goal("false sentences that are shown", figures["blind_false_shown"], "%", "<= 2",
             figures["blind_false_shown"] <= 2),
        Goal("the same with a figure", figures["blind_false_with_figure_shown"], "%", "<= .5",
             figures["blind_false_with_figure_shown"] <= 0.5),
    ]  # fmt: skip
    report("release", ("figure", "value"), list(figures.items()), figures=figures, goals=goals)


if __name__ == "__main__":
    main()
