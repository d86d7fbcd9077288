"""The composition root: which tasks, which store, which shop, which clients."""

from __future__ import annotations

import ctypes
import gc
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import parbake as pb
from parbake.adapters.log import LogSink
from parbake.adapters.sqlite import SqliteSource
from parbake.adapters.webhook import WebhookSink
from parbake.http import HttpApp
from parbake.ports.alerts import AlertSink
from parbake.ports.clock import Clock as ClockPort
from parbake_console import Console
from parbake_llm import Prompts
from parbake_llm.generators.anthropic import AnthropicGenerator
from parbake_llm.generators.bedrock import BedrockGenerator
from parbake_llm.generators.chain import chain
from parbake_llm.generators.extractive import Extractive
from parbake_llm.generators.llama import LlamaGenerator
from parbake_llm.generators.openai import OpenAIGenerator
from parbake_llm.ports.generator import Generator
from parbake_planner import Ledger, Planner
from parbake_semantic.embedder import Embedder
from retail_assistant import live_tasks
from retail_assistant.answers import guardrails, lists
from retail_assistant.answers.desk import AnswerDesk
from retail_assistant.answers.policy import gate
from retail_assistant.chat import intent
from retail_assistant.chat.flow import Assistant, ModelUse
from retail_assistant.chat.rehearsal import rehearse
from retail_assistant.chat.release import Release
from retail_assistant.chat.spoken import talk
from retail_assistant.chat.tools import Toolbox
from retail_assistant.chat.understanding import Understanding
from retail_assistant.faq import faq_tasks as faq
from retail_assistant.faq import match as faq_match
from retail_assistant.faq import wording as faq_wording
from retail_assistant.http import routes
from retail_assistant.http.identity import Identity
from retail_assistant.http.limits import Limits
from retail_assistant.knowledge import embedding, product_search, retrieval
from retail_assistant.knowledge import knowledge_tasks as knowledge
from retail_assistant.knowledge.product_index import IndexFollower, ProductIndex
from retail_assistant.knowledge.shop_views import VIEWS
from retail_assistant.live import LiveShop
from retail_assistant.model import generation, profile
from retail_assistant.model import prefix as model_prefix
from retail_assistant.recs import reasons
from retail_assistant.recs import recs_tasks as recs
from retail_assistant.recs.shelf import LiveShelf
from retail_assistant.recs.taste_view import History
from retail_assistant.settings import CALL_TOOLS, ModelTime, Settings, from_environment
from retail_assistant.shop import captured, queries, schema
from retail_assistant.shop.connections import PerThread, writers
from retail_assistant.shop.retention import Privacy
from retail_assistant.shop.schema import connect
from retail_assistant.understand.names import lexicon
from retail_assistant.understand.plain_words import bare
from retail_assistant.vouching import operators_key

FAMILIES = ("policy", "product", "promotion", "user", "reviews", "faq")
ALL = recs.tasks.merge(
    knowledge.tasks,
    embedding.tasks,
    intent.tasks,
    talk.tasks,
    retrieval.tasks,
    product_search.tasks,
    faq.tasks,
    faq_match.tasks,
    generation.tasks,
    model_prefix.tasks,
    profile.tasks,
    guardrails.tasks,
    live_tasks.tasks,
    lexicon.tasks,
    gate.tasks,
    lists.tasks,
    reasons.tasks,
)

MADE_WHILE_SERVED = (knowledge.product_embeddings, knowledge.review_summaries, talk.talk_head)
"""What the shop is served without at its first start: a worker makes it meanwhile.

Until then products are found by their words and not by what they mean, a summary of reviews is made for the first who
asks for it, and of what a model says only a list of words passes as talk.
"""
H = TypeVar("H", OpenAIGenerator, AnthropicGenerator, BedrockGenerator)
OF_SHOPPERS = ("/v1/serve/{task}", "/v1/feedback")
"""Routes that tell, or change, what belongs to single shoppers; they have no shopper who asks."""


class Clock:
    """Wall time."""

    now = staticmethod(time.time)


def build(
    settings: Settings,
    *,
    clock: ClockPort | None = None,
    embedder_threads: int = 1,
    answer_gate: faq_wording.AnswerGate | None = None,
) -> pb.App:
    """Compose the app over one data folder; nothing is opened yet.

    Args:
        settings: The folder of the shop, and the services that it uses.
        clock: The source of the time; wall time by default.
        embedder_threads: How many threads the embedder computes with.
        answer_gate: Accepts or rejects a model's wordings of the bank's answers. Without one each answer is the text of
            its policy section, and no model is asked, whatever ``LLM`` is.
    """
    shop = settings.data / "shop.db"
    meta = shop_meta(shop)
    wall = clock or Clock()
    resources: dict[Any, Any] = {
        Embedder: pb.Lazy(lambda: settings.embedder(threads=embedder_threads)),
        Generator: pb.Lazy(lambda: generator(settings)),
        faq_wording.BankWording: faq_wording.BankWording(answer_gate),
        LiveShop: LiveShop(shop),
        LiveShelf: LiveShelf(shop),
        PerThread: writers(shop),
        ProductIndex: ProductIndex(),
        knowledge.WallClock: knowledge.WallClock(wall),
        ModelTime: settings.time,
    }
    alerts: list[AlertSink] = [LogSink()]
    if settings.webhook:
        alerts.append(WebhookSink(settings.webhook, queue=settings.data / "alerts.db"))
    ledger = Ledger(settings.data / "ledger.db", book=settings.book)
    return pb.App(
        ALL,
        store=settings.store_url,
        sources=[
            SqliteSource(
                shop, families=FAMILIES, views=(*VIEWS, History, profile.Purchases), uncaptured=captured.UNCAPTURED
            )
        ],
        open=["session"],  # the page itself reports it when a shopper arrives
        resources=resources,
        clock=wall,
        # What the others keep about a shopper was made of what the first one erases.
        plugins=[Privacy(shop, bare), ledger, Planner(), Prompts(), Console()],
        alerts=alerts,
        off=json.loads(meta.get("off", "{}")),
        # Every change of the shop is one transaction with its outbox row, so that each can be replayed.
        durability=pb.Durability(journal=settings.data / "rollbacks.jsonl", replayable=True),
    )


