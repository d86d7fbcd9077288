"""A question that depends on the conversation is never answered from the bank alone."""

import pytest

import parbake_semantic
from retail_assistant.faq.earlier_turns import Conversation
from retail_assistant.faq.faq_words import Vocabulary
from retail_assistant.faq.match import CONVERSATION, LEARNS, Desk

ANSWER = "returns#return-window"


PLACES = [
    (["Do you ship to Brazil?"], "€19"),
    (["I live in Japan."], "€19"),
    (["i'm in japan"], "€19"),
    (["I live in Japan.", "thank you"], "€19"),
    (["We are a school in the UK"], "€8.90"),
]
OPENED = "I have a box set that I have opened"


@pytest.mark.parametrize(("earlier", "fee"), PLACES)
async def test_a_place_that_was_named_before_is_heard(desk, earlier, fee):
    """After a place abroad the reply states the fee for that part of the world, and not that for a delivery at home."""
    alone, made = await desk.ask("How much is shipping?")
    assert (made["faq"], "€3.90" in alone) == ("shipping#delivery-cost", True)
    text, made = (await desk.talk(*earlier, "How much is shipping?"))[-1]
    assert (made["faq"], "€3.90" in text, fee in text) == (None, False, True)


@pytest.mark.parametrize("thanks", [[], ["thank you"]])
@pytest.mark.parametrize(
    ("earlier", "question"),
    [
        (OPENED, "How long do I have to return a book?"),
        (OPENED, "What is your return window?"),
        ("Tell me about gift cards", "How long can I return this?"),
    ],
)
async def test_another_section_that_was_named_before_is_heard(desk, earlier, question, thanks):
    """An earlier word of another section, or a reference to a thing, keeps the bank from answering."""
    _, alone = await desk.ask(question)
    assert alone["faq"]
    _, made = (await desk.talk(earlier, *thanks, question))[-1]
    assert made["faq"] is None


@pytest.mark.parametrize("thanks", [[], ["thank you"]])
async def test_retrieval_hears_it_too(desk, thanks):
    """The section that fits what was said before is found, also if thanks stand between."""
    text, _ = (await desk.talk(OPENED, *thanks, "What is your return window?"))[-1]
    assert "14 days" in text


@pytest.mark.parametrize("earlier", ["tell me about A Lantern for Wren", "I love Naruto. Do you have it?"])
async def test_a_book_that_was_named_before_does_not_hide_a_policy(desk, earlier):
    """Naming a book first, sold here or not, does not change the answer to a question about a policy."""
    alone, _ = await desk.ask("What is your return window?")
    text, _ = (await desk.talk(earlier, "What is your return window?"))[-1]
    assert text == alone
    assert text.startswith("You can return a book within 30 days")


async def test_a_title_of_the_shop_does_not_refuse_the_bank(desk):
    """After a message that names a title of the shop, the bank still answers a question about a policy."""
    _, made = (await desk.talk("tell me about A Lantern for Wren", "What is your return window?"))[-1]
    assert (made["faq"], made["refusals"]) == (ANSWER, [])


async def test_a_question_about_the_product_of_the_page_is_not_answered_for_all_products(desk):
    """A question about the page's product is not answered from the bank."""
    digital = desk.conn.execute("SELECT asin FROM products WHERE format = 'digital' AND listed = 1 LIMIT 1").fetchone()[
        0
    ]
    for question in ("How long can I return this?", "What is the return window of this book?", "Can I return these?"):
        _, made = await desk.ask(question, metadata={"page": digital})
        assert made["faq"] is None, question


@pytest.mark.parametrize(
    "earlier", ["Do you ship abroad?", "how do gift cards work?", "Which books do you recommend?", "I LOVE THIS SHOP"]
)
async def test_another_topic_before_is_none_of_the_banks_business(desk, earlier):
    """An unrelated history does not keep the bank from answering, also on a product's page."""
    page = {"page": desk.product().asin}
    text, made = (await desk.talk(earlier, "What is your return window?", metadata=page))[-1]
    assert text.startswith("You can return a book within 30 days")
    assert (made["faq"], made["refusals"]) == (ANSWER, [])


def names(turn):
    """Return the proper names of a turn."""
    return set(Conversation((turn,)).names)


@pytest.mark.parametrize(
    ("turn", "is_place"),
    [
        ("Do you ship to Brazil?", True),
        ("i live in japan", True),
        ("We order from the Netherlands", True),
        ("I love Naruto", False),
        ("I want to read in bed", False),
    ],
)
def test_a_place_is_where_somebody_is_or_something_goes(turn, is_place):
    """A name after words of living in or shipping to is a place, and other names are not."""
    assert Conversation((turn,)).has_place is is_place


def test_a_proper_name_is_capitalised_and_does_not_begin_a_sentence():
    """Capitalized words within a sentence are names, and so are places in any case; shouting is not."""
    assert names("Hello there! Is it OK to ship to New Zealand? Thanks.") == {"ok", "new", "zealand"}
    assert names("I am here. Where are you?\nAnd I'm waiting") == set()
    assert names("WHERE IS IT") == set()
    assert names("we live in peru") | names("I\u2019m from the uk") | names("i'm based in chile") == {
        "peru",
        "uk",
        "chile",
    }
    assert names("i'm in a hurry") == set()


ALIAS = "What is your return window?"
BANK = parbake_semantic.Bank("m", (ANSWER, "returns#opened-items"), (ALIAS,), (0,), b"", b"", (1.0,))
HEARD = Conversation((OPENED,))
ELSEWHERE = Conversation(("How do gift cards work?",))


@pytest.mark.parametrize("reason", ["", "live_data", "no_match", *sorted(LEARNS)])
@pytest.mark.parametrize(("said", "decides"), [(HEARD, True), (ELSEWHERE, False), (Conversation(), False)])
def test_a_question_that_the_conversation_decides_is_not_learnt_from(said, decides, reason):
    """The refusal is "conversation" and adds nothing to learn from; other refusals are kept."""
    desk = Desk(parbake_semantic.BankReader, Vocabulary(BANK))
    verdict = parbake_semantic.BankReply(None, reason, parbake_semantic.Match(ANSWER, 0.9, 0.5, 0.9, ALIAS))
    question = "What is your return window abroad?"
    match = desk.judge(verdict, question, parbake_semantic.screen(question), said)
    is_open = not reason or reason in LEARNS
    assert match.refusal == (CONVERSATION if decides and is_open else reason)
    assert match.unsaid == ({"abroad"} if match.refusal in LEARNS else set())
    assert CONVERSATION not in LEARNS
