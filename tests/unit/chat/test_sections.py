"""Policy sections for a question: all are compared as they hold now, and a trained gate says whether any answers."""

import pytest

import parbake as pb
from retail_assistant.answers.policy.gate import answer_gate, policy_sections, train
from retail_assistant.answers.policy.policy_answers import ALL_STATED, PolicyAnswers
from retail_assistant.answers.policy.sections import Found, Signs, going_on, section_name
from retail_assistant.chat.flow import AS_SAID
from retail_assistant.knowledge.retrieval import retrieval
from retail_assistant.shop import records
from retail_assistant.shop.policies import render_policy

NOW = 1_790_000_000.0
WINDOW, OPENED = "returns#return-window", "returns#opened-items"


async def serve(desk, task, **given):
    """Serve a live task within a request of its own."""
    async with desk.http.app.request("30s"):
        return (await desk.http.app.serve(task, **given)).unwrap()


async def best(desk, text, **given):
    """Return the names of the best sections, and whether the first one answers."""
    found = await serve(desk, policy_sections, text=text, **given)
    return [section_name(one.block) for one in found.ranked], found.is_answered


async def test_every_section_of_every_policy_is_compared(desk):
    """No section is left out, they come in the order of the policies, and the nearest is about what is asked."""
    hits = await serve(desk, retrieval, text="how long can i return a book")
    policies = desk.shop.rules.policies()
    stated = {f"{policy.id}#{section.id}" for policy in policies for section in render_policy(policy)}
    assert {section_name(hit.block) for hit in hits} <= stated
    assert len(hits) > 0.9 * len(stated)
    assert list(dict.fromkeys(hit.block.source for hit in hits)) == [f"policy/{policy.id}" for policy in policies]
    assert max(hits, key=lambda hit: hit.whole + hit.part).block.source == "policy/returns"


QUESTIONS = [
    ("how long can i return a book", WINDOW),
    ("how long can i return an opened book", OPENED),
    ("what does delivery cost", "shipping#delivery-cost"),
    ("do you deliver to norway", "international#where-we-deliver"),
    ("my book arrived damaged", "damaged"),
    ("how long are gift cards valid", "giftcards"),
    ("can i pay by invoice", "payment"),
]


@pytest.mark.parametrize(("text", "name"), QUESTIONS)
async def test_the_section_that_answers_comes_first(desk, text, name):
    """A question that a policy answers finds its section first, and the gate lets it through."""
    names, is_answered = await best(desk, text)
    assert (names[0].startswith(name), is_answered) == (True, True)


@pytest.mark.parametrize(
    "text",
    ["how long do you train your staff", "do you insure parcels", "which colour has your logo"],
)
async def test_what_no_section_states_is_not_answered(desk, text):
    """A question that no policy answers has a nearest section, and the gate refuses it."""
    names, is_answered = await best(desk, text)
    assert names
    assert not is_answered


async def test_without_the_log_a_time_is_not_taken_from_another_section(desk, monkeypatch):
    """Without a bank and a gate, a question for a time is refused if the best section states none."""
    serve = desk.http.app.serve

    async def without_models(task, *args, **given):
        if task is policy_sections:
            raise pb.NotMaterialized("not yet")
        return await serve(task, *args, **given)

    monkeypatch.setattr(desk.http.app, "serve", without_models)
    async with desk.http.app.request("30s"):
        found = await PolicyAnswers(desk.http.app, desk.shop).find("how long does express delivery take")
    assert section_name(found.ranked[0].block) == "shipping#express-delivery"
    assert not found.is_answered


@pytest.mark.parametrize(
    ("before", "told", "text", "name"),
    [
        ("can i pay by invoice", "payment#pay-by-invoice", "how long do i have to pay then", "payment#pay-by-invoice"),
        ("what does delivery cost", "shipping#delivery-cost", "and the fast one", "shipping#express-delivery"),
        (
            "how long are gift cards valid",
            "giftcards#how-long-they-last",
            "what is the smallest one",
            "giftcards#amounts",
        ),
    ],
)
async def test_a_question_that_goes_on_is_read_alone_and_with_the_one_before(desk, before, told, text, name):
    """A question that goes on from a section finds the one that it means, although its own words hardly say which."""
    alone = await serve(desk, policy_sections, text=text)
    joined = await serve(desk, policy_sections, text=f"{text}, {before}")
    found = going_on(text, alone, joined, told)
    assert (section_name(found.ranked[0].block), found.is_answered) == (name, True)
    assert found.chance == pytest.approx(found.ranked[0].chance)


