"""One turn of a conversation: understand, try the bank, answer, check every sentence before it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

import parbake as pb
import parbake_llm
import parbake_semantic.guard
from retail_assistant.answers.actions import NOT_YET, YES_OR_NO
from retail_assistant.answers.consent import answers_question, hesitates
from retail_assistant.answers.desk import AnswerDesk
from retail_assistant.answers.draft import Asked, Draft, together
from retail_assistant.answers.guardrails import guardrails
from retail_assistant.answers.phrases import NO_REASONS, SUPPORT
from retail_assistant.answers.policy.gate import policy_sections
from retail_assistant.answers.policy.policy_answers import NOTHING_STATED
from retail_assistant.answers.policy.sections import Found, section_name
from retail_assistant.answers.remarks import HOSTILE, OFF_TOPIC, ask_back, remark
from retail_assistant.chat.bank import Bank, FromBank
from retail_assistant.chat.conversation import Sessions, after
from retail_assistant.chat.deciding import OWN, decide, is_sure, needs_head
from retail_assistant.chat.intent import Intent, intent
from retail_assistant.chat.lookup import Lookup
from retail_assistant.chat.model_first import ModelFirst
from retail_assistant.chat.release import Release
from retail_assistant.chat.spoken.judge import Judge
from retail_assistant.chat.spoken.speaker import Speaker
from retail_assistant.chat.tools import Toolbox
from retail_assistant.chat.turn import Card, Forgotten, Reply, Turn
from retail_assistant.chat.understanding import Understanding
from retail_assistant.faq.explore import Notebook
from retail_assistant.faq.faq_words import content_words
from retail_assistant.faq.match import CONVERSATION, LEARNS, FaqMatch
from retail_assistant.knowledge.retrieval import retrieval
from retail_assistant.live import LiveShop, fill_slots
from retail_assistant.model.generation import response_generation
from retail_assistant.model.prompting import Prompts
from retail_assistant.settings import ModelTime
from retail_assistant.shop.connections import PerThread
from retail_assistant.understand.ask import Ask, Kind, Reading, Subject
from retail_assistant.understand.dialogue import NEW, Dialogue
from retail_assistant.understand.hearing import Heard, hear
from retail_assistant.understand.language import is_doubtful
from retail_assistant.understand.parse import Parser
from retail_assistant.understand.plain_words import bare, plain
from retail_assistant.understand.said.concepts import concepts, names_any
from retail_assistant.understand.said.social import is_hostile
from retail_assistant.understand.said.troubles import is_trouble
from retail_assistant.understand.said.two_rules import trouble_and_return

ModelUse = Literal["none", "wording", "tools"]
MOST_RETRIES = 2
AS_SAID = "As I said: "
HOSTILE_SURE = 0.6
"""The chance from which a question is answered although the message also tries to instruct the assistant."""
AT_ONCE = 300
"""Up to how many characters of a message are read within two milliseconds."""
IN_ENGLISH = f"Please ask me in English, or {SUPPORT}."
_WORTH = re.compile(r"\b(?:worth|voucher|missing|need|until|left to)\b")
_FEARS = re.compile(
    r"\b(?:lost|stuck|budged?|moved?|stands? still|never|disappeared|gone|no sign|not|hasn't|haven't|didn't|isn't)\b"
)
"""Says that a parcel does not come, and not only where it is."""
_OF_ONE = ("facts", "offer", "reviews")
_OF_CART = (("action", "add"), ("action", "remove"), ("action", "quantity"))
"""Kinds of questions about a product, which may be one that no title names."""
OUTDATED = "outdated"
"""The refusal of an answer of the bank of which a sentence did not hold any more when it was checked."""


class Assistant:
    """Answers turns."""

    def __init__(
        self, app: pb.App, shop: LiveShop, writers: PerThread, understanding: Understanding, *, model: ModelUse = "none"
    ) -> None:
        """Share the app and the live shop with every kind of answer.

        Args:
            app: The tasks.
            shop: What is live.
            writers: Note what the bank can learn from.
            understanding: Reads messages.
            model: What the generator does: nothing, word what a policy section answers, or look everything up with
                tools that the bank does not answer.
        """
        self._app = app
        self._shop = shop
        self.time = app.settings.resources[ModelTime]
        self._replies = parbake_llm.GivenReplies(app.bonds)
        prompts = Prompts(app, shop, self._replies)
        self._desk = AnswerDesk(app, shop, prompts if model == "wording" else None)
        self._understanding = understanding
        self._lookup = Lookup(self._desk.policies, understanding)
        self._bank = Bank(app, shop, self._lookup, understanding)
        self._release = Release(app)
        self.tools = Toolbox(self._desk, self._release, understanding)
        judge = Judge(app, shop, self._desk.policies, understanding)
        speaker = Speaker(app, shop, self.tools, prompts, judge)
        self._model = ModelFirst(self._bank, speaker) if model == "tools" else None
        self._notebook = Notebook(writers, app.settings.clock)
        self.sessions = Sessions(app.settings.clock.now)

    async def forget(self, shopper: str) -> Forgotten:
        """Erase what this process and the shop keep of a shopper's messages."""
        gone = self.sessions.erase(shopper)[self.sessions.name]
        return Forgotten(gone, await self._notebook.forget(shopper))

    async def reply(self, turn: Turn, request: pb.Request) -> Reply:
        """Answer a turn within a request's scope."""
        async for said in self.stream(turn, request):
            if isinstance(said, Reply):
                return said
        raise AssertionError("a stream ends with the reply")

    async def stream(self, turn: Turn, request: pb.Request) -> AsyncIterator[str | Reply]:
        """Answer a turn within a request's scope: each checked sentence as it is ready, and at last the reply."""
        parser, rereader = await self._understanding.reading()
        said = self.sessions.recall(turn)
        if said is None:
            said = await asyncio.to_thread(rereader.read, turn) if turn.history else NEW
        heard = await self._heard(turn.message)
        asks = await _read(parser, heard.text, said, turn.page or "")
        settled = await self._settled(turn, asks[-1], said)
        text, spoken = "", None
        resting: Any = None
        if settled is not None or self._model is not None:  # the rules begin by themselves
            resting = await self._replies.begin()
        if settled is None and self._model is not None and await self._model.takes(turn, asks, said):
            spoken = self._model.speaker.begin(turn.shopper, said.shown)
            async for sentence in self._model.speaker.say(turn, said, spoken):
                text += sentence
                yield sentence
        if spoken is not None and spoken.answers:
            draft = spoken.draft()
        else:
            draft, resting = (settled, resting) if settled else await self._holding(turn, asks, said, heard, request)
            draft.refusals = [*(spoken.refusals if spoken else ()), *draft.refusals]
            draft = await self._desk.actions.recorded(draft, turn.shopper)
            async for sentence in self._release.checked(draft, turn, spoken.said if spoken else ()):
                text += sentence
                yield sentence
        shown = cards(draft.asins, self._shop, draft.why)
        self.sessions.keep(turn, after(said, asks[-1], draft, turn.page or ""), text)
        self._replies.keep(resting, text, draft.sources)
        yield Reply(
            draft.intent, draft.lane, draft.faq, draft.sources, tuple(draft.refusals), shown, text.strip(),
            draft.worded, dict(spoken.fates) if spoken else {}, fill_slots(draft.lead, self._shop),
        )  # fmt: skip

    async def _holding(
        self, turn: Turn, asks: list[Ask], said: Dialogue, heard: Heard, request: pb.Request
    ) -> tuple[Draft, Any]:
        """What the rules answer, made again while what it was made of changes, and since when it rests on that."""
        resting = await self._replies.begin()
        draft, retries = await self._draft(turn, asks, said, heard), 0
        while await self._release.is_outdated(draft, turn):
            if not draft.faq and retries >= MOST_RETRIES:
                if draft.stream or draft.section:  # the rest of an answer without its main sentence misleads
                    draft = Draft(intent=draft.intent, refusals=draft.refusals)
                break
            # What it was made of changed between reading and checking: again, from what holds now.
            retries += 1
            resting = await self._replies.begin()
            request.again(retrieval, policy_sections, response_generation, guardrails)
            refusals = [*draft.refusals, OUTDATED] if draft.faq else draft.refusals
            draft = await self._draft(turn, asks, said, heard, may_use_bank=OUTDATED not in refusals)
            draft.refusals = [*refusals, *draft.refusals]
        return draft, resting

    async def _draft(
        self, turn: Turn, asks: list[Ask], said: Dialogue, heard: Heard, *, may_use_bank: bool = True
    ) -> Draft:
        drafts = [Draft(f"I can only answer in English, not in {heard.language}.")] if heard.language else []
        notice = len(drafts)
        alone, state = len(asks) == 1 and not heard.language and turn.may_generate, said if heard.is_understood else NEW
        for ask in asks:
            asked = Asked(ask, turn.shopper, turn.page or "", state, turn.history, alone, turn.session)
            one = await self._one(turn, asked, may_use_bank=may_use_bank and len(asks) == 1)
            state = after(state, ask, one, turn.page or "")
            drafts.append(one)
        if notice and not any(d.section or (heard.english and _tells(d)) for d in drafts[notice:]):
            drafts[notice:] = [Draft(IN_ENGLISH, intent=drafts[-1].intent)]  # not understood is not unstated either
        return self._said_again(together(drafts), turn)

    def _said_again(self, draft: Draft, turn: Turn) -> Draft:
        """A rule that the last reply has stated word for word, as one that is stated again."""
        last = turn.history[-1][1].removeprefix(AS_SAID).strip() if turn.history else ""
        with contextlib.suppress(parbake_semantic.guard.UnfilledSlot):
            is_rule = draft.section and not draft.text.startswith(NOTHING_STATED)
            if last and is_rule and last == fill_slots(draft.text, self._shop).strip():
                draft.text = f"{AS_SAID}{draft.text}"
        return draft

    async def _settled(self, turn: Turn, ask: Ask, said: Dialogue) -> Draft | None:
        """What a yes or a no to a proposed action leads to; ``None`` for every other message. This writes, so once."""
        asked = Asked(ask, turn.shopper, turn.page or "", said, turn.history)
        if said.pending is None or self._desk.actions.is_another(asked, said.pending):
            return None
        agreed = answers_question(turn.message, said.pending)
        if agreed is None:
            again = Draft(f"{NOT_YET} {YES_OR_NO}", pending=said.pending)
            return _of("action", again) if hesitates(turn.message) else None
        other = None if agreed else self._desk.actions.recast(asked)
        return _of("action", other or await self._desk.actions.settle(asked, agreed=agreed))

    async def _heard(self, message: str) -> Heard:
        vocabulary = await self._understanding.vocabulary()
        if not is_doubtful(message, known=vocabulary.share_known(message)):
            return Heard(message)
        return await asyncio.to_thread(hear, message, vocabulary)

    async def _one(self, turn: Turn, asked: Asked, *, may_use_bank: bool) -> Draft:
        """Answer one question."""
        ask, said = self._desk.about.sized(asked.ask), asked.said
        asked = msgspec.structs.replace(asked, ask=ask)
        hostile, is_decided = is_hostile(plain(turn.message)), is_sure(ask, is_known=turn.is_known)
        bank = FromBank()
        trouble = None if is_decided else await self._lookup.of_trouble(ask, said)
        may_use_bank = may_use_bank and trouble_and_return(ask.text) is None  # the bank has one rule
        if may_use_bank and not hostile and not is_decided and trouble is None:
            bank = await self._bank.ask(turn, ask, said)
            if bank.draft is not None:
                return _of("policy", bank.draft)
        found = Found()
        if hostile or not is_decided:
            together = bank.match is not None and bank.match.refusal == CONVERSATION
            found = trouble or await self._lookup.sections(turn, ask, said, together=together)
        if hostile and not (found.is_answered and found.chance >= HOSTILE_SURE and "?" in turn.message):
            return _of("off_topic", Draft(HOSTILE))
        head = await self._intent(ask) if needs_head(ask, found, is_known=turn.is_known) else None
        goods = None if is_decided else await self._desk.about.goods(asked, found)
        reading = decide(ask, found, head, said, is_known=turn.is_known, goods=goods and goods[0])
        is_of_goods = goods is not None and (reading.kind == goods[0].kind or reading.kind in _OF_ONE)
        if goods and (reading is goods[0] or (is_of_goods and not ask.subjects)):
            asked = msgspec.structs.replace(asked, ask=(ask := goods[1]))
        elif subjects := await self._named(asked, reading):
            asked = msgspec.structs.replace(asked, ask=(ask := msgspec.structs.replace(ask, subjects=subjects)))
        if (reading := self._desk.fitting(asked, reading)) not in ask.readings:
            readings = (reading, *ask.readings)
            asked = msgspec.structs.replace(asked, ask=msgspec.structs.replace(ask, readings=readings))
        draft = self._desk.corrected(asked, await self._answer(asked, reading, found))
        if bank.match is not None and _is_proven(bank.match, draft):
            self._notebook.explored(turn.shopper, turn.message, bank.match.answer)
        draft = _of(reading.kind, draft)
        draft.refusals = [*bank.refusals, *draft.refusals]
        return draft

    async def _named(self, asked: Asked, reading: Reading) -> tuple[Subject, ...]:
        """The products of a question that names none by its title, rather than asking which one is meant."""
        ask, said = asked.ask, asked.said
        if reading.kind == "compare" and len(ask.subjects) < 2 and len(said.shown) < 2:  # noqa: PLR2004  # nothing to compare
            return await self._desk.about.compared(ask)
        if ask.subjects or not (reading.kind in _OF_ONE or (reading.kind, reading.slot) in _OF_CART):
            return ()
        focus = Subject("", "focus", said.focus) if said.focus else None
        named = await self._desk.about.named(ask) if ask.leftover or focus is None else None
        subject = named or focus
        return (subject,) if subject else ()

    async def _answer(self, asked: Asked, reading: Reading, found: Found) -> Draft:
        kind = reading.kind
        if kind == "points" and reading.slot != "vouchers" and _WORTH.search(asked.ask.text):
            draft = await self._desk.handler(kind, "")(asked)
            return await self._and_rule(draft, asked, await self._desk.policies.find("what are loyalty points worth"))
        if kind == "policy":
            return await self._policy(asked, found)
        if kind == "social":
            return remark(reading.slot, asked.history)
        if kind == "off_topic":
            return Draft(OFF_TOPIC)
        if kind == "unclear":
            return ask_back(reading.slot)
        draft = await self._desk.handler(kind, reading.slot)(asked)
        text = asked.ask.text
        if kind != "orders" or not (draft.asins and _FEARS.search(text) and names_any(text, ("lost",))):
            return draft
        rule = await self._desk.policies.find(text)  # after it, because the shopper fears that it is lost
        is_of_lost = rule.is_answered and names_any(rule.ranked[0].block.plain.lower(), ("lost",))
        return await self._and_rule(draft, asked, rule) if is_of_lost else draft

    async def _and_rule(self, draft: Draft, asked: Asked, *rules: Found) -> Draft:
        """An answer, and after it what some sections state."""
        apart = msgspec.structs.replace(asked, alone=False)
        return together([draft, *[await self._desk.policies.answer(apart, rule) for rule in rules]])

    async def _policy(self, asked: Asked, found: Found) -> Draft:
        """What the policies state; of a trouble and a return both sections, if both are stated."""
        both: list[Found] = []
        if each := trouble_and_return(asked.ask.text):
            is_told = found.is_answered and is_trouble(found.ranked[0].block.title)
            trouble = found if is_told else await self._desk.policies.find(each[0])
            both = [trouble, await self._desk.policies.find(each[1])]
        names = {section_name(one.ranked[0].block) for one in both if one.is_answered}
        if len(names) != 2:  # noqa: PLR2004  # the one and the other
            return await self._desk.policies.answer(asked, found)
        return await self._and_rule(Draft(), asked, *both)

    async def _intent(self, ask: Ask) -> Intent | None:
        """What the trained head takes a question for; ``None`` if there is no head, or only one that is too old."""
        try:
            found: Intent = (await self._app.serve(intent, text=bare(ask.text))).unwrap()
        except pb.NotMaterialized:
            return None
        return found


