"""The FAQ tasks: the bank as a model, the answers as artifacts fenced by the policies they were read from."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

import parbake as pb
import parbake_semantic
from parbake.tasks.gates import Generation
from parbake_llm.ports.generator import Generator
from parbake_semantic.embedder import Embedder
from retail_assistant.faq.compile import compile_faq
from retail_assistant.faq.wording import BankWording
from retail_assistant.knowledge.blocks import Block
from retail_assistant.knowledge.knowledge_tasks import evidence
from retail_assistant.knowledge.retrieval import retrieval
from retail_assistant.knowledge.shop_views import Feedback, Policies, QueryLog

tasks = pb.Registry()


class Answer(msgspec.Struct, frozen=True):
    """A compiled answer: ``text`` has typed slots, ``source`` is the policy that it states (``policy/returns``)."""

    question: str
    text: str
    source: str


def _has_answers(made: Generation) -> str | None:
    """The bank's gate: it rejects a bank without answers, because yesterday's bank is better."""
    (_, bank), *_ = made.values
    return None if bank.answered else "the bank has no answers"


@tasks.model(
    freshness_sla="24h",
    refresh=pb.every("12h"),
    invalidated_by=[
        pb.ignore("policy", "the bank says which section answers a question; faq_answers reads the section's text"),
        pb.ignore("faq", "a withdrawn answer is withheld by faq_answers, whatever the bank matches"),
    ],
    fallback_if_stale=pb.ServeStale(within="48h"),
    owner="support",
    gates=pb.Gates(quality=_has_answers),
    why="Which questions recur, and in which wordings, changes slowly",
)
def faq_bank(
    *,
    log: pb.Source[QueryLog],
    feedback: pb.Source[Feedback],
    policies: pb.Source[Policies],
    embedder: pb.Resource[Embedder],
) -> parbake_semantic.BankSnapshot:
    """The 50 most frequent questions of the query log with their wordings, and the required certainty of a match."""
    return compile_faq(log.wordings(), feedback.explorations(), policies.all(), embedder)


def _sections(*, bank: parbake_semantic.BankSnapshot = pb.Model(faq_bank)) -> Sequence[str]:
    return bank.answered


@tasks.artifact(
    freshness_sla="24h",
    refresh=pb.every("12h"),
    invalidated_by=[pb.fence("policy"), pb.fence("faq")],
    fallback_if_stale=pb.Use(retrieval),
    owner="support",
    version="2",  # answers of version 1 may contain a model's wording that no gate has accepted
    keys=_sections,
    mode="near-real-time",
    revalidate=True,
    why="Many questions are repeated: compiled ahead from current policies, matched and refined at request time",
)
async def faq_answers(
    section: str,
    *,
    bank: parbake_semantic.BankSnapshot = pb.Model(faq_bank),
    blocks: pb.Reader[str, list[Block]] = pb.Input(evidence),
    feedback: pb.Source[Feedback],
    wording: pb.Resource[BankWording] = pb.GIVEN,
    generator: pb.Resource[Generator] = pb.GIVEN,
) -> Answer | pb.Absent:
    """The answer to one bank question: the present statement of its section, with numbers as slots."""
    if feedback.is_withdrawn(section):
        return pb.Absent("shoppers complained of it")
    policy, _, _ = section.partition("#")
    found = await blocks.get(f"policy/{policy}")
    block = next((b for b in found.value or () if b.id == f"policy/{section}"), None)
    if block is None:
        return pb.Absent("the section is gone")
    question = canonical(bank, section) or block.title
    return Answer(question, await wording.answer(question, block, generator), block.source)


def canonical(snapshot: parbake_semantic.BankSnapshot, answer: str) -> str:
    """The canonical wording of a bank's question; empty if the bank has no such answer."""
    bank = snapshot.bank
    named = zip(bank.owner_of, bank.aliases, strict=True)
    return next((alias for owner, alias in named if bank.answers[owner] == answer), "")