def shop_meta(path: Path) -> dict[str, str]:
    """The shop file's metadata, such as its seed and sizes; empty if there is no file yet."""
    if not path.is_file():
        return {}
    conn = connect(path)
    try:
        schema.complete(conn)
        captured.put_right(conn)
        return queries.get_meta(conn)
    finally:
        conn.close()


def generator(settings: Settings) -> Generator:
    """The generator that ``LLM`` names, or a chain of several."""
    available: dict[str, Callable[[], Generator]] = {
        "extractive": Extractive,
        "llama": lambda: LlamaGenerator(prefixes=settings.data / "prefixes"),
        "openai": lambda: _by_model(OpenAIGenerator.from_environment()),
        "anthropic": lambda: _by_model(AnthropicGenerator.from_environment()),
        "bedrock": lambda: _by_model(BedrockGenerator.from_environment()),
    }
    if len(settings.generators) > 1:
        return chain(settings.llm, available)
    return available[settings.llm]()


def _by_model(hosted: H) -> H:
    """The same generator under a name with its model, such as ``openai:gpt-5.6-terra``, by which a book prices it."""
    return hosted.named(f"{hosted.name}:{hosted.model}")


def model_use(settings: Settings) -> ModelUse:
    """What the generators of ``LLM`` do: nothing, word answers, or look things up with tools."""
    if any(name in CALL_TOOLS for name in settings.generators):
        return "tools"
    return "none" if settings.llm == "extractive" else "wording"


def check(settings: Settings) -> None:
    """Raise :class:`~parbake.errors.ProviderError` early if the chosen generator lacks something, and name it."""
    if any(name in CALL_TOOLS for name in settings.generators):
        generator(settings)


def http_app(
    settings: Settings,
    *,
    clock: ClockPort | None = None,
    answer_gate: faq_wording.AnswerGate | None = None,
    beside: Sequence[Callable[[pb.App], Awaitable[None]]] = (),
    hosts: Sequence[str] = (),
) -> HttpApp:
    """Put the assistant behind HTTP.

    Args:
        settings: See :func:`build`.
        clock: See :func:`build`.
        answer_gate: See :func:`build`.
        beside: Functions that run as long as the server does; each is called with the app.
        hosts: See :class:`parbake.HttpApp`.
    """
    check(settings)
    app = build(settings, clock=clock, answer_gate=answer_gate)
    shop: LiveShop = app.settings.resources[LiveShop]
    understanding = Understanding(app, shop)
    assistant = Assistant(app, shop, app.settings.resources[PerThread], understanding, model=model_use(settings))
    if privacy := app.plugins.settings(Privacy):
        privacy.places.append(assistant.sessions)
    vouching = settings.vouching.kept_in(settings.data)
    identity = Identity(vouching, Limits(settings.rates))
    follower = IndexFollower(app, knowledge.product_embeddings, app.settings.resources[ProductIndex])
    served = HttpApp(
        app,
        routes.all_routes(app, assistant, understanding, settings.complaints, identity),
        error_members=routes.error_members,
        beside=[follower.run, understanding.run, *(partial(start, app) for start in beside)],
        warm=[
            follower.step,
            understanding.warm,
            partial(rehearse, app, assistant, may_generate=model_use(settings) != "tools"),
            settle,
        ],
        hosts=hosts,
        token=operators_key(settings.data),
    )
    served.reserve(*OF_SHOPPERS)
    return served


async def settle() -> None:
    """Return the memory that loading has used to the system, and leave what is loaded out of garbage collections."""
    gc.collect()
    gc.freeze()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc alone has it
        trim(0)


def toolbox(app: pb.App) -> Toolbox:
    """The assistant's look-ups for a model that calls tools, over an app from :func:`build`."""
    shop: LiveShop = app.settings.resources[LiveShop]
    return Toolbox(AnswerDesk(app, shop), Release(app), Understanding(app, shop))


def worked() -> pb.App:
    """The app without the routes and their keys, for a worker: ``parbake worker retail_assistant.compose:worked``."""
    return build(from_environment())


def served() -> HttpApp:
    """The assistant as the environment configures it: ``parbake serve retail_assistant.compose:served``."""
    return http_app(from_environment())