async def _read(parser: Parser, text: str, said: Dialogue, page: str) -> list[Ask]:
    """The questions of a message; a long one is read in a thread, so that nobody else waits for it."""
    if len(text) <= AT_ONCE:
        return parser.read(text, said, page)

    def read() -> list[Ask]:
        asks = parser.read(text, said, page)
        for ask in asks:  # what they name is looked at again and again, and remembered
            concepts(ask.text)
        return asks

    return await asyncio.to_thread(read)


def cards(asins: Sequence[str], shop: LiveShop, why: Mapping[str, str] = NO_REASONS) -> tuple[Card, ...]:
    """Products as they stand now, without those that are not sold; ``why`` has reasons with slots, by asin."""
    return tuple(
        Card(
            o.asin, o.product.title, shop.money(o.cents), o.quantity > 0, o.product.genre, o.product.format,
            fill_slots(why.get(o.asin, ""), shop),
        )
        for o in shop.offers(asins)
    )  # fmt: skip


def _tells(draft: Draft) -> bool:
    """Whether an answer is surely about what was asked: it shows products, or is of the shopper's own things."""
    return bool(draft.asins) or draft.intent in OWN or draft.intent == "social"


def _of(kind: Kind, draft: Draft) -> Draft:
    draft.intent = kind
    return draft


def _is_proven(match: FaqMatch, draft: Draft) -> bool:
    """Whether the answer that the bank had in mind was quoted first, and has every content word of the question."""
    if match.refusal not in LEARNS or match.names or not draft.section or draft.section != match.answer:
        return False
    return match.unsaid <= content_words(draft.fallback)
