"""Asks a provider with LangChain's ChatOpenAI, whose cache is parbake's, and retrieves documents."""

import asyncio

from both_box import BothBox
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.retrievers import BaseRetriever
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

import parbake as pb
import parbake_semantic
from parbake_semantic.adapters.calls import tagged
from parbake_semantic.adapters.langchain import CachedRetriever, LangChainCache

QUESTION = "How long may I return a lamp?"
TAG = "policy/returns"
app = pb.App(pb.Registry(), open=["document", "policy"])
cache = LangChainCache(parbake_semantic.SemanticCache(None, app=app))
box = BothBox()
retrieved = []


class Days(BaseModel):
    """A structured answer."""

    days: int


class Shelf(BaseRetriever):
    """Finds one document for each query."""

    def _get_relevant_documents(self, query, *, run_manager):
        retrieved.append(query)
        return [Document(page_content=f"{query} {len(retrieved)}", metadata={"name": "terms", "pages": 3})]


def model(**settings):
    """Return a chat model that asks the box."""
    return ChatOpenAI(model="m", base_url=box.openai_url, api_key=box.key, cache=cache, max_retries=0, **settings)


def messages(system="Be kind.", question=QUESTION):
    """Return a prompt."""
    return [("system", system), ("human", question)]


def ask(chat, *prompt, **named):
    """Return the answer, and whether the provider was asked."""
    before = len(box.requests)
    with tagged(TAG):
        return chat.invoke(messages(*prompt, **named)).content, len(box.requests) > before


async def ask_async(chat, *prompt):
    """Like :func:`ask`, on an event loop."""
    before = len(box.requests)
    with tagged(TAG):
        return (await chat.ainvoke(messages(*prompt))).content, len(box.requests) > before


def synchronous():
    """Equal calls share an answer until its tag is touched; other prompts, settings and parts do not."""
    chat, streams = model(), model(streaming=True)
    first, is_fresh = ask(chat)
    assert is_fresh
    assert ask(chat) == (first, False)
    assert ask(chat, "Be short.")[1]
    assert ask(model(temperature=0.5))[1]
    app.sync.run(app.touch(TAG))
    second, is_fresh = ask(chat)
    assert is_fresh
    assert ask(chat) == (second, False)
    assert [ask(streams)[1] for _ in range(2)] == [True, False]
    before = len(box.requests)
    assert "".join(chunk.content for chunk in streams.stream(messages())), "LangChain does not cache stream()"
    assert len(box.requests) == before + 1
    parts = [{"type": "text", "text": QUESTION}]
    assert [ask(chat, question=parts)[1] for _ in range(2)] == [True, True]
    box.reply('{"days": 3}')
    structured = chat.with_structured_output(Days, method="json_schema")
    with tagged(TAG):
        assert [structured.invoke("How many days are there?") for _ in range(2)] == [Days(days=3)] * 2
        completes = FakeListLLM(responses=["one", "two", "three"], cache=cache)
        assert [completes.invoke(text) for text in ("a b", "a b", "a c")] == ["one", "one", "two"]
    cache.clear()
    assert ask(chat)[1]


async def asynchronous():
    """The same on an event loop; an answer that was being made during a change is not stored."""
    chat = model()
    await cache.aclear()
    first, is_fresh = await ask_async(chat)
    assert is_fresh
    assert await ask_async(chat) == (first, False)
    began, may_end = box.hold_first()
    await app.touch(TAG)
    old = asyncio.create_task(ask_async(chat))
    assert await asyncio.to_thread(began.wait, 60)
    await app.touch(TAG)
    new = await ask_async(chat)
    may_end.set()
    assert (await old)[0] != new[0]
    assert await ask_async(chat) == (new[0], False)


def documents():
    """Documents are kept until one of them changes."""
    answers = parbake_semantic.SemanticCache(None, app=app, name="documents")

    def depends_on(found):
        return [f"document/{each.metadata['name']}" for each in found]

    shelf = CachedRetriever(retriever=Shelf(), answers=answers, depends_on=depends_on)
    first = shelf.invoke("returns of lamps")
    assert shelf.invoke("returns of lamps") == asyncio.run(shelf.ainvoke("returns of lamps")) == first
    assert len(retrieved) == 1
    app.sync.run(app.touch("document/terms"))
    assert asyncio.run(shelf.ainvoke("returns of lamps")) != first
    assert len(retrieved) == 2


with box:
    box.answers()
    synchronous()
    asyncio.run(asynchronous())
documents()
app.sync.close()
