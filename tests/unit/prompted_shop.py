"""An app whose prompts have a declared prefix, and a provider that caches as it promises."""

import datetime as dt

from tests.unit.shopfloor import Facts, contract

import parbake as pb
import parbake_llm
from parbake.ports.alerts import Alert
from parbake.ports.usage import Usage
from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Block, Prompt
from parbake_llm.writing.placement import CacheRules
from parbake_planner.ledger.costs import CostBook, Offer
from parbake_planner.prices import Rate

RULES = CacheRules(mechanism="breakpoints", minimum=10, ttls=("5m", "1h"))


class Provider:
    """A generator that caches as it promises, or reads nothing, and keeps what it was sent."""

    name, provider, model, rules = "hosted", "maker", "small", RULES

    def __init__(self):
        self.sent, self.reads, self.lengths = [], True, []

    async def stream(self, prompt, *, max_tokens, timeout_s):
        """Reply with one word; the first 300 tokens are cached after the first request."""
        self.sent.append(prompt)
        self.lengths.append(max_tokens)
        is_first = len(self.sent) == 1
        read, write = (0, 300) if is_first else (300 if self.reads else 0, 0)
        yield Delta("word")
        yield Delta(usage=Usage(uncached=400 - read - write, output=5, cache_read=read, cache_write_hour=write))


class Sink:
    """Keeps alerts."""

    def __init__(self):
        self.alerts = []

    async def send(self, alert: Alert):
        """Keep one."""
        self.alerts.append(alert)


async def prompted_shop(world, tmp_path):
    """Return an app with a prefix of a policy, and a live task that sends it."""
    world.put("window", "30 days")
    tasks = pb.Registry()

    def variants() -> list[str]:
        return ["short"]

    @parbake_llm.prefix(tasks, **contract(owner="content", refresh=pb.every("20m"), keys=variants))
    def base(variant: str, *, facts: pb.Source[Facts]) -> list[Block]:
        """What every prompt begins with."""
        return [Block("policy", f"{facts.get('window')} {'p' * 900}", "policy", "7"), Block("rules", "r" * 300)]

    @tasks.live(why="the question exists only now")
    async def reply(question: pb.Live[str], *, prefix: pb.Reader[str, tuple[Block, ...]] = pb.Input(base),
                    llm: pb.Resource[Generator] = pb.GIVEN) -> str:  # fmt: skip
        blocks = (await prefix.get("short")).unwrap()
        prompt = Prompt(blocks=blocks, question=question.ljust(400, "."), prefix="base", session="s")
        return "".join([d.text async for d in llm.stream(prompt, max_tokens=9, timeout_s=5)])

    provider, sink = Provider(), Sink()
    app = world.app(tasks, resources={Generator: provider}, ledger=tmp_path / "ledger.db", alerts=[sink])
    app.named, app.provider, app.sink = (base, reply), provider, sink
    await app.drain()
    return app


def book():
    """Return a book: $1 for a million input tokens, a tenth for reads, the double for an hour's write."""
    rate = Rate(
        provider="maker", model="small", since=pb_date(), input=1.0, output=10.0, cache_read=0.1, cache_write=1.25,
        cache_write_hour=2.0,
    )  # fmt: skip
    offers = {"hosted": Offer(provider="maker", model="small")}
    return CostBook(as_of=pb_date(2026), cpu_hour=0.0, rates=(rate,), generators=offers)


def pb_date(year=2020):
    """Return the first day of a year."""
    return dt.date(year, 1, 1)
