"""Is every request answered in time when its provider fails, in whole sentences, and is it known who answered?

A thousand requests go to a chain of a hosted model and the extractive generator. The hosted model fails in each of
them: it is down, silent, overloaded, malformed, cut in the middle of a sentence, or without an end. The shop shows
whole sentences only; if a reply breaks off after some of them, it goes on with what the extractive generator quotes.
Then a model has an outage, and the circuit breaker has to open and to close again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import multiprocessing
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import NamedTuple

from _report import Goal, percentile, report

from parbake.errors import ProviderError
from parbake_llm.generators.anthropic import AnthropicGenerator
from parbake_llm.generators.bedrock import AwsAccount, BedrockGenerator
from parbake_llm.generators.chain import Breakers, BreakerState, Chain
from parbake_llm.generators.extractive import Extractive
from parbake_llm.generators.openai import OpenAIGenerator
from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Block, Prompt
from parbake_llm.testing import BoxRequest, ProviderBox, ProviderFault, ScriptedReply
from parbake_semantic.guard.release import release, sentences

REQUESTS, DEADLINE_S, AT_ONCE = 1000, 2.0, 12
FAULTS = ("down", "slow", "429", "broken-json", "cut", "endless")
DIALECTS = ("openai", "anthropic", "bedrock")
EVIDENCE = ("A book can be returned within 30 days of delivery.", "The refund arrives within 5 days.")
SHORT = "You can send the book back to us within 30 days if it is in the state in which you got it. "
LONG = f"Yes, you can. {SHORT}We pay the postage. The refund takes 5 days. "
WHOLE = {*sentences(SHORT), *sentences(LONG), *EVIDENCE}
"""Every sentence that may be shown."""
NEVER = 10**9


@dataclass
class Answer:
    """What a shopper saw: the sentences, who wrote them, and the seconds until the end."""

    fault: str
    shown: list[str] = field(default_factory=list)
    writers: list[str] = field(default_factory=list)
    seconds: float = 0.0
    failure: str = ""

    def note(self, delta: Delta) -> str:
        """Keep who wrote a piece, and return its text."""
        if delta.model not in self.writers:
            self.writers.append(delta.model)
        return delta.text


async def answer(chain: Chain, prompt: Prompt, fault: str) -> Answer:
    """Ask as a shop does: whole sentences, and what is missing from the evidence."""
    found, started = Answer(fault), time.perf_counter()

    async def texts() -> AsyncIterator[str]:
        async for delta in chain.stream(prompt, max_tokens=60, timeout_s=DEADLINE_S):
            yield found.note(delta)

    try:
        async for sentence in release(texts(), lambda whole: whole):
            found.shown.append(sentence.strip())
    except ProviderError as error:
        found.failure = str(error.kind)
        found.shown += Extractive().quote(prompt)
        found.writers.append(Extractive.name)
    found.seconds = time.perf_counter() - started
    return found


class Addresses(NamedTuple):
    """Where a box listens, and its key."""

    openai_url: str
    anthropic_url: str
    bedrock_url: str
    key: str


def generator(dialect: str, box: Addresses, fault: str, closed: str) -> Generator:
    """A generator whose every request has a fault."""
    is_down = fault == "down"
    if dialect == "openai":
        return OpenAIGenerator(model=fault, api_key=box.key, base_url=closed if is_down else box.openai_url)
    if dialect == "anthropic":
        return AnthropicGenerator(model=fault, api_key=box.key, base_url=closed if is_down else box.anthropic_url)
    return BedrockGenerator(
        model=fault,
        account=AwsAccount("eu-west-1", box.key, "secret"),
        endpoint_url=closed if is_down else box.bedrock_url,
    )


def said(request: BoxRequest) -> str:
    """One sentence if the question asks for few words, so that a cut is in the first sentence, or four."""
    return SHORT if "briefly" in str(request.body) else LONG


def serve(pipe: Connection) -> None:
    """Serve as the provider in a process of its own, until the pipe is closed."""
    with ProviderBox() as box, contextlib.suppress(EOFError):
        box.reply(said)
        pipe.send(Addresses(box.openai_url, box.anthropic_url, box.bedrock_url, box.key))
        pipe.recv()


@contextlib.contextmanager
def provider() -> Iterator[Addresses]:
    """Start the provider, and end it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,))
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join()


