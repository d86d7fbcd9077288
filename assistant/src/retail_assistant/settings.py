"""Settings, from the environment only; secrets are never printed."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import parbake as pb
from parbake_planner import CostBook, Ledger
from parbake_semantic.embedders.minilm import MiniLm
from retail_assistant.shop.complaints import Rules
from retail_assistant.vouching import Rates, Vouching, vouching

GENERATORS = ("extractive", "llama", "openai", "anthropic", "bedrock")
CALL_TOOLS = ("openai", "anthropic", "bedrock")
"""The generators that look things up themselves."""
ENCODERS = ("int8", "float32")
MOST_S = 3600
"""The longest time, in seconds, that a reply may be given."""
SHIPPED_BOOK = Path(__file__).with_name("prices.json")
"""The prices that ``BOOK=example`` uses."""


@dataclass(frozen=True)
class ModelTime:
    """How long a reply may take, and one request to a model that looks things up: then the rules finish the reply."""

    reply_s: float = 30.0
    request_s: float = 8.0


@dataclass(frozen=True)
class Settings:
    """``data`` is the folder of the shop and the ledger, and of the store unless ``store`` is the URL of another.

    ``llm`` names the generators in the order in which they are tried. ``complaints`` says when complaints withdraw an
    answer from everybody. ``vouching`` says who vouches for shoppers, and ``rates`` how often they may act. ``time`` is
    what a reply and a model may take, and ``book`` has the prices of replies. The URL is never printed, because it may
    contain a password.
    """

    data: Path
    llm: str = "extractive"
    seed: int = 7
    shoppers: int = 10_000
    products: int = 2_000
    webhook: str = ""
    store: str = field(default="", repr=False)
    complaints: Rules = field(default_factory=Rules)
    encoder: str = "int8"
    vouching: Vouching = field(default_factory=Vouching)
    rates: Rates = field(default_factory=Rates)
    time: ModelTime = field(default_factory=ModelTime)
    book: CostBook | None = None

    def embedder(self, *, threads: int) -> MiniLm:
        """Create the embedder; ``encoder`` selects how it computes its matrix products."""
        return MiniLm(threads=threads, int8=self.encoder == "int8")

    @property
    def generators(self) -> tuple[str, ...]:
        """The generators in the order in which they are tried."""
        return tuple(self.llm.split(" -> "))

    @property
    def store_url(self) -> str:
        """The URL of the store."""
        return self.store or f"lmdb://{(self.data / 'store').resolve()}"


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Read ``STORE``, ``LLM``, ``BOOK``, ``ENCODER``, ``ALERT_WEBHOOK`` and the shop's own variables.

    These are ``RETAIL_HOME``, ``_SEED``, ``_SHOPPERS``, ``_PRODUCTS``, ``_COMPLAINTS_STRANGERS``,
    ``_COMPLAINTS_ANSWERS``, ``_CLIENT_RATE``, ``_SHOPPER_RATE``, ``_REPLY_S``, ``_MODEL_S``, and those of
    :func:`~retail_assistant.vouching.vouching`. Raises :class:`parbake.BadInput` that names the invalid variable.
    """
    env = os.environ if environment is None else environment
    return Settings(
        Path(env.get("RETAIL_HOME") or "data"),
        _chain(env),
        _whole(env, "RETAIL_SEED", 7, least=0),
        _whole(env, "RETAIL_SHOPPERS", 10_000, least=10),
        _whole(env, "RETAIL_PRODUCTS", 2_000, least=20),
        env.get("ALERT_WEBHOOK", ""),
        env.get("STORE", ""),
        Rules(
            _whole(env, "RETAIL_COMPLAINTS_STRANGERS", Rules().strangers, least=1),
            _whole(env, "RETAIL_COMPLAINTS_ANSWERS", Rules().answers_a_day, least=0),
        ),
        _one_of(env, "ENCODER", ENCODERS),
        vouching(env),
        Rates(_rate(env, "RETAIL_CLIENT_RATE", Rates().client), _rate(env, "RETAIL_SHOPPER_RATE", Rates().shopper)),
        ModelTime(
            *(_seconds(env, name, default) for name, default in (("RETAIL_REPLY_S", 30.0), ("RETAIL_MODEL_S", 8.0)))
        ),
        _book(env.get("BOOK") or ""),
    )


def _book(chosen: str) -> CostBook | None:
    """``BOOK``: a file of prices, or ``example`` for those that ship; empty for the price of CPU time alone."""
    path = SHIPPED_BOOK if chosen == "example" else chosen
    try:
        return Ledger("ledger.db", book=path).book if chosen else None
    except pb.BadInput as error:
        said = str(error).removeprefix(f"--prices {path}: ").removeprefix(f"--book {path}: ")
        raise pb.BadInput(
            f"BOOK={chosen}: {said}; name a file of prices in the form of {SHIPPED_BOOK}, or set BOOK=example",
            field="BOOK",
        ) from error


def _chain(env: Mapping[str, str]) -> str:
    """``LLM``: one generator, or several in the order in which they are tried, such as ``anthropic -> llama``."""
    line = env.get("LLM") or GENERATORS[0]
    names = [name.strip() for name in line.split("->")]
    wrong = next((name for name in names if name not in GENERATORS), None)
    if wrong is not None or len(set(names)) < len(names):
        raise pb.BadInput(
            f"LLM={line[:80]!r}: choose one of {', '.join(GENERATORS)}, or several of them in order, such as "
            "'anthropic -> llama -> extractive'",
            field="LLM",
        )
    return " -> ".join(names)


def _one_of(env: Mapping[str, str], name: str, choices: Sequence[str]) -> str:
    chosen = env.get(name) or choices[0]
    if chosen not in choices:
        raise pb.BadInput(f"{name}={chosen!r}: choose one of {', '.join(choices)}", field=name)
    return chosen


def _rate(env: Mapping[str, str], name: str, default: float) -> float:
    try:
        found = float(env.get(name) or default)
    except ValueError:
        found = -1.0
    if not 0 <= found < math.inf:
        raise pb.BadInput(f"{name}={env[name]!r}: a number of requests a second, or 0 for no limit", field=name)
    return found


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    try:
        found = float(env.get(name) or default)
    except ValueError:
        found = 0.0
    if not 0 < found <= MOST_S:
        raise pb.BadInput(f"{name}={env[name]!r}: a number of seconds up to {MOST_S}", field=name)
    return found


def _whole(env: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = env.get(name) or str(default)
    if not text.isdecimal() or int(text) < least:
        raise pb.BadInput(f"{name}={text!r}: a whole number of at least {least}", field=name)
    return int(text)
