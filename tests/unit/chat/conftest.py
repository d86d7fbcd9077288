"""A small shop with every task materialized once, and the assistant over a copy of it for each test."""

import asyncio
import shutil

import httpx
import msgspec
import pytest
from tests.unit.chat.scripted import Model

from parbake.testing import FakeClock
from parbake_semantic.embedder import Embedder
from retail_assistant import compose
from retail_assistant.live import LiveShop
from retail_assistant.settings import Settings
from retail_assistant.shop import schema
from retail_assistant.understand.names.vocabulary import Vocabulary
from retail_assistant.vouching import OF_SERVER
from retail_assistant.world import generate

NOW = 1_790_000_000.0
CHAT = "/v1/chat/completions"


async def prepare(folder, embedder):
    """Materialize every task once."""
    app = compose.build(Settings(folder), clock=FakeClock(NOW))
    app.settings.resources[Embedder] = embedder
    await app.drain()
    await app.ops.run_due(only_missing=True)
    await app.close()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, embedder):
    """Return the folder of a small prepared shop, which no test writes to."""
    folder = tmp_path_factory.mktemp("chat")
    generate(folder / "shop.db", seed=7, now=NOW, products=60, shoppers=60, messages=3000)
    asyncio.run(prepare(folder, embedder))
    return folder


class Desk:
    """The assistant over HTTP in this process, with its shop; the client has the key that acts for any shopper."""

    def __init__(self, folder, http):
        self.folder = folder
        self.http = http
        self.key = (folder / "operators.key").read_text()
        self.client = self.visitor(self.key)
        self.conn = schema.connect(folder / "shop.db")
        self.shop = LiveShop(folder / "shop.db")

    def visitor(self, bearer=""):
        """Return a client with a session or a key, or with neither."""
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        transport = httpx.ASGITransport(self.http)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)

    async def session(self, shopper):
        """Return a session of a shopper, which the shop's backend asks for with its key."""
        answer = await self.client.post("/shop/sessions", json={"shopper": shopper})
        assert answer.status_code == 202, answer.text
        return answer.json()["session"]

    async def ask(self, message, **members):
        """Return a reply's text and its details."""
        history = members.pop("history", [])
        body = {"messages": [*history, {"role": "user", "content": message}], **members}
        answer = await self.client.post(CHAT, json=body)
        assert answer.status_code == 200, answer.text
        document = answer.json()
        return document["choices"][0]["message"]["content"], document["parbake"]

    async def talk(self, *messages, **members):
        """Hold a conversation; return each reply's text and its details."""
        history, replies = [], []
        for message in messages:
            text, made = await self.ask(message, history=history, **members)
            history += [{"role": "user", "content": message}, {"role": "assistant", "content": text}]
            replies.append((text, made))
        return replies

    def product(self):
        """Return a listed product that is in stock."""
        statement = "SELECT asin FROM products JOIN inventory USING (asin) WHERE listed = 1 AND quantity > 1"
        return self.shop.product(self.conn.execute(f"{statement} ORDER BY asin").fetchone()[0])


@pytest.fixture(scope="session")
def vocabularies():
    """Return a function that makes the vocabulary of a lexicon, and the same one for the same words: it takes 1 s."""
    made = {}

    def of(lexicon, **options):
        key = msgspec.json.encode(lexicon), *options
        if key not in made:
            made[key] = Vocabulary(lexicon, **options)
        return made[key]

    return of


@pytest.fixture
async def opened(prepared, tmp_path, embedder, vocabularies, monkeypatch):
    """Return a function that opens the assistant over a fresh copy of the shop.

    A ``generator`` words its policies, or with the ``llm`` of a model that calls tools looks things up itself. The
    ``options`` are further settings.
    """
    for name in OF_SERVER:  # the desk makes its keys itself
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("retail_assistant.settings.MiniLm", lambda **_: embedder)
    monkeypatch.setattr("retail_assistant.chat.understanding.Vocabulary", vocabularies)
    desks = []

    async def one(generator=None, llm="llama", **options):
        folder = tmp_path / f"data{len(desks)}"
        shutil.copytree(prepared, folder)
        if generator is not None:
            monkeypatch.setattr(compose, "generator", lambda _: generator)
        settings = Settings(folder, llm=llm if generator is not None else "extractive", **options)
        desks.append(Desk(folder, compose.http_app(settings, clock=FakeClock(NOW))))
        await desks[-1].http.app.drain()
        return desks[-1]

    yield one
    for desk in desks:
        await desk.client.aclose()
        desk.conn.close()
        desk.shop.close()
        await desk.http.app.close()


@pytest.fixture
async def desk(opened):
    """Return the assistant over a fresh copy of the shop."""
    return await opened()


@pytest.fixture
async def asking(opened):
    """Return a function that opens the assistant with a model's script, and returns its desk."""

    async def one(*script):
        model = Model(*script)
        desk = await opened(model, llm="openai")
        desk.model = model
        return desk

    return one