async def faulted(count: int) -> list[Answer]:
    """Ask so many times, some at once; the breakers stay closed, so that each request meets its fault."""
    limit, breakers = asyncio.Semaphore(AT_ONCE), Breakers(after=NEVER)
    with provider() as box, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}"
        chains = {
            (dialect, fault): Chain(
                [generator(dialect, box, fault, closed), Extractive()], breakers=breakers, hold="sentence"
            )
            for dialect, fault in itertools.product(DIALECTS, FAULTS)
        }

        async def one(n: int) -> Answer:
            (_, fault), chain = list(chains.items())[n % len(chains)]
            style = "briefly" if n // len(chains) % 2 else "in full"
            prompt = Prompt(
                blocks=(Block("rules", "Answer."),), evidence=EVIDENCE, question=f"Can I return it? {style}"
            )
            async with limit:
                return await answer(chain, prompt, fault)

        await asyncio.gather(*map(one, range(len(chains))))  # opens the clients
        gc.collect()
        gc.freeze()  # as parbake's server does before it is ready: a collection of all clients takes 0.2 s
        found = await asyncio.gather(*map(one, range(count)))
        for chain in chains.values():
            await chain.aclose()
    return found


@dataclass
class Outage:
    """What the breaker did: how often it opened and closed, and who was asked."""

    opened: int
    closed: int
    asked: int
    answered: Counter[str]
    is_closed: bool


async def outage(before: int = 20, during: int = 100, after: int = 40) -> Outage:
    """Let a model fail for a while; a second passes on the breakers' clock with every request."""
    ticks = itertools.count()
    now = 0.0
    is_down = False

    def reply(_: BoxRequest) -> ScriptedReply:
        return ScriptedReply(LONG, fault=ProviderFault.BROKEN if is_down else None)

    breakers = Breakers(clock=lambda: now)
    with ProviderBox() as box:
        box.reply(reply)
        chain = Chain([AnthropicGenerator(model="m", api_key=box.key, base_url=box.anthropic_url), Extractive()],
                      breakers=breakers)  # fmt: skip
        asked = 0
        for count, is_down in ((before, False), (during, True), (after, False)):  # `reply` reads it
            start = len(box.requests)
            for _ in range(count):
                now = float(next(ticks))
                await answer(chain, Prompt(evidence=EVIDENCE, question="Can I return it?"), "outage")
            asked = len(box.requests) - start if is_down else asked
        await chain.aclose()
    breaker = breakers.of("anthropic", "m")
    return Outage(breaker.opened, breaker.closed, asked, chain.answered, breaker.state is BreakerState.CLOSED)


def rows_of(answers: Sequence[Answer]) -> list[list[object]]:
    """One row for each fault."""
    found: list[list[object]] = []
    for fault in FAULTS:
        own = [each for each in answers if each.fault == fault]
        alone = sum(each.writers == [Extractive.name] for each in own)
        seconds = [each.seconds for each in own]
        found.append([fault, len(own), alone, len(own) - alone, percentile(seconds, 50), max(seconds)])
    return found


def main() -> None:
    """Measure both and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"how many with a fault ({REQUESTS})")
    options = parser.parse_args()
    answers = asyncio.run(faulted(options.requests))
    found = asyncio.run(outage())
    late = 1000 * (max(each.seconds for each in answers) - DEADLINE_S)
    half = sum(sentence not in WHOLE for each in answers for sentence in each.shown)
    complete = sum(bool(each.shown) and each.shown[-1] in EVIDENCE for each in answers)
    marked = sum(bool(each.writers) and all(each.writers) for each in answers)
    figures = {
        "requests": float(len(answers)),
        "deadline_s": DEADLINE_S,
        "median_ms": 1000 * percentile([each.seconds for each in answers], 50),
        "broke_off_after_a_sentence": float(sum(bool(each.failure) for each in answers)),
        "breaker_opened": float(found.opened),
        "breaker_closed": float(found.closed),
        "asked_in_outage": float(found.asked),
        "outage_answered_by_model": float(found.answered["anthropic"]),
        "outage_answered_by_extractive": float(found.answered["extractive"]),
    }
    count = len(answers)
    goals = [
        Goal("faulted requests that were answered", complete, "requests", f"all {count}", complete == count),
        Goal("the latest answer after its deadline", late, "ms", "<= 0", late <= 0),
        Goal("answers that name who wrote them", marked, "requests", f"all {count}", marked == count),
        Goal("sentences shown in part", half, "sentences", "0", half == 0),
        Goal("the breaker opened", found.opened, "times", ">= 1", found.opened >= 1),
        Goal("it closed after the outage", found.closed, "times", "1", found.closed == 1 and found.is_closed),
        Goal("requests sent to the model in an outage of 100", found.asked, "requests", "<= 20", found.asked <= 20),
    ]
    columns = ("fault", "requests", "extractive", "model, then extractive", "median s", "latest s")
    report("providers", columns, rows_of(answers), figures=figures, goals=goals)


if __name__ == "__main__":
    main()
