"""A task that writes letters through a batch interface, and a provider in this process whose jobs a test controls."""

import msgspec
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.errors import FailureKind, ProviderError
from parbake.ports.usage import Usage
from parbake_llm.batch.provider_batch import ProviderBatch
from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Prompt
from parbake_llm.ports.provider_jobs import BatchAnswer, JobState, NoAnswer, SeenJob
from parbake_llm.testing import ScriptedReply
from parbake_llm.testing.prefixes import CacheUsage
from provider_box import JobBoard, SubmitFault
from provider_box.jobs import JobLine, LineOutcome

HOUR, DAY = 3600.0, 86_400.0
LACKING = {
    LineOutcome.ERRORED: NoAnswer.FAILED,
    LineOutcome.EXPIRED: NoAnswer.EXPIRED,
    LineOutcome.CANCELLED: NoAnswer.CANCELLED,
}


class Provider:
    """A batch interface and its generator in one; ``asked`` are the prompts that it was asked directly."""

    name, model = "writer", "small"
    most_requests, most_bytes, least_requests = 1000, 1 << 20, 1

    def __init__(self, clock, *, keeps_names=True):
        """Begin without jobs."""
        self.jobs = JobBoard(clock.now, self._answered)
        self.keeps_names = keeps_names
        self.asked, self.bad, self.calls = [], set(), []
        self.down = False

    def _answered(self, dialect, line):
        return ScriptedReply(
            f"batch: {line.body['q']}", fault="500" if line.body["q"] in self.bad else None
        ), CacheUsage(9)

    def _called(self, what):
        self.calls.append(what)
        if self.down:
            raise ProviderError("the provider is down", field="writer", kind=FailureKind.UNAVAILABLE)

    async def submit(self, intent, requests):
        """Make a job, or fail as the board says."""
        self._called("submit")
        fault = self.jobs.take_fault()
        if fault is SubmitFault.REFUSED:
            raise ProviderError("no such model", field="writer", kind=FailureKind.REJECTED)
        if fault is not SubmitFault.LOST:
            lines = [JobLine(one.custom_id, {"q": one.prompt.question}, self.model) for one in requests]
            job = self.jobs.submit("openai", lines, {"intent": intent})
        if fault is not None:
            raise ProviderError("the connection broke", field="writer", kind=FailureKind.UNREACHABLE)
        return job.id

    async def state(self, job):
        """Say whether a job has ended."""
        self._called("state")
        found = self.jobs.find("openai", job)
        return JobState.ENDED if self.jobs.has_ended(found) else JobState.RUNNING

    async def results(self, job):
        """Yield what became of each request."""
        self._called("results")
        for each in self.jobs.results(self.jobs.find("openai", job)):
            lacking, used = LACKING.get(each.outcome), Usage(uncached=900, output=100)
            found = BatchAnswer(custom_id=each.line.custom_id, text=each.reply.text, usage=used, lacking=lacking)
            intent = self.jobs.find("openai", job).named["intent"]
            yield found if self.keeps_names else msgspec.structs.replace(found, intent=intent)

    async def recent(self, since):
        """List the jobs, without their names if the provider keeps none."""
        self._called("recent")
        return [
            SeenJob(job.id, job.created_at, len(job.lines), job.named["intent"] if self.keeps_names else None)
            for job in self.jobs.listed("openai")
            if job.created_at >= since
        ]

    async def cancel(self, job):
        """End a job."""
        self._called("cancel")
        self.jobs.cancel(self.jobs.find("openai", job))

    async def stream(self, prompt, *, max_tokens, timeout_s):
        """Answer directly."""
        self.asked.append(prompt.question)
        if prompt.question in self.bad:
            raise ProviderError("this one fails", field="writer", kind=FailureKind.UNAVAILABLE)
        yield Delta(f"direct: {prompt.question}")
        yield Delta(usage=Usage(uncached=900, output=100))


class Letters:
    """The letters to some readers, made from what is known of each of them. Facts and policies are fenced."""

    def __init__(self, world, provider=None, *, kind="single", readers=("ann", "bob", "cid"), via=None, **changes):
        """Declare the task and open the app."""
        self.world, self.readers = world, list(readers)
        self.provider = provider or Provider(world.clock)
        for reader in self.readers:
            world.put(reader, f"likes {reader[0]}")
        self.options = {key: changes.pop(key) for key in ("store", "ledger", "alerts", "book") if key in changes}
        terms = {
            "freshness_sla": "3d",
            "refresh": pb.every("1d", budget="1h"),
            "invalidated_by": [pb.fence("fact"), pb.fence("policy")],
            "keys": self._names,
            "via": ProviderBatch(self.provider, **({"within": "6h", "poll": "10m"} | (via or {}))),
        }
        self.tasks = pb.Registry()
        self.task = self.tasks.artifact(**contract(**(terms | changes)))(
            {"single": single, "many": many, "slow": slow}[kind]
        )
        self.app = self.opened()

    def _names(self) -> list[str]:
        return self.readers

    def opened(self):
        """Return another app over the same tasks."""
        settings = {"resources": {Generator: self.provider}, "open": ["policy"]} | self.options
        return self.world.app(self.tasks, **settings)

    async def due(self):
        """Run what is due, and return the rows of each run."""
        self.world.clock.advance(6)  # past the pause after a run that waits
        await self.app.drain()
        return [run.built[0].rows for run in await self.app.ops.run_due()]

    async def runs_until_done(self, step_s=HOUR):
        """Let time pass until a run was promoted, and return its rows."""
        for _ in range(100):
            if rows := await self.due():
                return rows[0]
            self.world.clock.advance(step_s)
        raise AssertionError("no run was promoted")

    async def served(self):
        """Return each letter with the lane that it comes from."""
        await self.app.drain()
        found = [await self.app.serve(self.task, reader) for reader in self.readers]
        return [(one.value, one.lane) for one in found]


async def asked(llm, question):
    """Return the whole reply to a question."""
    stream = llm.stream(Prompt(question=question, prefix=""), max_tokens=10, timeout_s=5)
    return "".join([delta.text async for delta in stream])


async def single(reader: str, facts: pb.Source[Facts], llm: pb.Resource[Generator]) -> str:
    """Write one letter."""
    return await asked(llm, f"{reader} {facts.get(reader)}")


async def many(readers: pb.Keys[str], facts: pb.Source[Facts], llm: pb.Resource[Generator]) -> dict[str, str]:
    """Write letters side by side."""
    import asyncio

    found = await asyncio.gather(*(asked(llm, f"{reader} {facts.get(reader)}") for reader in readers))
    return dict(zip(readers, found, strict=True))


async def slow(readers: pb.Keys[str], facts: pb.Source[Facts], llm: pb.Resource[Generator]) -> dict[str, str]:
    """Write letters one after the other."""
    return {reader: await asked(llm, f"{reader} {facts.get(reader)}") for reader in readers}