async def test_without_a_second_reading_a_question_that_goes_on_is_read_once(desk):
    """If only one of both readings finds sections, they are those of that reading."""
    text, told = "what does delivery cost", "shipping#delivery-cost"
    found = await serve(desk, policy_sections, text=text)
    assert going_on(text, found, Found(), told) == found
    assert going_on(text, Found(), found, told) == found


async def test_a_changed_policy_is_found_as_it_holds_now(desk):
    """A section that is new is found at once, and one that was taken away is not."""
    text = "may i bring my zeppelin to the shop"
    assert not (await best(desk, text))[1]
    body = "## Zeppelins\nYou may bring your zeppelin to the shop on Mondays."
    records.put_policy(desk.conn, "zeppelins", title="Zeppelins", body=body, create=True, now=NOW)
    await desk.http.app.drain()
    assert await best(desk, text) == (["zeppelins#zeppelins", *(await best(desk, text))[0][1:]], True)
    records.delete_policy(desk.conn, "zeppelins")
    await desk.http.app.drain()
    assert "zeppelins#zeppelins" not in (await best(desk, text))[0]


async def test_the_gate_is_trained_on_the_shops_own_log(desk):
    """The trained gate counts nearness and known wordings for an answer, and has a least chance of its own."""
    gate = await desk.http.app.model(answer_gate)
    assert gate.weights[0] > 0
    assert gate.weights[1] > 0
    assert 0.0 < gate.least < 0.9


def test_training_tells_answers_from_none():
    """From clear signs the gate learns to let nearly all answers through, and to refuse what has none."""
    yes = [Signs(0.7 + n / 500, 0.8, 0.6, 0.0) for n in range(50)]
    no = [Signs(0.2 + n / 500, 0.3, 0.1, 0.0) for n in range(50)]
    gate = train(yes, no)
    assert sum(gate.chance(signs) >= gate.least for signs in yes) >= 49
    assert max(gate.chance(signs) for signs in no) < 0.5 < min(gate.chance(signs) for signs in yes)


TROUBLES = [
    ("my book arrived damaged", "damaged-on-arrival", {"back"}),
    ("I got the wrong book", "wrong-item", {"back", "pay"}),
    ("my book has blank pages", "printing-faults", set()),
]
ASPECTS = {
    "back": "do I have to send it back?",
    "pay": "do I have to pay for that?",
    "box": "and if I already threw the box away?",
}


@pytest.mark.parametrize("given", [{}, {"user": "u00003"}, {"metadata": {"session": "s"}}])
@pytest.mark.parametrize(("trouble", "section", "states"), TROUBLES)
async def test_what_follows_a_trouble_goes_on_from_its_section(desk, trouble, section, states, given):
    """What is asked after a trouble is answered by its section as far as that states it, and else said not stated."""
    replies = await desk.talk(trouble, *ASPECTS.values(), **given)
    policy = desk.shop.rules.policy("damaged")
    assert section in {s.id for s in policy.sections}
    quoted = replies[0][0]
    for aspect, (text, made) in zip(ASPECTS, replies[1:], strict=True):
        assert made["intent"] == "policy"
        if aspect in states:
            assert text.removeprefix(AS_SAID) == quoted
        else:
            assert text.startswith(ALL_STATED)
            assert quoted in text


async def test_another_question_after_a_trouble_is_answered_by_itself(desk):
    """A question that says what it is about does not go on from the trouble before it."""
    for question in ("what does express delivery cost?", "how can I pay?"):
        replies = await desk.talk("my book arrived damaged", question)
        assert replies[1][0] != replies[0][0]
        assert "Damaged on arrival" not in replies[1][0]
