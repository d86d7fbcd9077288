"""What kind of question is answered, decided between the words of a message and the chance that a policy answers."""

import pytest

from retail_assistant.answers.policy.policy_answers import verdict
from retail_assistant.answers.policy.sections import Found, Gate, Ranked, Signs
from retail_assistant.answers.remarks import ask_back
from retail_assistant.chat.deciding import HEAD_SURE, SURE, decide, is_sure
from retail_assistant.chat.intent import Intent
from retail_assistant.knowledge.blocks import Block
from retail_assistant.understand.ask import Ask, Reading
from retail_assistant.understand.dialogue import NEW, Dialogue

SECTION = Ranked(Block("policy/a/b", "policy/a", "A", "Text.", b"", 0.0), 1.0, Signs(1.0, 1.0, 1.0, 0.0))


def found(chance, least=0.3):
    """Return a section that answers with a chance."""
    return Found((SECTION,), chance, least)


def ask(*readings, text="a question of some length", **members):
    """Return a question with readings of these kinds and weights."""
    weighed = tuple(Reading(kind, "", weight) for kind, weight in readings)
    return Ask(text, text, readings=weighed, leftover=("some", "words"), **members)


def kind(question, sections, *, said=NEW, head=None, is_known=True):
    """Return the kind that is decided for."""
    return decide(question, sections, head, said, is_known=is_known).kind


@pytest.mark.parametrize(
    ("weight", "chance", "decided"),
    [(2.8, 0.9, "offer"), (2.0, 0.9, "policy"), (2.0, 0.1, "offer"), (1.7, 0.35, "offer"), (0.3, 0.1, "policy")],
)
def test_the_stronger_of_words_and_policies_decides(weight, chance, decided):
    """A reading wins over a section that is less sure, and a sure section over weak words."""
    assert kind(ask(("offer", weight)), found(chance)) == decided


@pytest.mark.parametrize(("weight", "sure"), [(SURE, True), (SURE - 0.1, False)])
def test_strong_words_need_no_look_at_the_policies(weight, sure):
    """From a certain weight the words alone decide, unless they also ask for a policy."""
    assert is_sure(ask(("offer", weight)), is_known=False) is sure
    assert not is_sure(ask(("offer", weight), ("policy", 1.0)), is_known=True)


@pytest.mark.parametrize(("kind_", "is_known", "sure"), [
    ("orders", True, True), ("orders", False, False), ("points", False, False), ("offer", False, True),
])  # fmt: skip
def test_a_question_for_own_things_is_sure_only_from_a_shopper(kind_, is_known, sure):
    """A question about one's own things is not sure from a stranger, whom a policy may answer in general."""
    assert is_sure(ask((kind_, SURE)), is_known=is_known) is sure


@pytest.mark.parametrize(("is_known", "decided"), [(True, "points"), (False, "policy")])
def test_what_a_stranger_has_gives_way_to_a_policy(is_known, decided):
    """A weak question about one's own points is answered from a policy if nobody is signed in, and live otherwise."""
    assert kind(ask(("points", 2.4)), found(0.6), is_known=is_known) == decided


def test_a_stranger_is_not_told_a_policy_that_does_not_answer():
    """If no policy answers, a stranger's question about own points is still answered as one."""
    assert kind(ask(("points", 2.4)), found(0.2), is_known=False) == "points"


def test_a_question_that_goes_on_from_a_policy_leans_to_one():
    """After a question about a policy, a follow-up of weak words is one, too."""
    said = Dialogue(kind="policy", section="a#b", turns=1)
    follow_up = ask(("offer", 1.5), follows=True)
    assert kind(follow_up, found(0.4, 0.9), said=said) != kind(follow_up, found(0.9, 0.3), said=said)
    assert kind(ask(("offer", 2.2), follows=True), found(0.8), said=said) == "policy"
    assert kind(ask(("offer", 2.2)), found(0.8), said=said) == "offer"


@pytest.mark.parametrize(
    ("name", "probability", "decided"),
    [
        ("recommendation", HEAD_SURE, "list"),
        ("price_stock", HEAD_SURE, "offer"),
        ("smalltalk", HEAD_SURE, "social"),
        ("recommendation", HEAD_SURE - 0.01, "policy"),
    ],
)
def test_where_words_say_nothing_a_sure_head_decides(name, probability, decided):
    """Without any reading the trained head decides if it is sure, and the policies otherwise."""
    assert kind(ask(), found(0.1), head=Intent(name, probability)) == decided
    assert kind(ask(("list", 1.8)), found(0.1), head=Intent("smalltalk", 0.9)) == "list"


