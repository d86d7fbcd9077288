"""The FAQ tasks: the bank as a model, the answers as artifacts fenced by the policies they were read from."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

import parbake as pb
from retail_assistant.chat.retrieval import retrieval
from retail_assistant.faq.compile import Bank, compile_faq
from retail_assistant.knowledge.blocks import Block
from retail_assistant.knowledge.tasks import evidence
from retail_assistant.knowledge.views import Policies, QueryLog

tasks = pb.Registry()


class Answer(msgspec.Struct, frozen=True):
    """A compiled answer: ``text`` holds typed slots, ``source`` is the policy it states (``policy/returns``)."""

    question: str
    text: str
    source: str


@tasks.model(
    freshness_sla="24h",
    refresh=pb.every("12h"),
    invalidated_by=[],
    fallback_if_stale=pb.ServeStale(within="48h"),
    owner="support",
    why="Which questions recur, and in which wordings, changes slowly",
)
def faq_bank(*, log: pb.Source[QueryLog], policies: pb.Source[Policies], embedder: pb.Resource[pb.Embedder]) -> Bank:
    """The top 50 questions of the query log with their wordings."""
    return compile_faq(log.wordings(), policies.all(), embedder)


def _sections(*, bank: Bank = pb.Model(faq_bank)) -> Sequence[str]:
    return list(bank.canonical)


@tasks.artifact(
    freshness_sla="24h",
    refresh=pb.every("12h"),
    invalidated_by=[pb.fence("policy")],
    fallback_if_stale=pb.Use(retrieval),
    owner="support",
    keys=_sections,
    mode="near-real-time",
    why="Many questions are repeated: compiled ahead from current policies, matched and refined at request time",
)
async def faq_answers(
    section: str,
    *,
    bank: Bank = pb.Model(faq_bank),
    blocks: pb.Reader[str, list[Block]] = pb.Input(evidence),
) -> Answer | pb.Absent:
    """The answer of one bank question: the section's statements as they stand now, numbers as slots."""
    policy, _, _ = section.partition("#")
    found = await blocks.get(f"policy/{policy}")
    block = next((b for b in found.value or () if b.id == f"policy/{section}"), None)
    if block is None:
        return pb.Absent("the section is gone")
    return Answer(bank.canonical.get(section, block.title), block.text, block.source)
