"""Whole turns: replies from the bank, from live data, from evidence, or none."""

import json
import re

import msgspec
import pytest

import parbake as pb
from parbake.ports.models import Delta
from parbake.semantic.bank import question_bank
from parbake.semantic.text import veto
from retail_assistant import compose
from retail_assistant.chat import generation
from retail_assistant.chat.guardrails import Checked
from retail_assistant.recs.refining import Moment
from retail_assistant.shop import records

NOW = 1_790_000_000.0
CHAT = "/v1/chat/completions"


def tasks_of(made):
    """Return the tasks that contributed to a reply."""
    return {step["task"] for step in made["steps"]}


async def test_a_recurring_question_is_answered_ahead(desk):
    """A bank question gets its precompiled answer with the current number, and no text is generated."""
    text, made = await desk.ask("What is your return window?")
    assert "30 days" in text
    assert (made["intent"], made["lane"], made["refusals"]) == ("faq", "batch", [])
    assert "response_generation" not in tasks_of(made)


@pytest.mark.parametrize("message", ["Hi, what is your return window?", "May I send a book back to you?"])
async def test_a_message_is_screened_once_in_each_wording(desk, message, monkeypatch):
    """Each wording of a message is screened once, however many steps use it."""
    screened, screen = [], veto.screen

    def counted(question, vetoes=veto.VETOES):
        screened.append(question)
        return screen(question, vetoes)

    for room in (veto, question_bank, pb.semantic):
        monkeypatch.setattr(room, "screen", counted)
    await desk.ask(message)
    assert message in screened
    assert len(screened) == len(set(screened))


async def test_a_changed_fact_is_in_the_next_reply(desk):
    """After a policy change through the shop's route, the reply has only the new number."""
    done = await desk.client.put("/shop/policies/returns", json={"facts": {"window_days": 45}})
    assert done.status_code == 200
    text, _ = await desk.ask("What is your return window?")
    assert "45 days" in text
    assert "30 days" not in text


async def test_a_shoppers_own_order_is_read_live(desk):
    """The latest purchase is read live and not from the bank; a stranger has no order."""
    product = desk.product()
    records.add_purchase(desk.conn, shopper="u00003", asin=product.asin, now=NOW + 5)
    text, made = await desk.ask("Where is my order?", user="u00003")
    assert product.title in text
    assert "faq_answers" not in tasks_of(made)
    text, _ = await desk.ask("Where is my order?", user="somebody-new")
    assert "no order" in text


async def test_a_price_is_the_one_of_this_moment(desk):
    """A changed price and stock, which raise no tag, are in the next reply and card."""
    product = desk.product()
    records.set_price(desk.conn, product.asin, 4321, now=NOW)
    records.set_inventory(desk.conn, product.asin, 0)
    text, made = await desk.ask("How much is this?", metadata={"page": product.asin})
    assert "€43.21" in text
    assert "out of stock" in text
    (card,) = made["cards"]
    assert (card["asin"], card["price"], card["in_stock"]) == (product.asin, "€43.21", False)


async def test_a_follow_up_about_another_format_compares_live(desk):
    """The reply states both live prices, or that the edition is not sold."""
    product = desk.product()
    asked = [{"role": "user", "content": f"tell me about {product.title}"}]
    for wanted in ("paperback", "hardcover", "digital"):
        if wanted == product.format:
            continue
        members = {"history": asked, "metadata": {"page": product.asin}}
        text, made = await desk.ask(f"is it cheaper in {wanted}?", **members)
        assert made["intent"] == "price_stock"
        there = [e for e in desk.shop.editions(product) if e.format == wanted]
        assert ("not sold in" in text) is (not there)
        assert desk.shop.price(product.asin) in text
        assert not there or desk.shop.price(there[0].asin) in text


async def test_an_unnamed_product_is_asked_for(desk):
    """If no product is known, the reply asks which one is meant."""
    text, _ = await desk.ask("How much does it cost?", history=[{"role": "user", "content": "hi"}])
    assert text.startswith("Which product do you mean?")


async def test_a_follow_up_is_joined_to_its_question_and_never_a_bare_bank_hit(desk):
    """A follow-up is answered by retrieval with its history, and not from the bank."""
    asked = [{"role": "user", "content": "What is your return window?"}, {"role": "assistant", "content": "30 days."}]
    text, made = await desk.ask("and for opened boxes?", history=asked)
    assert "faq_answers" not in tasks_of(made)
    assert "14 days" in text