@pytest.mark.parametrize(("text", "decided"), [("blue", "unclear"), ("very blue indeed", "policy")])
def test_a_word_or_two_that_say_nothing_are_asked_back(text, decided):
    """One or two words that nothing answers are asked back; more words are taken for a question about a policy."""
    assert kind(ask(text=text), found(0.1)) == decided


@pytest.mark.parametrize(
    ("readings", "asks"),
    [
        ((), "Is it about {{goods:an_item}} (which one?), an order, or one of our policies?"),
        ((("policy", 0.2),), "Is it about {{goods:an_item}} (which one?), an order, or one of our policies?"),
        (
            (("offer", 0.5),),
            "Is it {{goods:items}} that I should suggest, or one of our policies, such as returns or delivery?",
        ),
    ],
)
def test_a_word_that_hints_at_something_is_asked_back_in_other_words(readings, asks):
    """The question for what is meant depends on whether the word or two hint at anything but a policy."""
    unclear = decide(ask(*readings, text="blue"), found(0.1), None, NEW, is_known=True)
    assert ask_back(unclear.slot).text == f"I am not sure what you mean. {asks}"


def test_a_first_message_that_points_at_nothing_is_asked_back():
    """Who begins with "it" is asked what is meant, unless something is spoken of or the words are sure."""
    vague = Ask("can i return it", "can i return it", readings=(Reading("policy", "", 0.7),))
    assert kind(vague, found(0.4)) == "unclear"
    assert kind(vague, found(0.4), said=Dialogue(turns=1)) == "policy"
    assert kind(vague, found(HEAD_SURE)) == "policy"


GATE = Gate()


def test_each_sign_adds_to_the_chance():
    """The chance is between 0 and 1, and grows with nearness, with a known wording and with what is stated."""
    least, most = GATE.chance(Signs(0.0, 0.0, 0.0, 0.0)), GATE.chance(Signs(1.0, 1.0, 1.0, 0.0))
    assert 0.0 < least < 0.2
    assert 0.9 < most < 1.0
    for better in (Signs(0.6, 0.5, 0.5, 0.0), Signs(0.5, 0.6, 0.5, 0.0), Signs(0.5, 0.5, 0.6, 0.0)):
        assert GATE.chance(better) > GATE.chance(Signs(0.5, 0.5, 0.5, 0.0))


def test_what_no_section_states_lowers_the_chance():
    """Each thing that is asked and that no section states leaves less of the chance."""
    chances = [GATE.chance(Signs(1.0, 1.0, 1.0, float(unheard))) for unheard in range(3)]
    assert chances == sorted(chances, reverse=True)
    assert chances[2] < chances[0] / 4


@pytest.mark.parametrize(("chance", "is_answered"), [(0.3, True), (0.29, False)])
def test_a_section_answers_from_the_least_chance_on(chance, is_answered):
    """A section may be quoted from the least chance on; if no section was found, nothing may be quoted."""
    assert found(chance).is_answered is is_answered
    assert not Found((), 1.0, 0.0).is_answered


WINDOW = "You can return a book within 30 days of delivery."


@pytest.mark.parametrize(
    ("question", "begins"),
    [
        ("can i return it after 30 days?", "Yes, that is in time: "),
        ("can i return it after 31 days?", "No, that is too late: "),
        ("can i return it after three weeks?", "Yes, that is in time: "),
        ("can i return it after two months?", "No, that is too late: "),
        ("is it too late after 40 days?", "Yes, that is too late: "),
        ("is it too late after 10 days?", "No, that is in time: "),
        ("is the return window only 14 days?", ""),
        ("do i have to return it within 20 days?", ""),
        ("can i return a read book after 20 days?", ""),
        ("can i return it after 20 days if the spine is creased?", ""),
        ("can i get my data in 20 days?", ""),
        ("how long can i return it?", ""),
        ("what happens after 40 days?", ""),
        ("can i return it after 10 days or after 40 days?", ""),
    ],
)
def test_one_duration_against_one_limit_is_a_yes_or_a_no(question, begins):
    """A question with one duration gets a yes or a no by the section's only limit, which is included."""
    assert verdict(question, WINDOW) == begins


def test_a_section_without_a_single_limit_gives_no_verdict():
    """Without a limit, or with two different ones, a section is quoted without a yes or a no."""
    assert verdict("can i return it after 40 days?", "Returns are free.") == ""
    assert verdict("can i return it after 40 days?", f"{WINDOW} Opened ones within 14 days.") == ""
