"""Where the cached prefix of a prompt ends, for each provider's rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import msgspec

from parbake.errors import BadInput
from parbake_llm.ports.prompts import TOOLS, TTL_S, Breakpoint, Prompt, Ttl, everybodys
from parbake_llm.writing.render import PromptPart, parts

Mechanism = Literal["none", "breakpoints", "automatic", "slots"]
CHARACTERS_A_TOKEN = 4
"""An estimate for English prose. It decides only whether a prefix is long enough to be marked."""


class CacheRules(msgspec.Struct, frozen=True, kw_only=True):
    """How the prefix cache of one provider's model works. All of it is configuration: providers change it.

    Attributes:
        mechanism: ``breakpoints`` (the request marks them), ``automatic`` (the provider matches whole granules from the
            start), ``slots`` (an engine of one's own, to the token), or ``none``.
        minimum: The least number of tokens of a prefix that is cached.
        granule: The provider matches multiples of so many tokens.
        most: How many breakpoints a request may have.
        lookback: How many content blocks before a breakpoint the provider looks for an earlier prefix.
        ttls: How long a prefix may be asked to live, shortest first.
    """

    mechanism: Mechanism = "none"
    minimum: int = 0
    granule: int = 1
    most: int = 4
    lookback: int = 20
    ttls: tuple[Ttl, ...] = ("5m",)

    def __post_init__(self) -> None:
        """Check the settings; raises :class:`BadInput` that names the field."""
        if self.mechanism not in get_args(Mechanism):
            raise BadInput(f"mechanism must be one of {', '.join(get_args(Mechanism))}", field="mechanism")
        if not self.ttls or any(ttl not in TTL_S for ttl in self.ttls):
            raise BadInput(f"ttls={self.ttls!r} must name one or more of {', '.join(TTL_S)}", field="ttls")
        for name, least in (("minimum", 0), ("granule", 1), ("most", 0), ("lookback", 0)):
            if getattr(self, name) < least:
                raise BadInput(f"{name}={getattr(self, name)} must be at least {least}", field=name)


class CachePlace(msgspec.Struct, frozen=True):
    """A cache: that of one provider for one model. ``generator`` is the name by which its tokens are priced."""

    provider: str
    model: str
    generator: str = ""


NO_CACHE = CacheRules()


def estimated_tokens(text: str) -> int:
    """Estimate the number of tokens of a text."""
    return -(-len(text) // CHARACTERS_A_TOKEN)


def placed(prompt: Prompt, rules: CacheRules, tokens: Callable[[str], int] = estimated_tokens) -> Prompt:
    """Return the prompt with breakpoints, unless it has them already.

    A breakpoint stands after the last part of each volatility: what changes together is cached together. It is left out
    where the prefix is shorter than the provider's minimum. What everybody shares is asked to live longest, and stands
    first, as providers demand.

    Args:
        prompt: The prompt.
        rules: How the provider caches.
        tokens: Counts the tokens of a text.
    """
    if prompt.breakpoints is not None:
        return prompt
    if rules.mechanism != "breakpoints":
        return msgspec.structs.replace(prompt, breakpoints=())
    shared = {TOOLS, *(block.name for block in everybodys(prompt.blocks))}
    found, total = [], 0
    stable = [part for part in parts(prompt) if part.volatility != "request"]
    for part, following in zip(stable, [*stable[1:], None], strict=False):
        total += tokens(part.text)
        is_last_of_kind = following is None or following.volatility != part.volatility
        if is_last_of_kind and not _moves_with(part, following) and total >= rules.minimum:
            found.append(Breakpoint(part.name, rules.ttls[-1] if part.name in shared else rules.ttls[0]))
    return msgspec.structs.replace(prompt, breakpoints=tuple(found[-rules.most :]) if rules.most else ())


def cut_at(prompt: Prompt, end: Breakpoint) -> Prompt | None:
    """The shortest prompt that reads a cached prefix again, and so keeps it from lapsing.

    Args:
        prompt: A prompt that was sent.
        end: One of its breakpoints.

    Returns:
        The prompt; ``None`` if the prefix holds what belongs to one user, which is sent only for that user.
    """
    names = [block.name for block in prompt.blocks]
    if end.after not in (TOOLS, *names):
        return None
    blocks = prompt.blocks[: names.index(end.after) + 1] if end.after in names else ()
    if blocks != everybodys(blocks):
        return None
    return Prompt(tools=prompt.tools, blocks=blocks, question=".", breakpoints=(end,), prefix=prompt.prefix)


def _moves_with(part: PromptPart, following: PromptPart | None) -> bool:
    """Whether a part is cached with the next one: rules change so seldom that the policies' breakpoint covers them."""
    return part.volatility == "rules" and following is not None and following.volatility == "policy"
