"""The page *Answers*: how one is found, what it says of it, and how it is marked as stale."""

import html
import re

import pytest

from parbake_console.answers_page import answers_page

PATH = "/console/answers"
BOTH = ["shipping", "returns"]


@pytest.fixture
def answered(shop):
    """Return a function that gives an answer and records it."""

    async def give(subject, *, sources=("fact/c",), refusals=()):
        async with shop.app.request() as scope:
            served = await shop.app.serve(shop.asked, "c")
            return shop.ledger.answers.note(
                scope, lane=served.lane, subject=subject, sources=sources, refusals=refusals
            )

    return give


async def test_an_answer_is_found_by_its_id(shop, answered):
    """The page says what it was made of, what it states, what was refused, and what it cost."""
    one = await answered("returns", refusals=["a closer question was about <b>another</b> shop"])
    shop.world.clock.advance(120)
    page = await shop.seen(f"{PATH}?word={one.id}")
    assert "given 2m ago; 0 of its parts were stored, and 1 computed for it" in page
    assert "it states fact/c" in page
    assert "one closer match was refused" in page
    assert "asked fresh computed for this answer" in page
    assert "a closer question was about <b>another</b> shop" in page
    assert "Mark as stale" in page


async def test_a_stored_part_is_told_from_a_computed_one(shop, answered):
    """A value that an earlier request had computed is stored, and the page says how old it was then."""
    await answered("returns")
    await shop.after(782)
    one = await answered("again")
    page = await shop.seen(f"{PATH}?word={one.id}")
    assert "1 of its parts were stored, and 0 computed for it; the oldest stored one, asked, was 13m2s old" in page
    assert "asked fresh stored, computed on request 13m2s before" in page


async def test_the_last_day_is_shown_by_hour(shop, answered, monkeypatch):
    """Answers and those with a refusal are counted by the hour; older ones are left out, and a limit is told."""
    await answered("long ago")
    shop.world.clock.advance(26 * 3600)
    await answered("plain")
    shop.world.clock.advance(3600)
    await answered("doubtful", refusals=["unsure"])
    await answered("plain")
    page = await answers_page(shop.ledger, shop.world.clock, word="")
    assert [(given, refused) for _, given, refused in page.hours[-3:]] == [(0, 0), (1, 0), (2, 1)]
    assert (len(page.hours), page.hours[-1][0]) == (24, int(shop.world.clock.now() // 3600) % 24)
    assert "3 answers, 1 of them with a refusal. Hours are UTC." in await shop.seen(PATH)
    monkeypatch.setattr("parbake_console.answers_page._COUNTED", 2)
    assert "Only the newest 2 are counted" in await shop.seen(PATH)
    assert "by hour" not in await shop.seen(f"{PATH}?word=plain")


async def test_older_answers_are_a_page_further(shop, answered, monkeypatch):
    """A full page ends with a link to the answers before it, and the last page with none."""
    monkeypatch.setattr("parbake_console.answers_page._SHOWN", 2)
    for name in ("first", "second", "third"):
        await answered(name)
        shop.world.clock.advance(1)
    async with shop.browser() as browser:
        newest = (await browser.get(PATH)).text
        older = html.unescape(re.search(r'<a href="([^"]+)">Older answers', newest)[1])
        oldest = (await browser.get(older)).text
    assert [name for name in ("first", "second", "third") if name in newest] == ["second", "third"]
    assert "first" in oldest
    assert "Older answers" not in oldest


async def test_answers_are_found_by_the_words_of_the_pages(shop, answered):
    """Lanes are found by the names that the pages give them, and answers with refusals by one word."""
    await answered("plain")
    await answered("doubtful", refusals=["a closer one"])
    assert "plain" in await shop.seen(f"{PATH}?word=on request")
    assert "no answer of the last days" in await shop.seen(f"{PATH}?word=ahead")
    refused = await shop.seen(f"{PATH}?word=refused")
    assert "doubtful" in refused
    assert "plain" not in refused


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("", ["shipping", "returns"]),
        ("ship", ["shipping"]),
        ("fact/c", ["shipping", "returns"]),
        ("asked", ["shipping", "returns"]),
    ],
)
async def test_the_newest_are_found_by_a_word(shop, answered, word, found):
    """A part of a subject, a tag or a task finds its answers, the newest first; no word finds all."""
    await answered("returns")
    shop.world.clock.advance(1)
    await answered("shipping")
    page = await shop.seen(f"{PATH}?word={word}")
    assert [name for name in page.split() if name in ("returns", "shipping")] == found


@pytest.mark.parametrize("word", ["nothing like this", "0" * 32, "<script>alert(1)</script>"])
async def test_what_is_not_found_is_said(shop, answered, word):
    """An id that was never given, and a word in no answer, are named as text."""
    await answered("returns")
    async with shop.browser() as browser:
        answer = await browser.get(PATH, params={"word": word})
    assert "no answer of the last days has this id" in answer.text
    assert "<script>alert" not in answer.text


async def test_an_answer_is_marked_as_stale(shop, answered):
    """What the page sends makes the answer's sources be computed again, and a second time it has no effect."""
    one = await answered("returns")
    before = await shop.app.stamp()
    async with shop.browser() as browser:
        page = (await browser.get(f"{PATH}?word={one.id}")).text
        assert f'data-answer="{one.id}"' in page
        told = await browser.post("/v1/feedback", json={"answer_id": one.id, "reason": "it is wrong"})
        again = await browser.post("/v1/feedback", json={"answer_id": one.id, "reason": "it is wrong"})
    assert (told.json()["effect"], told.json()["touched"]) == ("computed again", ["fact/c"])
    assert again.json()["effect"] == "complained of before"
    assert await shop.app.stamp() > before
