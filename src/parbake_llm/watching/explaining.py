"""What a prefix looks like to a provider: its blocks, its breakpoints, and what a cache should read of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from parbake.errors import BadInput
from parbake.ports.usage import Usage
from parbake_llm.ports.prompts import Block, Prompt, Tool, Ttl
from parbake_llm.prefix_caches.block_cache import BlockCache
from parbake_llm.prefix_caches.pieces import pieces
from parbake_llm.prefix_caches.provider_cache import provider_cache
from parbake_llm.writing.lint import explained, lint
from parbake_llm.writing.placement import CHARACTERS_A_TOKEN, CacheRules, estimated_tokens, placed
from parbake_llm.writing.render import parts


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Conversations at the same time, for which the reads of a cache are predicted; sizes in tokens.

    Attributes:
        conversations: How many run at once.
        turns: How many turns each has.
        gap_s: The seconds between two turns of one conversation.
        question: The size of a question.
        evidence: The size of what is looked up for a question.
        reply: The size of a reply.
    """

    conversations: int = 8
    turns: int = 6
    gap_s: float = 30.0
    question: int = 40
    evidence: int = 150
    reply: int = 60

    def __post_init__(self) -> None:
        """Check the numbers; raises :class:`BadInput` that names the field."""
        for name in ("conversations", "turns"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name}={getattr(self, name)} must be at least 1", field=name)
        for name in ("gap_s", "question", "evidence", "reply"):
            if not getattr(self, name) >= 0:
                raise BadInput(f"{name}={getattr(self, name)} must not be negative", field=name)


TYPICAL = Traffic()


class PartRow(msgspec.Struct, frozen=True):
    """One part of a prompt: its size in estimated tokens, and the life of the breakpoint after it, if there is one."""

    name: str
    volatility: str
    version: str
    tokens: int
    breakpoint: Ttl | None = None


class Expected(msgspec.Struct, frozen=True):
    """The tokens of some traffic, as a cache should bill them; ``read_share`` of the input tokens are read (0 to 1)."""

    usage: Usage
    requests: int
    read_share: float


class PrefixExplanation(msgspec.Struct, frozen=True):
    """A prefix at one provider: its parts, what breaks its caching, and the expected tokens.

    ``naive`` has the expected tokens of the order that many programs use: what was looked up for the question stands in
    the system message, in front of everything that stays the same.
    """

    parts: tuple[PartRow, ...]
    findings: tuple[str, ...]
    expected: Expected
    naive: Expected


def explain(
    blocks: Sequence[Block], rules: CacheRules, *, tools: Sequence[Tool] = (), traffic: Traffic = TYPICAL
) -> PrefixExplanation:
    """Explain a prefix for one provider.

    Args:
        blocks: The blocks of the prefix.
        rules: How the provider caches.
        tools: The tools that go with it.
        traffic: The conversations to predict for.
    """
    prompt = placed(Prompt(tools=tuple(tools), blocks=tuple(blocks)), rules)
    ttls: dict[str, Ttl] = {one.after: one.ttl for one in prompt.breakpoints or ()}
    rows = tuple(
        PartRow(part.name, part.volatility, part.version, estimated_tokens(part.text), ttls.get(part.name))
        for part in parts(prompt)
    )
    findings = tuple(explained(finding) for finding in lint(prompt, rules))
    return PrefixExplanation(
        rows,
        findings,
        _replayed(prompt, rules, traffic, is_naive=False),
        _replayed(prompt, rules, traffic, is_naive=True),
    )


def uncached(expected: Expected) -> Expected:
    """The same tokens as a provider without a cache bills them."""
    usage = Usage(uncached=expected.usage.input, output=expected.usage.output)
    return Expected(usage, expected.requests, 0.0)


def _replayed(prompt: Prompt, rules: CacheRules, traffic: Traffic, *, is_naive: bool) -> Expected:
    cache = BlockCache(1) if rules.mechanism == "slots" else provider_cache(rules)
    total, count = Usage(uncached=0, output=0), 0
    for at, request in _requests(prompt, traffic, is_naive=is_naive):
        sent = pieces(placed(request, rules))
        found = cache.predict(request.session, sent, now=at) if cache is not None else None
        if cache is None or found is None:
            usage = Usage(uncached=sum(piece.tokens for piece in sent))
        else:
            cache.sent(request.session, sent, now=at)
            usage = Usage(
                uncached=found.uncached,
                cache_read=found.read,
                cache_write=found.write,
                cache_write_hour=found.write_hour,
            )
        total += msgspec.structs.replace(usage, output=traffic.reply)
        count += 1
    return Expected(total, count, (total.cache_read or 0) / total.input if total.input else 0.0)


def _requests(prompt: Prompt, traffic: Traffic, *, is_naive: bool) -> Iterator[tuple[float, Prompt]]:
    """The requests of the traffic in order of time, each with its second."""
    for turn in range(traffic.turns):
        for number in range(traffic.conversations):
            name = f"conversation {number}"
            at = turn * traffic.gap_s + number * traffic.gap_s / traffic.conversations
            history = tuple(
                (role, _text(f"{name}, {role} {earlier}", size))
                for earlier in range(turn)
                for role, size in (("user", traffic.question), ("assistant", traffic.reply))
            )
            evidence = _text(f"{name}, evidence {turn}", traffic.evidence)
            question = _text(f"{name}, question {turn}", traffic.question)
            request = msgspec.structs.replace(
                prompt, breakpoints=None, turns=history, question=question, session=name,
                evidence=() if is_naive else (evidence,),
                blocks=(Block("evidence", evidence), *prompt.blocks) if is_naive else prompt.blocks,
            )  # fmt: skip
            yield at, request


def _text(begin: str, tokens: int) -> str:
    return begin.ljust(tokens * CHARACTERS_A_TOKEN, ".")[: tokens * CHARACTERS_A_TOKEN]
