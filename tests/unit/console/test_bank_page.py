"""The page *Bank and cache*: coverage, what a bank promises, why it refuses, and what was withdrawn."""

import httpx
import pytest
from tests.unit.console.conftest import text_of
from tests.unit.embedders import TOPICS, Words
from tests.unit.shopfloor import Facts, contract

import parbake as pb
import parbake_semantic
from parbake.http import HttpApp
from parbake_console import Console
from parbake_console.charts import PLOT_WIDTH, outlook_plot
from parbake_planner import Ledger

PATH = "/console/bank"


class Helpdesk:
    """An app with a bank of questions, a stored answer to each of them, and a page about both."""

    def __init__(self, world, folder, plugins):
        """Declare the bank, its answers, and the live task that asks it."""
        tasks = pb.Registry()

        @tasks.model(**contract(refresh=pb.every("10m")))
        def bank(*, facts: pb.Source[Facts]) -> parbake_semantic.BankSnapshot:
            words = ("now", "again", "today", "here")
            return parbake_semantic.compile_questions(
                Words(),
                {topic: [f"please explain {topic} {word}" for word in words] for topic in TOPICS},
                unanswered={"shoes": ["do you sell topicshoes", "topicshoes please"]},
                bound=parbake_semantic.Bound(error=0.4, prior=0.0),
            )

        def answers(*, bank: parbake_semantic.BankSnapshot = pb.Model(bank)) -> list[str]:
            return bank.answered

        @tasks.artifact(**contract(keys=answers, refresh=pb.every("10m")))
        def texts(
            key: str, *, facts: pb.Source[Facts], bank: parbake_semantic.BankSnapshot = pb.Model(bank)
        ) -> str | pb.Absent:
            return pb.Absent("shoppers complained of it") if facts.get(key) == "withdrawn" else f"{key} of {bank.scope}"

        @tasks.live(why="each question is new")
        def asks(question: pb.Live[str], *, bank: parbake_semantic.BankSnapshot = pb.Model(bank)) -> str:
            return f"{question} {len(bank.answered)}"

        self.world, self.bank, self.texts, self.asks = world, bank, texts, asks
        self.app = world.app(tasks, plugins=plugins(folder), store="memory://")

    async def built(self):
        """Build the bank and its answers."""
        await self.app.drain()
        await self.app.materialize(self.bank)
        await self.app.materialize(self.texts)

    async def asked(self, *, subject="", refusals=(), lane="batch", asks=True):
        """Give an answer and note it, a second after the one before."""
        self.world.clock.advance(1)
        async with self.app.request() as scope:
            if asks:
                await self.app.serve(self.asks, question="what")
            return self.app.plugins[Ledger].answers.note(
                scope, lane=lane, subject=subject, sources=["fact/c"], refusals=refusals
            )

    async def raw(self, served=None):
        """Return the page of a server; by default of a new one."""
        served = httpx.ASGITransport(served or HttpApp(self.app))
        async with httpx.AsyncClient(transport=served, base_url="http://localhost") as browser:
            answer = await browser.get(PATH)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def seen(self):
        """Return what the page says."""
        return text_of(await self.raw())


@pytest.fixture
async def desk(world, tmp_path):
    """Yield an app with a bank that is built."""
    found = Helpdesk(world, tmp_path, lambda folder: [Ledger(folder / "ledger.db"), Console()])
    world.put("c", "one")
    await found.built()
    yield found
    await found.app.close()


async def test_coverage_is_the_share_of_asked_questions(desk):
    """Of four questions that asked the bank, one was answered; an answer without the bank is left out."""
    await desk.asked(subject="topicaa")
    for _ in range(3):
        await desk.asked(refusals=["unsure"], lane="realtime")
    await desk.asked(asks=False)
    page = await desk.seen()
    assert "It answered 25 % of the 4 newest questions that it was asked" in page
    assert "answers 20 of them withheld 0 known questions without an answer 1 wordings 82" in page
    assert "questions asked 4 answered from it 1 of them computed ahead or after an event 1" in page


async def test_the_promise_and_the_outlook_are_shown(desk):
    """The error, the prior, the certainty and each other bound stand there, and the picture has both curves."""
    raw = await desk.raw()
    page = text_of(raw)
    assert "at most 40 % of its answers, 95 % sure" in page
    assert "certainty required 50.0 %" in page
    assert "40 % 50.0 %" in page
    assert raw.count("<polyline") == 2
    assert "is being computed" not in page


