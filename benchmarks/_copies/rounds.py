"""How rounds are chosen on the command line, and played for two kinds at a time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import Progress


class World(Protocol):
    """What rounds are played in."""

    older: Sequence[str]

    def play(self) -> None:
        """Play one round."""

    def close(self) -> None:
        """End everything."""


WorldT = TypeVar("WorldT", bound=World)


def read_options(description: str | None, example: str, kinds: Sequence[str]) -> argparse.Namespace:
    """Read the number of rounds, the seed and the kinds.

    Args:
        description: What the benchmark does.
        example: A command.
        kinds: What rounds there are, by default all.
    """
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Example: {example}",
    )
    parser.add_argument("--rounds", type=int, default=200, help="rounds of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", type=lambda text: text.split(";"), default=[*kinds], help=f"of {';'.join(kinds)}")
    return parser.parse_args()


def play_all(
    options: argparse.Namespace, play: Callable[[str, Callable[[WorldT], None]], WorldT]
) -> Mapping[str, WorldT]:
    """Play the rounds of each kind, two kinds side by side; returns the worlds by kind.

    Args:
        options: What :func:`read_options` has read.
        play: Makes the world of a kind, gives it to a function that plays in it, closes and returns it.
    """
    with Progress(console=Console(stderr=True)) as bars, ThreadPoolExecutor(2) as pool:

        def play_kind(kind: str) -> WorldT:
            bar = bars.add_task(kind, total=options.rounds)

            def play_rounds(world: WorldT) -> None:
                try:
                    for number in range(options.rounds):
                        world.play()
                        bars.update(bar, completed=number + 1)
                finally:
                    world.close()
                    print(f"{kind}: {len(world.older)} older answers", file=sys.stderr, flush=True)

            return play(kind, play_rounds)

        return dict(zip(options.kinds, pool.map(play_kind, options.kinds), strict=True))
