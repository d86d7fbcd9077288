"""The vocabulary that the chat reads with follows the shop's words."""

import asyncio
from types import SimpleNamespace

import pytest
from tests.skipping_loop import SkippingLoop

from parbake.protocol.cause import Cause
from retail_assistant.chat.understanding import Understanding
from retail_assistant.understand.names.lexicon import Lexicon
from retail_assistant.understand.names.vocabulary import Vocabulary


class Shop:
    """An app that serves whatever words it has."""

    def __init__(self):
        self.words, self.generation, self.reads, self.cause = None, 0, 0, None

    async def serve(self, _task, _key):
        self.reads += 1
        return SimpleNamespace(value=self.words, generation=self.generation, stamp="", cause=self.cause)

    def publish(self, words):
        self.words, self.generation = words, self.generation + 1


@pytest.fixture
def shop():
    """Return a shop whose words are not compiled yet."""
    return Shop()


@pytest.fixture
def understanding(shop):
    """Return what follows that shop's words."""
    return Understanding(shop, None)


async def test_a_vocabulary_is_kept_while_the_words_are_equal(shop, understanding):
    """A new generation of equal words keeps the vocabulary, and one of other words replaces it."""
    shop.publish(Lexicon(genres=("horror",)))
    first = await understanding.vocabulary()
    shop.publish(Lexicon(genres=("horror",)))
    await understanding.step()
    assert await understanding.vocabulary() is first
    shop.publish(Lexicon(genres=("horror", "romance")))
    await understanding.step()
    assert (await understanding.vocabulary()).lexicon.genres == ("horror", "romance")


async def test_without_words_messages_are_read_with_none(shop, understanding):
    """Until the shop's words are there the vocabulary is empty, and words that are gone leave the last one in use."""
    assert (await understanding.vocabulary()).lexicon == Lexicon()
    shop.publish(Lexicon(genres=("horror",)))
    await understanding.step()
    shop.publish(None)
    await understanding.step()
    assert (await understanding.vocabulary()).lexicon.genres == ("horror",)


async def test_the_first_read_loads_the_words_and_later_ones_do_not(shop, understanding):
    """The vocabulary is loaded once, however often it is asked for."""
    first = await understanding.vocabulary()
    assert await understanding.vocabulary() is first
    assert shop.reads == 1


async def test_a_first_request_and_the_warm_up_build_one_vocabulary(shop, understanding, monkeypatch):
    """A message that comes while the words are loaded waits for that vocabulary, and builds none of its own."""
    built = []

    def counted(words):
        built.append(words)
        return Vocabulary(words)

    monkeypatch.setattr("retail_assistant.chat.understanding.Vocabulary", counted)
    shop.publish(Lexicon(genres=("horror",)))
    await asyncio.gather(understanding.step(), understanding.vocabulary(), understanding.vocabulary())
    assert built == [Lexicon(genres=("horror",))]


@pytest.mark.parametrize(("cause", "least", "most"), [(None, 50, 61), (Cause.WITHOUT_STORE, 2, 20)])
def test_words_that_are_computed_for_each_look_are_looked_at_seldom(cause, least, most):
    """While the store is away each look reads the whole shop, so there is one every few seconds."""
    shop = Shop()
    shop.publish(Lexicon(genres=("horror",)))
    shop.cause = cause

    async def followed():
        understanding = Understanding(shop, None)
        await understanding.step()
        shop.reads = 0
        following = asyncio.create_task(understanding.run())
        await asyncio.sleep(60)
        following.cancel()

    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        runner.run(followed())
    assert least <= shop.reads <= most
