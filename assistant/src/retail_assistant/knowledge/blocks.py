"""Evidence blocks: grounded statements of a policy section or a product, with typed slots for live values."""

from __future__ import annotations

import msgspec

import parbake_semantic.guard
from parbake_semantic.embedder import Embedder
from retail_assistant.shop.policies import Policy, Section, render_policy
from retail_assistant.shop.queries import Product


class Block(msgspec.Struct, frozen=True):
    """One statement that replies may quote.

    ``source`` is the entity that it states (``policy/returns``); ``text`` has slots, ``plain`` the facts at the time of
    computation, for matching; ``vector`` is the float32 unit vector of title and plain text (empty for products), and
    ``parts`` those of its sentences.
    """

    id: str
    source: str
    title: str
    text: str
    plain: str
    vector: bytes = b""
    parts: tuple[bytes, ...] = ()


def policy_blocks(policy: Policy, embedder: Embedder) -> list[Block]:
    """One block a section; sentences that instruct an agent rather than inform a customer are left out."""
    slotted = {s.id: s.text for s in customer_sections(policy, slots=True)}
    plain = {s.id: (s.title, s.text) for s in customer_sections(policy)}
    kept = [i for i in slotted if i in plain]
    whole = embedder.embed([f"{policy.title} - {plain[i][0]}: {plain[i][1]}" for i in kept])
    source = f"policy/{policy.id}"
    return [
        Block(f"{source}#{i}", source, plain[i][0], slotted[i], plain[i][1], vector.tobytes(),
              _sentence_vectors(*plain[i], embedder))
        for i, vector in zip(kept, whole, strict=True)
    ]  # fmt: skip


def _sentence_vectors(title: str, text: str, embedder: Embedder) -> tuple[bytes, ...]:
    return tuple(
        v.tobytes() for v in embedder.embed([f"{title}: {one}" for one in parbake_semantic.guard.sentences(text)])
    )


def customer_sections(policy: Policy, *, slots: bool = False) -> list[Section]:
    """The sections of a policy, reduced to sentences for customers; sections without such a sentence are left out."""
    for_agents = parbake_semantic.guard.is_for_agents(policy.body)
    sections = [
        Section(s.id, s.title, parbake_semantic.guard.strip_instructions(s.text, on_agent_page=for_agents))
        for s in render_policy(policy, slots=slots)
    ]
    return [section for section in sections if section.text]


def product_blocks(product: Product) -> list[Block]:
    """Describe a product, with slots for its price and its stock."""
    source = f"product/{product.asin}"
    by = f" by {product.author}" if product.author else ""
    kind = ", ".join(filter(None, (product.genre, product.format)))
    what = f"{product.title}{by}{f' ({kind})' if kind else ''}."
    description = parbake_semantic.guard.strip_instructions(product.description)
    live = f"It costs {{{{price:{product.asin}}}}} and is {{{{stock:{product.asin}}}}}."
    return [
        Block(
            f"{source}#what", source, product.title, f"{what} {description}".strip(), f"{what} {description}".strip()
        ),
        Block(f"{source}#live", source, product.title, live, ""),
    ]


def product_text(product: Product) -> str:
    """The text from which a product's embedding is computed."""
    return f"{product.title}. {product.genre}. {product.description}"