async def test_recommendations_that_there_was_no_time_to_refine_are_filtered_all_the_same(desk, monkeypatch):
    """Without refinement, cards still exclude bought, delisted and sold-out products."""

    def out_of_time(*_, **__):
        raise TimeoutError

    monkeypatch.setattr(Moment, "order", out_of_time)
    _, made = await desk.ask("Recommend me something", user="u00003")
    assert "degraded" in {step["verdict"] for step in made["steps"]}
    sold_out, bought, delisted, *left = [card["asin"] for card in made["cards"]]
    records.set_inventory(desk.conn, sold_out, 0)
    records.add_purchase(desk.conn, shopper="u00003", asin=bought, now=NOW + 5)
    records.delist(desk.conn, delisted, now=NOW + 5)
    _, made = await desk.ask("Recommend me something", user="u00003", metadata={"page": left[0]})
    cards = [card["asin"] for card in made["cards"]]
    assert len(cards) == 5
    assert cards[0] == left[1]
    assert not {sold_out, bought, delisted, left[0]}.intersection(cards)


@pytest.mark.parametrize(
    ("message", "intent"),
    [
        ("hello", "smalltalk"),
        ("Recommend me something", "recommendation"),
        ("what is popular right now?", "trending"),
        ("any promotions right now?", "promotion"),
        ("I'm looking for a mystery", "product_search"),
    ],
)
async def test_each_kind_of_question_has_its_handler(desk, message, intent):
    """A message is answered by the handler of its intent, with cards of existing products."""
    text, made = await desk.ask(message, user="u00003")
    assert made["intent"] == intent
    assert text
    assert all(desk.shop.product(card["asin"]) for card in made["cards"])


async def test_promotions_of_a_genre_name_it_when_there_are_none(desk):
    """If a genre has no promotion, the reply says so with the genre's name."""
    desk.conn.execute("DELETE FROM promotions")
    genre = desk.product().genre
    await desk.http.app.touch("promotion")
    text, _ = await desk.ask(f"are there promotions on {genre} books?")
    assert text == f"There is no promotion on {genre} right now."
    text, _ = await desk.ask("any promotions right now?")
    assert text == "There is no promotion for you right now."


async def test_reviews_are_quoted_or_said_to_be_missing(desk):
    """Reviews are summarized; a product without reviews gets a reply that says so."""
    rated = desk.conn.execute("SELECT asin FROM reviews WHERE rating >= 4 LIMIT 1").fetchone()[0]
    text, made = await desk.ask("What do the reviews say?", metadata={"page": rated})
    assert made["intent"] == "reviews"
    assert "of 5 stars" in text
    statement = "SELECT asin FROM products WHERE listed = 1 AND asin NOT IN (SELECT asin FROM reviews) LIMIT 1"
    silent = desk.conn.execute(statement).fetchone()[0]
    text, _ = await desk.ask("What do the reviews say?", metadata={"page": silent})
    assert "no reviews yet" in text


async def test_what_the_policies_do_not_state_is_not_made_up(desk):
    """A question that no policy answers gets a reply without claims."""
    text, made = await desk.ask("How long does it take to train your staff?")
    assert text in (generation.NOT_STATED, "I can only help with this shop: books, prices, orders and our policies.")
    assert not pb.guard.claims(text)
    assert "faq_answers" not in tasks_of(made)


class Inventor:
    """A generator that makes unsupported claims."""

    name = "inventor"

    async def stream(self, prompt, *, max_tokens, timeout_s):
        for piece in ("You have 99 days ", "for that. Write to boss@shop", ".example. It costs {{price:NOPE}}."):
            yield Delta(piece)


async def test_what_a_generator_makes_up_is_replaced_by_the_evidence(desk, monkeypatch):
    """Ungrounded claims, personal data and unfillable slots are dropped, and the evidence is used instead."""
    monkeypatch.setattr(compose, "generator", lambda _: Inventor())
    asked = [{"role": "user", "content": "What is your return window?"}]
    text, made = await desk.ask("and for opened boxes?", history=asked)
    assert made["refusals"][-3:] == [
        "guard: ungrounded duration: 99",
        "guard: personal data",
        "guard: unfilled slot: price",
    ]
    assert "14 days" in text
    assert "99" not in text


async def test_without_a_bank_and_a_head_plain_words_decide(desk):
    """Without its models the assistant answers from evidence and live data."""

    async def missing(*_, **__):
        raise pb.NotMaterialized("not yet")

    assistant_serve = desk.http.app.serve

    async def serve(task, *args, **kwargs):
        if task.name in ("intent", "faq_match"):
            await missing()
        return await assistant_serve(task, *args, **kwargs)

    desk.http.app.serve = serve
    text, made = await desk.ask("How much is this?", metadata={"page": desk.product().asin})
    assert made["intent"] == "price_stock"
    assert desk.shop.price(desk.product().asin) in text
    _, made = await desk.ask("Can I return a book?")
    assert made["intent"] == "faq"


