"""Asks a provider with LiteLLM, whose cache is parbake's."""

import asyncio

import litellm
from both_box import BothBox

import parbake as pb
import parbake_semantic
from parbake_llm.testing import ScriptedReply
from parbake_llm.testing.script import ToolCall
from parbake_semantic.adapters.litellm import LiteLLMCache

QUESTION = "How long may I return a lamp?"
TAG = "policy/returns"


class Telling(LiteLLMCache):
    """Tells when it has stored what LiteLLM gives it in the background."""

    def __init__(self, answers):
        """Begin with nothing."""
        super().__init__(answers)
        self.has_stored = asyncio.Semaphore(0)

    async def async_add_cache(self, result, **kwargs):
        """Store it, and tell."""
        await super().async_add_cache(result, **kwargs)
        self.has_stored.release()


app = pb.App(pb.Registry(), open=["policy"])
cache = litellm.cache = Telling(parbake_semantic.SemanticCache(None, app=app))
box = BothBox()


def request(system="Be kind.", question=QUESTION, **more):
    """Return the arguments of a completion."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    named = {"model": "openai/m", "api_base": box.openai_url, "api_key": box.key, "messages": messages}
    return named | {"metadata": {"parbake_tags": [TAG]}} | more


def ask(**more):
    """Return the answer of a completion, and whether the provider was asked."""
    before = len(box.requests)
    made = litellm.completion(**request(**more))
    if more.get("stream"):
        text = "".join(chunk.choices[0].delta.content or "" for chunk in made)
    else:
        text = made.choices[0].message.content
    return text, len(box.requests) > before


async def ask_async(**more):
    """Like :func:`ask`, on an event loop; LiteLLM stores a fresh answer after it has returned it."""
    before = len(box.requests)
    made = await litellm.acompletion(**request(**more))
    if more.get("stream"):
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in made])
    else:
        text = made.choices[0].message.content
    is_fresh = len(box.requests) > before
    if is_fresh:
        await cache.has_stored.acquire()
    return text, is_fresh


def synchronous():
    """Plain answers and streams share one cache, and LiteLLM's controls are followed."""
    first, is_fresh = ask()
    assert is_fresh
    assert ask() == ask(stream=True) == (first, False)
    assert ask(system="Be short.")[1], "another system prompt"
    assert ask(temperature=0.5)[1], "another setting"
    assert ask(cache={"namespace": "b"})[1], "another namespace"
    assert ask(user="b")[1], "another user"
    app.sync.run(app.touch(TAG))
    second, is_fresh = ask(stream=True)
    assert is_fresh
    assert ask() == (second, False)
    assert ask(cache={"no-cache": True})[1]
    assert ask(cache={"s-maxage": 0})[1]
    assert [ask(question="What is a lamp?", cache={"no-store": True})[1] for _ in range(2)] == [True, True]
    assert [ask(question="What is a bulb?", cache={"ttl": 0})[1] for _ in range(2)] == [True, True]
    assert [ask(question="What is a chair?", metadata={})[1] for _ in range(2)] == [True, True], "nothing ends it"
    parts = [{"type": "text", "text": QUESTION}]
    assert [ask(question=parts)[1] for _ in range(2)] == [True, True], "several parts"
    box.reply(ScriptedReply(calls=(ToolCall("1", "look", "{}"),)), "an answer")
    assert [ask(question="Is there a lamp?")[1] for _ in range(2)] == [True, True], "a tool was called"


async def asynchronous():
    """The same on an event loop."""
    await app.touch(TAG)
    first, is_fresh = await ask_async()
    assert is_fresh
    assert await ask_async() == await ask_async(stream=True) == (first, False)
    assert (await ask_async(system="Be brief."))[1]
    await app.touch(TAG)
    second, is_fresh = await ask_async(stream=True)
    assert is_fresh
    assert await ask_async() == (second, False)
    await overtaken()


async def overtaken():
    """An answer that was being made during a change is not stored, not even beside an equal call that began later."""
    began, may_end = box.hold_first()
    await app.touch(TAG)
    old = asyncio.create_task(ask_async())
    assert await asyncio.to_thread(began.wait, 60)
    await app.touch(TAG)
    new = await ask_async()
    may_end.set()
    assert (await old)[0] != new[0]
    assert await ask_async() == (new[0], False)


with box:
    box.answers()
    synchronous()
    asyncio.run(asynchronous())
app.sync.close()
