"""Does the local model's memory grow with the number of conversations? It must not.

Every conversation is new, has two turns, and shares the prefix. The size is read after a tenth of them, when every slot
has been used, and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from _report import Goal, report
from rich.progress import track

from parbake_llm.generators.llama import LlamaGenerator
from parbake_llm.ports.prompts import Block, Prompt
from retail_assistant.model.prefix import RULES

CONVERSATIONS = 2_000
REPLY_TOKENS = 2


def resident_mib() -> float:
    """The resident size of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def converse(model: LlamaGenerator, number: int) -> None:
    """Hold two turns."""
    turns: tuple[tuple[str, str], ...] = ()
    for question in (f"Is order {number} on its way?", "And when does it arrive?"):
        sent = Prompt(blocks=(Block("rules", RULES["wording"]),), turns=turns, question=question, session=f"c{number}")
        text = "".join([d.text async for d in model.stream(sent, max_tokens=REPLY_TOKENS, timeout_s=60)])
        turns = (*turns, ("user", question), ("assistant", text or "Yes."))


async def measure(conversations: int) -> list[tuple[int, float]]:
    """The resident size after each tenth of the conversations."""
    model, found = LlamaGenerator(), []
    for number in track(range(1, conversations + 1), description="conversations"):
        await converse(model, number)
        if number % max(1, conversations // 10) == 0:
            found.append((number, resident_mib()))
    await model.aclose()
    return found


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=CONVERSATIONS, help=f"how many ({CONVERSATIONS})")
    sizes = asyncio.run(measure(parser.parse_args().conversations))
    growth = 100 * (sizes[-1][1] / sizes[0][1] - 1)
    report(
        "llama_memory",
        ("conversations", "resident MiB"),
        sizes,
        figures={"first_mib": sizes[0][1], "last_mib": sizes[-1][1], "growth_percent": growth},
        goals=[Goal("growth from a tenth to all conversations", growth, "%", "<= 5", growth <= 5)],
    )


if __name__ == "__main__":
    main()