async def test_a_stream_is_the_same_reply_in_sentences(desk):
    """The chunks of a stream add up to the plain reply; the last chunk has its details."""
    plain, _ = await desk.ask("What is your return window?")
    body = {"messages": [{"role": "user", "content": "What is your return window?"}], "stream": True}
    answer = await desk.client.post(CHAT, json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks).strip() == plain
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["parbake"]["lane"] == "batch"


class Down:
    """A generator whose provider does not answer."""

    name = "down"

    async def stream(self, prompt, *, max_tokens, timeout_s):
        yield Delta("")
        raise pb.errors.ProviderError("the provider is down", field="openai")


async def test_a_provider_that_fails_is_an_error_in_the_stream_and_a_problem_document(desk, monkeypatch):
    """A provider's failure is an error event in a stream, and a 502 problem document otherwise."""
    monkeypatch.setattr(compose, "generator", lambda _: Down())
    history = [{"role": "user", "content": "What is your return window?"}]
    body = {"messages": [*history, {"role": "user", "content": "and for opened boxes?"}]}
    plain = await desk.client.post(CHAT, json=body)
    assert plain.status_code == 502
    assert plain.json()["error"]["type"] == "server_error"
    streamed = await desk.client.post(CHAT, json=body | {"stream": True})
    error = json.loads(streamed.text.strip().split("\n\n")[-1].removeprefix("data: "))["error"]
    assert (error["type"], error["param"]) == ("ProviderError", "openai")


def one(text, **members):
    """Return a chat body with one message."""
    return {"messages": [{"role": "user", "content": text}], **members}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"messages": []}, 422, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 422, "messages"),
        (one(" "), 422, "messages[0].content"),
        (one("a\u0007b"), 422, "messages[0].content"),
        (one("a" * 8001), 422, "messages[0].content"),
        (one("hi", user=""), 422, "user"),
        (one("hi", user="a\nb\u0000"), 422, "user"),
        (one("hi", metadata={"page": "NOPE"}), 404, "metadata.page"),
    ],
)
async def test_a_bad_conversation_names_the_member_at_fault(desk, body, status, field):
    """A bad member gets a problem document with its name and OpenAI's error object."""
    answer = await desk.client.post(CHAT, json=body)
    assert answer.status_code == status
    assert answer.json()["field"] == field
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_content_may_come_in_parts(desk):
    """Text parts are joined, and parts of other types are ignored."""
    parts = [{"type": "text", "text": "hel"}, {"type": "image_url"}, {"type": "text", "text": "lo"}]
    answer = await desk.client.post(CHAT, json={"messages": [{"role": "user", "content": parts}]})
    assert answer.json()["parbake"]["intent"] == "smalltalk"


async def test_the_page_is_served_without_scripts_from_elsewhere(desk):
    """The chat page loads only its own script and style sheet, and its policy forbids inline scripts."""
    answer = await desk.client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert re.findall(r"<(?:script|link|style)[^>]*>", answer.text) == [
        '<link rel="icon" href="data:,">',
        '<link rel="stylesheet" href="page.css">',
        '<script src="page.js" defer>',
    ]
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
        assert (await desk.client.get(f"/{name}")).headers["content-type"].startswith(kind)


@pytest.mark.parametrize("windows", [[21], [21, 22], [21, 22, 23, 24]])
async def test_a_change_between_reading_and_checking_costs_no_main_sentence(desk, monkeypatch, windows):
    """A sentence that a change outdates before its check is drafted again, finally without the bank."""
    serve, changes = desk.http.app.serve, iter(windows)

    async def changed_after_reading(task, *args, **kwargs):
        sentence = kwargs.get("sentence", "")
        if task.name != "guardrails" or "return a book within" not in sentence or not (days := next(changes, None)):
            return await serve(task, *args, **kwargs)
        records.put_policy(desk.conn, "returns", facts={"window_days": days}, now=NOW + 1)
        served = await serve(task, *args, **kwargs)
        # The slots of a compiled text were filled before this change, and its claims checked after it.
        outdated = Checked("", "ungrounded duration: 30")
        return msgspec.structs.replace(served, value=outdated) if "{{" in sentence else served

    monkeypatch.setattr(desk.http.app, "serve", changed_after_reading)
    text, made = await desk.ask("How many days do I have to return a book?")
    expected = (
        f"You can return a book within {windows[-1]} days" if len(windows) < 3 else "I cannot answer that reliably"
    )
    assert text.startswith(expected)
    assert (made["faq"], made["lane"], made["refusals"]) == (None, "realtime", ["outdated"])