async def test_refusals_are_counted_by_reason_with_an_example(desk):
    """Reasons with a remark behind a colon count together; each links to the newest such answer on *Answers*."""
    await desk.asked(refusals=["guard: a number"])
    one = await desk.asked(refusals=["unsure", "guard: a name"])
    two = await desk.asked()
    raw = await desk.raw()
    page = text_of(raw)
    assert "guard the answer's text was not released 2 67 %" in page
    assert "unsure the match is less certain than required 1 33 %" in page
    assert "no reason noted the app has noted no refusal 1 33 %" in page
    assert raw.count(f"/console/answers?word={one.id}") == 2
    assert f"/console/answers?word={two.id}" in raw


async def test_reasons_of_the_app_are_shown_as_text(desk):
    """A reason that parbake does not know is named, and is never markup."""
    await desk.asked(refusals=["<b>closed</b>"])
    raw = await desk.raw()
    assert "&lt;b&gt;closed&lt;/b&gt;" in raw
    assert "a reason of the app" in raw


async def test_withdrawn_answers_are_listed(desk):
    """An answer that is stored as missing, and one that is served in spite of a complaint."""
    desk.world.put("topicbb", "withdrawn")
    await desk.built()
    one = await desk.asked(subject="topiccc")
    await desk.app.plugins[Ledger].answers.complain(one.id, "it is wrong")
    raw = await desk.raw()
    page = text_of(raw)
    assert "topicbb texts: shoppers complained of it 0 -" in page
    assert "topiccc no: it is served 1 the newest" in page
    assert "of them withheld 1" in page
    assert f"/console/answers?word={one.id}" in raw


async def test_the_outlook_is_computed_once(desk, monkeypatch):
    """A second view of the same bank computes nothing; another bank is computed again."""
    calls = []
    from parbake_semantic.bank import bounds_report

    real = bounds_report.outlook
    monkeypatch.setattr(bounds_report, "outlook", lambda *what: calls.append(what) or real(*what))
    served = HttpApp(desk.app)
    for _ in range(2):
        await desk.raw(served)
    assert len(calls) == 1
    await desk.built()
    await desk.raw(served)
    assert len(calls) == 2


async def test_a_bank_that_was_never_built_is_said(world, tmp_path):
    """Without a generation the page says so, and without a ledger that nothing is recorded."""
    desk = Helpdesk(world, tmp_path, lambda _: [Console()])
    await desk.app.drain()
    page = await desk.seen()
    assert "The bank bank" in page
    assert "no ledger What was asked is not recorded" in page
    assert "wordings" not in page
    await desk.app.close()


async def test_without_semantic_matching_the_page_says_what_is_missing(shop, monkeypatch):
    """Without the numeric packages the page names the command; with them it says that there is no bank."""
    assert "No model task of this app returns a bank" in await shop.seen(PATH)
    monkeypatch.setattr(parbake_semantic, "find_spec", lambda _: None)
    monkeypatch.delitem(vars(parbake_semantic), "BankSnapshot", raising=False)
    assert "Semantic matching is not installed here" in await shop.seen(PATH)


async def test_caches_of_the_app_are_counted(shop):
    """Hits and the reasons of misses of all caches of the app stand there, and what each of them stores."""
    assert "This process has no semantic cache" in await shop.seen(PATH)
    caches = [parbake_semantic.SemanticCache(Words(), app=shop.app, policy=lambda: parbake_semantic.fixed(0.8))] * 2
    caches[1] = parbake_semantic.SemanticCache(Words(), app=shop.app, name="other")

    async def answer(question):
        return (await shop.app.serve(shop.asked, "c")).value

    assert "No question was asked yet." in await shop.seen(PATH)
    for question in ("please explain topicaa", "please explain topicaa", "topicbb please", "my phone is 555 123 4567"):
        await caches[0].ask_async(question, answer)
    page = await shop.seen(PATH)
    assert "25 % of 4 questions got a stored answer." in page
    assert "A cache with 2 stored questions of 1 scope A cache with 0 stored questions of 0 scopes" in page
    assert "empty_cache nothing is stored yet 1 33 %" in page


def test_the_picture_is_cut_off_at_twice_the_promise():
    """The promised error is at half the height, and greater ones at the top; many points become few."""
    plot = outlook_plot([(n / 1000, n / 1000, 1.0) for n in range(1001)], promised=0.1, expected=0.5, covered=None)
    assert (plot.top, plot.promised_y, plot.expected_x, plot.covered_x) == (0.2, 70.0, PLOT_WIDTH / 2, None)
    assert len(plot.wrong.split()) < 200
    assert {point.split(",")[1] for point in plot.limit.split()} == {"0.0"}
