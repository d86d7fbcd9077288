"""Each question of a generated log is answered from the right section or not from the bank."""

import random
from collections import Counter

import pytest

import parbake_semantic
from retail_assistant.faq.compile import SCOPE, compile_faq
from retail_assistant.faq.faq_words import Vocabulary
from retail_assistant.faq.match import Desk
from retail_assistant.knowledge.shop_views import LoggedQuery
from retail_assistant.shop.policies import Policy
from retail_assistant.understand.plain_words import bare
from retail_assistant.world.catalog import make_catalog
from retail_assistant.world.messages import make_messages
from retail_assistant.world.texts.grammar import expand_all
from retail_assistant.world.texts.texts_read import policies as policy_texts
from retail_assistant.world.texts.texts_read import questions

NOW = 1_790_000_000.0
SEEDS = (7, pytest.param(12, marks=pytest.mark.slow))
HELD_OUT = 9
TRUTH = {question.id: f"{question.policy}#{question.section}" for question in questions()}


class Shop:
    """A generated shop's bank, with its logged wordings and unused wordings, each with its tag."""

    def __init__(self, seed, embedder, messages=3000):
        self.embedder = embedder
        catalog = make_catalog(seed, products=60, now=NOW, days=90)
        rows = make_messages(seed, catalog, messages=messages, shoppers=60, now=NOW, days=90).rows
        told = [(text, tag, intent) for _, _, text, tag, intent in rows]
        log = [LoggedQuery(text, count, tag, intent) for (text, tag, intent), count in Counter(told).items()]
        policies = [Policy(p.id, p.title, p.body, p.facts, NOW) for p in policy_texts()]
        self.snapshot = compile_faq(log, [], policies, embedder)
        self.bank = parbake_semantic.BankReader(self.snapshot, embedder, audits=0.0)
        self.desk = Desk(self.bank, Vocabulary(self.snapshot.bank))
        self.logged = {bare(text): tag for text, tag, _ in told if tag}
        self.held_out = dict(self._unused(random.Random(seed)))

    def _unused(self, rng):
        for question in questions():
            texts = {bare(text) for pattern in question.patterns for text in expand_all(pattern)}
            unused = sorted(texts - set(self.logged))
            yield from ((text, question.id) for text in rng.sample(unused, min(HELD_OUT, len(unused))))

    def sections(self):
        """Return (tag, answer) of each logged wording that the bank answers."""
        bank = self.snapshot.bank
        named = ((bank.answers[owner], alias) for owner, alias in zip(bank.owner_of, bank.aliases, strict=True))
        answered = set(self.snapshot.answered)
        return {(self.logged[text], name) for name, text in named if name in answered and text in self.logged}

    def outcomes(self, texts):
        """Return for each tag how many wordings are answered right, answered wrong, and refused."""
        found = {}
        vectors = self.embedder.embed(list(texts))
        for (text, tag), vector in zip(texts.items(), vectors, strict=True):
            match = self.desk.judge(
                self.bank.ask(text, scope=SCOPE, vector=vector), text, parbake_semantic.screen(text)
            )
            outcome = "refused" if match.refusal else "right" if match.answer == TRUTH[tag] else "wrong"
            found.setdefault(tag, Counter())[outcome] += 1
        return found


@pytest.fixture(scope="module", params=SEEDS)
def shop(request, embedder):
    """Return the shop of each seed."""
    return Shop(request.param, embedder)


def test_a_known_wording_gets_its_own_section_or_none(shop):
    """No wording that the bank knows exactly is answered from a wrong section, and most are answered."""
    known = {text: tag for text, tag in shop.logged.items() if shop.bank.recall(text, scope=SCOPE)}
    assert len(known) > 500
    found = shop.outcomes(known)
    assert set(found) == set(TRUTH)
    assert not {tag: counts for tag, counts in found.items() if counts["wrong"]}
    assert sum(counts["right"] for counts in found.values()) > 0.8 * len(known)


def test_a_new_wording_gets_its_own_section_or_none(shop):
    """At most 2 % of the answers to unused wordings are wrong, and at least 60 % of the wordings are answered right."""
    found = shop.outcomes(shop.held_out)
    total = sum(found.values(), Counter())
    assert total["wrong"] <= 0.02 * (total["wrong"] + total["right"]), found
    assert total["right"] >= 0.6 * total.total()
    assert not {tag: counts for tag, counts in found.items() if counts["wrong"] > HELD_OUT / 3}


def test_every_section_of_the_bank_was_given_to_one_tag(shop):
    """No two tags of the log share a section."""
    bank = shop.snapshot.bank
    tags = {answer: set() for answer in shop.snapshot.answered}
    for owner, alias in zip(bank.owner_of, bank.aliases, strict=True):
        if bank.answers[owner] in tags and alias in shop.logged:
            tags[bank.answers[owner]].add(shop.logged[alias])
    assert {len(found) for found in tags.values()} == {1}


@pytest.mark.parametrize(("messages", "fewest"), [(200, 15), pytest.param(500, 25, marks=pytest.mark.slow)])
def test_a_small_log_gives_few_tags_a_section_rather_than_wrong_ones(messages, fewest, embedder):
    """With a small log fewer tags get a section, and nearly every section is right."""
    given = [Shop(seed, embedder, messages).sections() for seed in range(1, 5)]
    assert all(len(found) >= fewest for found in given), [len(found) for found in given]
    assert sum(TRUTH[tag] != answer for found in given for tag, answer in found) <= 1


def test_a_question_without_a_section_is_known_and_refused(shop):
    """Wordings of unanswered questions are refused, with the reason."""
    left_out = {
        alias: shop.bank.recall(alias, scope=SCOPE)
        for owner, alias in zip(shop.snapshot.bank.owner_of, shop.snapshot.bank.aliases, strict=True)
        if shop.snapshot.bank.answers[owner] in shop.snapshot.unanswered
    }
    assert left_out
    judged = (
        shop.desk.judge(verdict, text, parbake_semantic.screen(text)) for text, verdict in left_out.items() if verdict
    )
    refusals = {match.refusal for match in judged}
    assert "unanswered" in refusals
    assert "" not in refusals


@pytest.mark.parametrize("question", ["how long can I return an opened book", "return time for opened books"])
def test_a_question_that_names_another_section_is_not_answered_by_its_neighbour(shop, question):
    """A question about opened books is not answered from the return window, which is for unopened ones."""
    match = shop.desk.judge(shop.bank.ask(question, scope=SCOPE), question, parbake_semantic.screen(question))
    assert match.refusal or match.answer == "returns#opened-items"


def test_the_words_of_its_own_wordings_are_no_other_sections(shop):
    """A word names another section only if no wording of the answer contains it."""
    vocabulary = shop.desk.vocabulary
    assert vocabulary.names_another("how long can I return an opened book", "returns#return-window")
    assert not vocabulary.names_another("how long can I return an item", "returns#return-window")
    assert not vocabulary.names_another("how long can I return a xylophone", "returns#return-window")
