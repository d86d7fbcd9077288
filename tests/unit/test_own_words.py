"""The guard and the vetoes know general English, and the words of any field that a vocabulary brings."""

import re

import pytest

import parbake as pb
import parbake_semantic
from parbake_semantic import (
    BankReader,
    Explorations,
    Vocabulary,
    compile_questions,
    is_personal,
    screen,
    veto,
    vetoes_for,
)
from parbake_semantic.guard import unsupported

GARDEN = """
counted = ["seed", "seeds", "bulb", "bulbs", "pot"]
counted_from_one = ["pot"]
same = [["plant", "seedling", "shrub"], ["send", "lorry"], ["sow", "scatter"]]
opposites = [["perennial", "biennial"]]
things = ["shrub"]
own = ["hedge"]
befalls = ["planted"]
records = ["plots"]
holders = ["lease"]
own_questions = ["how many ... have i planted"]
deeds = ["sow"]
live = ["in bloom", "when will ... flower"]
acts = ["prune"]
"""
SOWING = "Scatter 30 seeds in each tray. We plant shrubs for free within 14 days. Watered trays cannot be returned."
SHOP_WORDS = (
    "books manga volume parcel shipped ship shipment courier refund basket cart invoice voucher instalment coupon promo"
    " ebook gift reward preorder hardcover chapter novel"
).split()
ALIAS = "how do i water a hedge"
VETOED = [
    ("own_state", "is my hedge planted", "is the hedge planted"),
    ("own_state", "show me my plots", ALIAS),
    ("own_state", "the number of my lease", ALIAS),
    ("own_state", "how many hedges have i planted", ALIAS),
    ("own_state", "did i sow the lawn", ALIAS),
    ("live_data", "which roses are in bloom", "which roses are red"),
    ("live_data", "when will the roses flower", "when are the roses red"),
    ("several_questions", "how do i water a hedge and prune the roses", ALIAS),
    ("polarity_differs", "is lavender biennial", "is lavender perennial"),
]
SUPPORTED = [
    "You sow 30 seeds in each tray.",
    "A seedling is planted for free within two weeks.",
    "You can't return a watered tray.",
]
UNSUPPORTED = [
    ("Sow 40 seeds in each tray.", "number"),
    ("We plant shrubs within 30 days.", "number"),
    ("Watered trays can be returned.", "polarity"),
    ("One pot is enough.", "number"),
]


@pytest.fixture(scope="module")
def garden(tmp_path_factory):
    """Return the vocabulary of a garden shop, read from a file."""
    path = tmp_path_factory.mktemp("garden") / "garden.toml"
    path.write_text(GARDEN)
    return Vocabulary.read(path)


@pytest.mark.parametrize("sentence", SUPPORTED)
def test_a_right_statement_about_another_field_passes(garden, sentence):
    """The guard lets a right sentence about gardens pass, also in words that mean the same in a garden only."""
    assert unsupported(sentence, [SOWING], vocabulary=garden) is None


@pytest.mark.parametrize(("sentence", "fault"), UNSUPPORTED)
def test_a_wrong_statement_about_another_field_is_stopped(garden, sentence, fault):
    """The guard stops a wrong number and the opposite of what the evidence says, with their fault."""
    found = unsupported(sentence, [SOWING], vocabulary=garden)
    assert found is not None
    assert found.fault == fault


def test_a_word_means_the_same_only_with_its_vocabulary(garden):
    """Two vocabularies in one process do not mix: "sow" is "scatter" in the garden, and nowhere else."""
    said, told = "Sow them with the lorry.", ["Scatter and send them."]
    assert unsupported(said, told, vocabulary=garden) is None
    assert unsupported(said, told) is not None


@pytest.mark.parametrize(("code", "question", "alias"), VETOED)
def test_each_list_of_a_vocabulary_has_its_veto(garden, code, question, alias):
    """A question in the words of a garden is refused with them, and is let through without them."""
    assert veto(question, alias, vetoes_for(garden)) == code
    assert veto(question, alias) is None


def test_what_a_question_names_may_be_called_it(garden):
    """A question that names a thing of the field and then calls it "it" needs no earlier question."""
    question = "can i move a shrub when it is wet"
    assert screen(question).refusal == "context_dependent"
    assert not screen(question, vetoes_for(garden)).refusal


def test_personal_is_what_the_vocabulary_calls_a_customers_own(garden):
    """A bank learns no wording that is personal by its vocabulary."""
    assert is_personal("is my hedge planted", garden)
    assert not is_personal("is my hedge planted")
    assert Explorations(fewest=1).note("is my hedge planted", "hedge", "ann")
    assert not Explorations(fewest=1, vetoes=vetoes_for(garden)).note("is my hedge planted", "hedge", "ann")


def test_a_bank_screens_a_question_again_that_was_screened_with_other_words(garden):
    """A bank with the words of a field does not trust a screening without them."""
    bank = BankReader(compile_questions(Flat(), {}), Flat(), vetoes=vetoes_for(garden))
    assert bank.ask(screen("is my hedge planted")).reason == "own_state"
    assert bank.ask(screen("is my hedge planted", vetoes_for(garden))).reason == "own_state"


class Flat:
    """An embedder for which all texts are the same."""

    dimensions, model_hash = 2, "flat"

    def embed(self, texts):
        """Return the same unit vector for each text."""
        return [[1.0, 0.0] for _ in texts]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('counted = "seed"', r"words\.toml: Expected `array`.*\$\.counted"),
        ("seeds = []", r"words\.toml: .*`seeds`"),
        ("same = [", r"words\.toml: "),
    ],
)
def test_a_malformed_file_is_refused_with_its_name_and_list(tmp_path, text, told):
    """An invalid vocabulary file is refused, and the message names the file and the list."""
    path = tmp_path / "words.toml"
    path.write_text(text)
    with pytest.raises(pb.BadInput, match=told):
        Vocabulary.read(path)


def test_the_package_holds_no_word_of_a_shop(root):
    """No code and no data of the package has a word that only a bookshop uses."""
    folder = root / "src/parbake_semantic"
    shop_word = re.compile(rf"\b(?:{'|'.join(SHOP_WORDS)})s?\b", re.IGNORECASE)
    found = {
        f"{path.relative_to(folder)}: {word}"
        for path in [*folder.rglob("*.py"), *folder.rglob("*.toml")]
        if path.parent.name in {"guard", "text", "parbake_semantic"}
        for word in shop_word.findall(without_docstrings(path.read_text()))
    }
    assert parbake_semantic.__file__ == str(folder / "__init__.py")
    assert found == set()


def without_docstrings(text):
    """Return code without docstrings and comments, which may name an example."""
    text = re.sub(r'"""[\s\S]*?"""', "", text)
    return re.sub(r"#.*", "", text)
