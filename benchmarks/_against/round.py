"""What one side of :mod:`against` does in a process of its own, in the names of this revision.

``round.py KIND FOLDER HOME``: the kind is one of :data:`KINDS`, the side's code is below the folder, and the home holds
the side's shop. :mod:`speak` says what is written. A side of an earlier revision runs the script of its own tree.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import os
import re
import sqlite3
import sys
import tempfile
import uuid
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import speak

import parbake as pb
from parbake.ports.cloudevents import CloudEvent

ITEMS, KEYS = 50, 200
READS, HITS, CHOSEN, SHOPPERS = 200, 5, 20, 200
KEY = "the-backend-of-this-round"
SHOP = {"RETAIL_SHOPPERS": "1000", "RETAIL_PRODUCTS": "300", "LLM": "extractive"}
SHOP |= {"RETAIL_VOUCHES": "key", "RETAIL_BACKEND_KEY": KEY}
CHAT = "/v1/chat/completions"
QUESTIONS = (
    "How many days do I have to send a book back?",
    "How many days do I have to give back an unread novel?",
    "How many days do I have to return something after delivery?",
    "How many days do I have to bring a parcel back to you?",
    "How long do I have to return something after delivery?",
)
"""Wordings that nobody logged, of a question that the bank answers."""
MESSAGES = (
    "How many days do I have to send a book back?",
    "what is the return window",
    "Who pays when a parcel arrives damaged?",
    "Do you deliver to Japan?",
    "How much is express delivery?",
    "Can I cancel an order?",
    "Is there a fee for gift wrapping?",
    "Recommend me something",
    "I want a manga about robots",
    "I am looking for a fantasy book",
    "What is popular right now?",
    "A mystery novel under 15 euros, please",
    "Which horror books are in stock?",
    "Something for a long train ride, no romance",
    "What promotions do you have?",
    "Where is my order?",
    "What is in my cart?",
    "How many points do I have?",
    "What is the weather like?",
    "Thank you!",
)
tasks = pb.Registry()


@tasks.artifact(
    freshness_sla="24h", invalidated_by=[pb.fence("shelf/{shelf}")], fallback_if_stale=pb.Recompute(), owner="bench"
)
def titles(shelf: str) -> list[str]:
    """Fifty short strings."""
    return [f"{shelf} title {n:03d}" for n in range(ITEMS)]


@contextlib.contextmanager
def small_app() -> Iterator[pb.App]:
    """An app of one artifact over a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield pb.App(tasks, store=f"lmdb://{folder}/store")


def core() -> None:
    """A read, an event that is durable by a touch or by a publication, and a read that computes."""
    with small_app() as app:
        asyncio.run(_core(app))


async def _core(app: pb.App) -> None:
    read_ones, changed_ones = (itertools.cycle(range(first, KEYS, 2)) for first in (0, 1))

    def read(n: int) -> Awaitable[object]:
        return app.serve(titles, f"s{n}")

    def touch(n: int) -> Awaitable[object]:
        return app.touch(f"shelf/s{n}")

    def publish(n: int) -> Awaitable[object]:
        return app.publish(CloudEvent(uuid.uuid4().hex, "bench", "shelf.changed", f"shelf/s{n}"))

    async def compute() -> speak.Times:
        await touch(key := next(changed_ones))
        return await speak.timed([lambda: read(key)])

    for n in range(KEYS):
        await read(n)
    measures = {
        "read": lambda: speak.timed(lambda n=n: read(n) for n in itertools.islice(read_ones, READS)),
        "touch": lambda: speak.timed([lambda: touch(next(changed_ones))]),
        "publish": lambda: speak.timed([lambda: publish(next(changed_ones))]),
        "compute": compute,
    }
    await speak.answer(measures)
    await app.close()


def http() -> None:
    """The server of the small app."""
    from parbake.http import HttpApp, listen, run_http

    with listen("127.0.0.1", 0) as bound, small_app() as app:
        speak.serve_at(bound.getsockname()[1], "/v1/serve/titles", [{"key": f"s{n}"} for n in range(KEYS)])
        run_http(HttpApp(app), bound)


def prepare() -> None:
    """Make the shop in the home."""
    from retail_assistant.main import main as assistant

    assistant(["prepare"])


def inside() -> None:
    """The assistant in this process: a question that the bank answers, and a recommendation."""
    from retail_assistant.compose import served

    asyncio.run(_inside(served()))


async def _inside(assistant: Any) -> None:
    from retail_assistant.recs.recs_tasks import recommendations

    async with assistant.lifespan():
        known = [question for question in QUESTIONS if (await _asked(assistant, question))["parbake"]["faq"]]
        if not known:
            raise SystemExit("the bank answers no question: nothing to measure")
        questions, people = itertools.cycle(known), itertools.cycle(_shoppers())

        def hits() -> Awaitable[speak.Times]:
            asked = itertools.islice(questions, HITS)
            return speak.timed(lambda q=q: _asked(assistant, q) for q in asked)

        def recommended() -> Awaitable[speak.Times]:
            chosen, serve = itertools.islice(people, CHOSEN), assistant.app.serve
            return speak.timed(lambda p=p: serve(recommendations, p, shopper=p) for p in chosen)

        await speak.answer({"faq_hit": hits, "recommendation": recommended})


async def _asked(assistant: Any, question: str) -> Any:
    """Ask as a server does, without a socket."""
    raw = json.dumps({"messages": [{"role": "user", "content": question}]}).encode()
    names = {"host": "localhost", "content-type": "application/json", "content-length": str(len(raw))}
    headers = [(name.encode(), value.encode()) for name, value in names.items()]
    scope = {"type": "http", "method": "POST", "path": CHAT, "query_string": b"", "headers": headers}
    coming = [{"type": "http.request", "body": raw}]
    sent: list[Any] = []

    async def receive() -> Any:
        return coming.pop() if coming else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await assistant(scope, receive, send)
    return json.loads(sent[-1]["body"])


def demo() -> None:
    """The demo with its worker."""
    from retail_assistant.main import main as assistant

    with contextlib.redirect_stdout(Ready()):
        assistant(["demo", "--port", "0"])


class Ready(io.TextIOBase):
    """Takes what the demo prints, and says where it serves."""

    def write(self, text: str) -> int:
        """Wait for the address."""
        if found := re.search(r"ready in .*:(\d+)", text):
            one = {"user": _shoppers()[0]}
            asked = [{"messages": [{"role": "user", "content": m}], **one} for m in MESSAGES]
            speak.serve_at(int(found[1]), CHAT, asked, KEY)
        return len(text)


def _shoppers() -> list[str]:
    with contextlib.closing(sqlite3.connect(Path(os.environ["RETAIL_HOME"], "shop.db"))) as conn:
        return [row[0] for row in conn.execute("SELECT id FROM shoppers ORDER BY id LIMIT ?", (SHOPPERS,))]


KINDS = {"core": core, "http": http, "prepare": prepare, "inside": inside, "demo": demo}
ASSISTANT = ("prepare", "inside", "demo")


def main() -> None:
    """Run one kind."""
    kind, folder, home = sys.argv[1:]
    os.environ.update(SHOP, RETAIL_HOME=home)
    speak.check_own(folder, pb)
    if kind in ASSISTANT:
        import parbake_semantic
        import retail_assistant
        from parbake_semantic.embedders.minilm import MiniLm

        speak.check_own(folder, parbake_semantic, retail_assistant)
        if kind != "prepare":
            speak.remember(MiniLm)
    KINDS[kind]()


if __name__ == "__main__":
    main()
