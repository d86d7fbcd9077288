"""A server is ready when everything that its first request needs is loaded."""

import asyncio

import pytest
from tests.unit.shopfloor import contract
from tests.waiting import until

import parbake as pb
from parbake.serving.warmup import LOADING


class Client:
    """A resource that counts how often it is built."""

    built = 0

    def __init__(self):
        """Count the build."""
        type(self).built += 1


def app_of(**settings):
    """Return an app whose live task reads a model and a lazy resource."""
    tasks = pb.Registry()

    @tasks.model(**contract(refresh=pb.every("20m"), invalidated_by=[]))
    def train() -> int:
        """Train."""
        return 3

    @tasks.live(why="needs the words")
    async def length(
        words: pb.Live[list[str]], *, client: pb.Resource[Client] = pb.GIVEN, model: int = pb.Model(train)
    ) -> int:
        return len(words) * model

    return pb.App(tasks, worker="none", **settings)


async def test_readiness_waits_for_resources_models_and_the_application(monkeypatch):
    """The server is not ready while anything loads; afterwards a request builds and decodes nothing."""
    app = app_of(resources={Client: pb.Lazy(Client)})
    await app.materialize(app.tasks["train"])
    Client.built, go = 0, asyncio.Event()
    async with app.serving(warm=[go.wait]):
        assert (await app.ready()).lacking == [LOADING]
        await until(lambda: Client.built)
        assert (await app.ready()).lacking == [LOADING]
        go.set()
        await until(lambda: not app.engine.warmup.lacking)
        assert (await app.ready()).is_ready
        decoded = []
        monkeypatch.setattr(app.engine.tasks["train"], "decode", decoded.append)
        assert (await app.serve(app.tasks["length"], words=["a", "b"])).unwrap() == 6
        assert (Client.built, decoded) == (1, [])
    await app.close()


async def test_what_cannot_be_loaded_is_said_and_tried_again(monkeypatch):
    """While a resource cannot be built, the server is not ready and states the reason; it retries."""
    monkeypatch.setattr("parbake.serving.warmup.AGAIN_S", 0.01)
    problems = [pb.errors.MissingDependency("the model is not installed; run: parbake models fetch minilm")]

    def build():
        if problems:
            raise problems[0]
        return Client()

    app = app_of(resources={Client: pb.Lazy(build)})
    await app.materialize(app.tasks["train"])
    async with app.serving():
        await until(lambda: app.engine.warmup.lacking != [LOADING])
        found = await app.ready()
        assert found.lacking == ["the model is not installed; run: parbake models fetch minilm"]
        problems.clear()
        await until(lambda: not app.engine.warmup.lacking)
    await app.close()


async def test_a_newer_model_is_decoded_before_it_is_asked_for(monkeypatch):
    """A server decodes a newly promoted model before a request needs it."""
    monkeypatch.setattr("parbake.serving.warmup.AGAIN_S", 0.01)
    app = app_of(resources={Client: Client()})
    async with app.serving():
        await app.materialize(app.tasks["train"])
        generation = await app.ops.generation(app.tasks["train"])
        kept = app.engine.resolver.models._kept
        await until(lambda: (app.engine.tasks["train"].ref, generation) in kept)
        decoded = []
        monkeypatch.setattr(app.engine.tasks["train"], "decode", decoded.append)
        assert (await app.serve(app.tasks["length"], words=["a"])).unwrap() == 3
        assert decoded == []
    await app.close()


async def test_a_model_that_cannot_be_decoded_is_logged_once(monkeypatch, caplog):
    """However often the decoding ahead fails, the log has one line when it begins and one when it is over."""
    monkeypatch.setattr("parbake.serving.warmup.AGAIN_S", 0.01)
    app, tries = app_of(resources={Client: Client()}), []

    async def fail(*_):
        tries.append(1)
        raise ValueError("not a model")

    async with app.serving():
        await until(lambda: not app.engine.warmup.lacking)
        await app.materialize(app.tasks["train"])
        with monkeypatch.context() as broken:
            broken.setattr(app.engine.resolver, "read_model", fail)
            await until(lambda: len(tries) > 3)
        await until(lambda: "works again" in caplog.text)
    assert [record.getMessage() for record in caplog.records if record.name == "parbake.warm"] == [
        "the decoding of models ahead failed, will retry: ValueError: not a model",
        "the decoding of models ahead works again",
    ]
    await app.close()


def test_a_lazy_resource_is_built_once_by_whoever_is_first(monkeypatch):
    """A lazy resource is built once; an app without it fails to open."""
    app = app_of(resources={Client: pb.Lazy(Client)})
    Client.built = 0
    app.engine.binder.build()
    app.engine.binder.build()
    assert Client.built == 1
    with pytest.raises(pb.errors.DeclarationError):
        _ = app_of(resources={}).engine
