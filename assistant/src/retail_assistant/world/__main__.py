"""``python -m retail_assistant.world --out PATH``: write a generated shop to a file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from retail_assistant.shop.errors import ShopError
from retail_assistant.world import estimate_size, generate


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, say how large it becomes, generate with a progress bar; return the exit status."""
    options = _parser().parse_args(argv)
    sizes = {name: getattr(options, name) for name in ("products", "shoppers", "days", "messages")}
    size = estimate_size(**sizes)
    _say(", ".join(f"{count:,} {table}" for table, count in size.rows.items()))
    _say(f"about {size.bytes / 1e6:,.0f} MB in {options.out}")
    started = time.monotonic()
    try:
        _generate(options.out, options.seed, options.now, sizes)
    except (ShopError, OSError) as error:
        _say(f"error: {error}")
        return 1
    _say(f"done in {time.monotonic() - started:.1f} s")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m retail_assistant.world", description=__doc__)
    parser.add_argument("--out", required=True, help="the file to write; one that is there is replaced")
    parser.add_argument("--seed", type=int, default=7, help="the same seed, time and sizes give the same rows (7)")
    parser.add_argument("--shoppers", type=int, default=10_000, help="how many shoppers (10000)")
    parser.add_argument("--products", type=int, default=2_000, help="how many products (2000)")
    parser.add_argument("--days", type=int, default=90, help="how many days of history (90)")
    parser.add_argument("--messages", type=int, default=20_000, help="how many messages in the query log (20000)")
    parser.add_argument("--now", type=float, default=time.time(), help="where history ends, in epoch seconds (now)")
    return parser


def _generate(out: str, seed: int, now: float, sizes: dict[str, int]) -> None:
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        tasks = {stage: bar.add_task(stage, total=None) for stage in ("shoppers", "messages", "indexes")}
        generate(
            out,
            seed=seed,
            now=now,
            progress=lambda stage, done, total: bar.update(tasks[stage], completed=done, total=total),
            **sizes,
        )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
