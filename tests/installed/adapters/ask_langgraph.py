"""Runs graphs of LangGraph whose node cache is parbake's."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TypedDict

from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy

import parbake as pb
import parbake_semantic
from parbake_semantic.adapters.calls import tagged
from parbake_semantic.adapters.langgraph import LangGraphCache

TAG = "policy/returns"
app = pb.App(pb.Registry(), open=["policy"])
ran = []
began, may_end, slow = threading.Event(), threading.Event(), []


class State(TypedDict):
    """What the nodes read and write."""

    question: str
    terms: str
    kept: object


def terms(state):
    """Write something new each time."""
    if slow:
        slow.pop()
        began.set()
        assert may_end.wait(60)
    ran.append("terms")
    return {"terms": f"{state['question']} {len(ran)}"}


def briefly(state):
    """Write what may be kept for a short time."""
    ran.append("briefly")
    return {"kept": state["question"]}


def compiled(name, ttl):
    """Return the graph, with a cache of its own."""
    graph = StateGraph(State)
    graph.add_node("terms", terms, cache_policy=CachePolicy())
    graph.add_node("briefly", briefly, cache_policy=CachePolicy(ttl=ttl))
    graph.add_edge(START, "terms")
    graph.add_edge(START, "briefly")

    def tags(node, written):
        return [TAG] if written[node if node == "terms" else "kept"] else []

    return graph.compile(cache=LangGraphCache(parbake_semantic.SemanticCache(None, app=app, name=name), tags=tags))


def run(graph, question="lamp"):
    """Return what the nodes wrote, and which of them ran."""
    before = len(ran)
    return graph.invoke({"question": question})["terms"], sorted(ran[before:])


async def run_async(graph, question="lamp"):
    """Like :func:`run`, on an event loop."""
    before = len(ran)
    return (await graph.ainvoke({"question": question}))["terms"], sorted(ran[before:])


def synchronous(graph):
    """A node runs again for another input, after a change, and when the cache was cleared."""
    both = ["briefly", "terms"]
    first, nodes = run(graph)
    assert nodes == both
    assert run(graph) == (first, [])
    assert run(graph, "chair")[1] == both
    app.sync.run(app.touch(TAG))
    second, nodes = run(graph)
    assert nodes == both
    assert run(graph) == (second, [])
    graph.clear_cache()
    assert run(graph)[1] == both


def briefly_kept():
    """What may be kept for a second is computed again after it."""
    graph = compiled("briefly", 1)
    first, _ = run(graph)
    time.sleep(1.1)
    assert run(graph) == (first, ["briefly"])


async def asynchronous(graph):
    """The same on an event loop."""
    await graph.aclear_cache()
    first, nodes = await run_async(graph)
    assert len(nodes) == 2
    assert await run_async(graph) == (first, [])
    await app.touch(TAG)
    assert len((await run_async(graph))[1]) == 2


def overtaken(graph):
    """What a node was computing during a change is not stored, not even beside an equal run that began later."""
    app.sync.run(app.touch(TAG))
    slow.append(True)
    with ThreadPoolExecutor(1) as pool:
        old = pool.submit(run, graph)
        assert began.wait(60)
        app.sync.run(app.touch(TAG))
        new = run(graph)
        may_end.set()
        assert old.result()[0] != new[0]
    assert run(graph)[0] == new[0]


def functions():
    """Tasks of an entry point are cached, too, for those who ask within the same tags."""

    @task(cache_policy=CachePolicy())
    def square(number):
        ran.append("square")
        time.sleep(0.05)
        return number * number

    @entrypoint(cache=LangGraphCache(parbake_semantic.SemanticCache(None, app=app, name="functions")))
    def squares(numbers):
        begun = [square(number) for number in numbers]
        return [each.result() for each in begun]

    before = len(ran)
    with tagged(TAG):
        assert [squares.invoke([1, 2, 3]) for _ in range(2)] == [[1, 4, 9]] * 2
    assert len(ran) == before + 3


def unpacked():
    """What can only be pickled is returned, and not stored."""

    class Unknown:
        __slots__ = ("lock",)

    graph = StateGraph(State)
    graph.add_node("kept", lambda _: ran.append("kept") or {"kept": Unknown()}, cache_policy=CachePolicy())
    graph.add_edge(START, "kept")
    cache = LangGraphCache(parbake_semantic.SemanticCache(None, app=app, name="unpacked"))
    before = len(ran)
    with tagged(TAG):
        for _ in range(2):
            assert isinstance(graph.compile(cache=cache).invoke({"question": "lamp"})["kept"], Unknown)
    assert len(ran) == before + 2


graph = compiled("nodes", 600)
synchronous(graph)
briefly_kept()
asyncio.run(asynchronous(graph))
overtaken(graph)
functions()
unpacked()
app.sync.close()
