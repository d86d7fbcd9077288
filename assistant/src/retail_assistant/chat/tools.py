"""The assistant's look-ups as typed tools, which a model may call instead of wording answers by itself.

Each tool asks the same desk that the chat asks. What it returns was checked sentence by sentence against what holds
now, and its products and sources are named, so that a caller can refer to them.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

import parbake as pb
from retail_assistant.answers.desk import AnswerDesk
from retail_assistant.answers.draft import Asked, Draft
from retail_assistant.chat import tool_arguments
from retail_assistant.chat.release import Release
from retail_assistant.chat.turn import Turn
from retail_assistant.chat.understanding import Understanding
from retail_assistant.understand.ask import Ask, Kind, Subject
from retail_assistant.understand.dialogue import NEW, Dialogue, Pending
from retail_assistant.understand.names.vocabulary import AUTHOR, FORMAT, GENRE, Vocabulary
from retail_assistant.understand.plain_words import plain
from retail_assistant.understand.pointing import only
from retail_assistant.understand.wishes import NO_WISHES, Wishes


class Arguments(Protocol):
    """What a tool is asked with."""

    def ask(self) -> Ask:
        """Return the question that the call stands for."""
        ...


TOOLS: dict[str, type[Arguments]] = {
    "find_products": tool_arguments.FindProducts,
    "product_facts": tool_arguments.ProductFacts,
    "compare": tool_arguments.Compare,
    "policy_section": tool_arguments.PolicySection,
    "promotions": tool_arguments.Promotions,
    "cart": tool_arguments.Cart,
    "orders": tool_arguments.Orders,
    "points": tool_arguments.Points,
    "propose_action": tool_arguments.ProposeAction,
}
"""The tools by name; a type's docstring is the tool's description."""


_SERIES = "series"
_PARTS = {"genres": GENRE, "formats": FORMAT, "authors": AUTHOR, "series": _SERIES}


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool found.

    Attributes:
        text: Checked sentences, with the numbers that hold now.
        products: The asins of the products that the text names, in its order.
        sources: The entities that it states, such as ``policy/returns``.
        section: The policy section that it quotes, as ``policy#section``.
        lane: Where its main value came from.
        pending: The action that waits for the shopper's yes.
        stated: The sentences of ``text`` with slots instead of numbers.
        kind: The kind of question that the tool answers.
        wishes: The constraints of a list.
    """

    text: str
    products: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    section: str = ""
    lane: str = "realtime"
    pending: Pending | None = None
    stated: tuple[str, ...] = ()
    kind: Kind = "unclear"
    wishes: Wishes = NO_WISHES


class Toolbox:
    """Calls tools for a shopper."""

    def __init__(self, desk: AnswerDesk, release: Release, understanding: Understanding) -> None:
        """Ask ``desk``, with the names that ``understanding`` knows, and check what it says with ``release``."""
        self._desk, self._release, self._understanding = desk, release, understanding

    async def call(
        self, name: str, arguments: str | bytes, *, shopper: str, page: str = "", said: Dialogue = NEW
    ) -> ToolResult:
        """Call a tool.

        Args:
            name: A key of :data:`TOOLS`.
            arguments: Its arguments as JSON, as a model writes them.
            shopper: For whom; what is personal is only told to a shopper who gave a name. ``anonymous`` if none did.
            page: The product page that the shopper is on, an asin.
            said: What the conversation has come to.

        Returns:
            What the tool found. That nothing was found is a result, too.

        Raises:
            parbake.BadInput: There is no such tool, or the arguments do not fit its schema; ``field`` names which.
        """
        ask = _in_shop_names(_decoded(name, arguments).ask(), await self._understanding.vocabulary())
        asked = Asked(ask, shopper, page, said, alone=False)
        kind = ask.best.kind
        if kind == "policy":
            draft = await self._desk.policies.answer(asked, await self._desk.policies.find(ask.text))
        else:
            draft = await self._desk.handler(kind, ask.best.slot)(asked)
        draft.intent = kind
        return await self._checked(draft, Turn(ask.text or name, shopper, page=page or None))

    async def confirm(self, pending: Pending, *, shopper: str, consent: str) -> ToolResult:
        """Do what ``propose_action`` proposed, after the shopper's yes.

        Args:
            pending: What the proposal returned.
            shopper: Who agreed.
            consent: Names this yes, such as the id of its message: sent again within a minute, it does nothing more.

        Returns:
            What was done, or why it could not be done.
        """
        said = msgspec.structs.replace(NEW, pending=pending)
        asked = Asked(Ask(consent), shopper, "", said, (("user", consent),), alone=False)
        return await self._checked(await self._desk.actions.settle(asked, agreed=True), Turn(consent, shopper))

    async def _checked(self, draft: Draft, turn: Turn) -> ToolResult:
        """A draft's checked sentences with what they are made of; what it proposes is recorded."""
        draft = await self._desk.actions.recorded(draft, turn.shopper)
        shown = [sentence.strip() async for sentence in self._release.checked(draft, turn)]
        slotted = {checked.text: sentence for sentence, checked in draft.checks.items()}
        return ToolResult(
            " ".join(shown), draft.asins, draft.sources, draft.section, draft.lane, draft.pending,
            tuple(slotted.get(text, text) for text in shown), draft.intent, draft.wishes,
        )  # fmt: skip


def _in_shop_names(ask: Ask, vocabulary: Vocabulary) -> Ask:
    """A question in which titles, genres, formats and authors are spelled as the shop spells them."""
    subjects = tuple(_named(subject, vocabulary) for subject in ask.subjects)
    wished = {
        name: frozenset(spelled for given in getattr(ask.wishes, name) for spelled in _spelled(vocabulary, part, given))
        for names, part in _PARTS.items()
        for name in (names, f"no_{names}")
    }
    return msgspec.structs.replace(ask, subjects=subjects, wishes=msgspec.structs.replace(ask.wishes, **wished))


def _named(subject: Subject, vocabulary: Vocabulary) -> Subject:
    """The subject by the shop's title and format; a word such as "print", which means several formats, names none."""
    found = vocabulary.titles.named(plain(subject.name)) if subject.name else []
    form = only(_spelled(vocabulary, FORMAT, subject.format)) if subject.format else None
    if not found:
        return msgspec.structs.replace(subject, format=form)
    volume = subject.volume if subject.volume is not None else found[0].volume
    return msgspec.structs.replace(subject, name=found[0].name, volume=volume, format=form)


def _spelled(vocabulary: Vocabulary, part: str, given: str) -> frozenset[str]:
    """The shop's names for a name; the name itself if the shop has none, so that nothing fits it."""
    if part == _SERIES:
        return frozenset(named.name for named in vocabulary.titles.named(plain(given))) or frozenset({given})
    said = f"by {given}" if part == AUTHOR else given  # a last name is one only after such a word
    return vocabulary.named(plain(said)).of(part, wanted=True) or frozenset({given})


def _decoded(name: str, arguments: str | bytes) -> Arguments:
    if name not in TOOLS:
        raise pb.BadInput(f"there is no tool {name[:40]!r}; the tools are {', '.join(TOOLS)}", field="name")
    try:
        return msgspec.json.decode(arguments or "{}", type=TOOLS[name])
    except msgspec.DecodeError as error:
        raise pb.BadInput(f"arguments of {name}: {error}", field="arguments") from error
