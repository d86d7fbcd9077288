"""Wishes, subjects and words that a message states by itself."""

import time

import msgspec
import pytest

from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.names.volumes import LAST
from retail_assistant.understand.wishes import NO_WISHES, Wishes

NILS, GATE = "An Apron for Nils", "Escape of Silver Gate"


def some(*names):
    """Return a set of names."""
    return frozenset(names)


@pytest.mark.parametrize(
    ("message", "wishes"),
    [
        ("a thriller in paperback up to 10 euros", {
            "genres": {"thriller"}, "formats": {"paperback"}, "most_cents": 1000,
        }),
        ("fantasy but no ebooks", {"genres": {"fantasy"}, "no_formats": {"digital"}}),
        ("two thrillers by Zelda Kato", {"genres": {"thriller"}, "authors": {"Zelda Kato"}, "count": 2}),
        ("the top 5 comedies", {"genres": {"comedy"}, "count": 5}),
        ("the cheapest romance", {"genres": {"romance"}, "sort": "price"}),
        ("the most expensive romance", {"genres": {"romance"}, "sort": "-price"}),
        ("the best rated mystery", {"genres": {"mystery"}, "sort": "-rating"}),
        ("the latest horror releases", {"genres": {"horror"}, "sort": "-new"}),
        ("a standalone mystery", {"genres": {"mystery"}, "single": True}),
        ("a one-shot romance", {"genres": {"romance"}, "single": True}),
        ("books about dragons", {"themes": {"dragons"}}),
        ("dragon stories", {"themes": {"dragon"}}),
        ("a thriller about dragons but no lighthouse", {
            "genres": {"thriller"}, "themes": {"dragons"}, "no_themes": {"lighthouse"},
        }),
        ("hello", {}),
        ("what is your return window?", {}),
    ],
)  # fmt: skip
def test_wishes_are_read_together(read, message, wishes):
    """Genres, formats, authors, prices, themes, number and order of one message are read together, and nothing else."""
    stated = {name: some(*value) if isinstance(value, set) else value for name, value in wishes.items()}
    found = read(message).wishes
    assert msgspec.structs.replace(found, no_themes=found.no_themes & some("lighthouse")) == Wishes(**stated)


@pytest.mark.parametrize(
    ("message", "sort"),
    [
        ("the newest horror books", "-new"),
        ("recent horror novels", "-new"),
        ("the highest rated horror books", "-rating"),
        ("top-rated horror books", "-rating"),
        ("the cheapest horror books", "price"),
    ],
)
def test_the_words_of_an_order_are_not_themes(read, message, sort):
    """Words that say how a list is sorted do not ask for books about them as well."""
    assert read(message).wishes == Wishes(genres=some("horror"), sort=sort)


def test_a_genre_in_a_title_is_not_a_wish(read):
    """The words of a title do not ask for a genre, and the same words outside of it do."""
    assert read("How much is A Romance in Winter?").wishes == NO_WISHES
    assert read("A romance that is like A Romance in Winter").wishes.genres == some("romance")


@pytest.mark.parametrize(
    ("message", "volume", "form"),
    [
        (f"how much is {GATE} 3?", 3, None),
        (f"how much is the third volume of {GATE} in paperback?", 3, "paperback"),
        (f"how much is volume three of the series {GATE}?", 3, None),
        (f"how much is the last volume of {GATE}?", LAST, None),
        (f"how much is {NILS} as an ebook?", None, "digital"),
        (f"is {NILS} cheaper in paperback or in hardcover?", None, None),
        (f"how much is {NILS}?", None, None),
    ],
)
def test_volume_and_format_narrow_a_title(read, message, volume, form):
    """A subject has the volume that is said with its title, and the format if only one is named."""
    (subject,) = read(message).subjects
    assert (subject.source, subject.volume, subject.format) == ("message", volume, form)


def test_misspelled_messages_are_read_as_they_were_meant(read):
    """A message with errors is read like the right one, and what was typed is kept beside it."""
    ask = read("how mch is escpe of silvr gate 3 in paperbak?")
    assert [(s.name, s.volume, s.format) for s in ask.subjects] == [(GATE, 3, "paperback")]
    assert ask.best.kind == "offer"
    assert ask.said == "how mch is escpe of silvr gate 3 in paperbak?"


def test_markup_is_not_part_of_a_message(read):
    """Tags and scripts are taken out of what is read."""
    assert read("<b>where</b> is <script>x</script> my order?").text.split() == ["where", "is", "my", "order?"]


def test_two_questions_are_read_apart(parser):
    """Of two questions each has its own kind, and the second is about the title of the first."""
    price, plot = parser.read(f"How much is {GATE} 2 and what is it about?")
    assert (price.best.kind, plot.best.slot) == ("offer", "plot")
    assert [(s.name, s.volume) for s in plot.subjects] == [(GATE, 2)]


def test_two_questions_about_different_things_keep_their_subjects(parser):
    """A title in the second question is not mixed with the one of the first."""
    first, second = parser.read(f"How much is {GATE} 2? Who wrote {NILS}?")
    assert [s.name for s in first.subjects] == [GATE]
    assert [s.name for s in second.subjects] == [NILS]


@pytest.mark.parametrize(
    ("message", "is_like"),
    [
        (f"something like {GATE}", True),
        (f"I loved {GATE}, what should I read?", True),
        (f"what is {GATE} about?", False),
        ("I would like a thriller", False),
    ],
)
def test_who_wants_something_like_a_book_does_not_want_that_book(read, message, is_like):
    """Only a title with words of likeness asks for books that resemble it."""
    assert read(message).like is is_like


@pytest.mark.parametrize(("message", "words"), [("zeppelin balloon", "goods"), ("lighthouse dragons", "words")])
def test_a_few_words_of_the_catalog_ask_for_books(read, message, words):
    """Bare words that the catalog has ask for books about them, and unknown ones for goods that are not sold."""
    assert (read(message).best.kind, read(message).best.slot) == ("list", words)


def test_words_that_name_nothing_are_left_over(read):
    """Content words that are neither names nor filler are kept, each once."""
    assert read("are your envelopes made of recycled paper, envelopes?").leftover == ("envelopes", "made", "recycled")


class TestPage:
    """A question on the page of a product."""

    PAGE = "P009"

    @pytest.mark.parametrize(
        "message", ["how much is this?", "is it in stock?", "what is it about?", "any reviews?", "add this to my cart"]
    )
    def test_a_page_is_the_subject_of_what_names_nothing(self, read, message):
        """A question on a product's page that does not name a product is about that one."""
        (subject,) = read(message, page=self.PAGE).subjects
        assert (subject.source, subject.asin) == ("page", self.PAGE)

    def test_a_title_in_the_message_comes_before_the_page(self, read):
        """A named title is the subject, whatever the page."""
        (subject,) = read(f"how much is {NILS}?", page=self.PAGE).subjects
        assert (subject.source, subject.name) == ("message", NILS)

    def test_this_compared_with_a_title_is_the_page(self, read):
        """In a comparison with a named title "this" is the product of the page."""
        page, named = read(f"is this cheaper than {NILS}?", page=self.PAGE).subjects
        assert (page.source, page.asin, named.name) == ("page", self.PAGE, NILS)
        assert [s.source for s in read(f"is this {NILS}?", page=self.PAGE).subjects] == ["message"]

    def test_this_is_the_page_and_not_the_product_last_spoken_of(self, read):
        """The word "this" means the page's product, also after another was spoken of; without a page it is that one."""
        said = Dialogue(shown=("P002",), focus="P002", kind="facts", slot="plot", turns=1)
        assert [s.asin for s in read("how much is this?", said, self.PAGE).subjects] == [self.PAGE]
        assert [s.asin for s in read("how much is this?", said).subjects] == ["P002"]

    def test_volume_and_format_narrow_the_page(self, read):
        """A volume and a format that are asked for narrow the product of the page."""
        (subject,) = read("how much is volume 2 of this as an ebook?", page=self.PAGE).subjects
        assert (subject.asin, subject.volume, subject.format) == (self.PAGE, 2, "digital")

    def test_a_long_question_without_a_pronoun_is_about_the_page_only_at_first(self, read):
        """Without "this" a page is meant until another product was spoken of."""
        said = Dialogue(shown=("P002",), focus="P002", kind="facts", turns=1)
        message = "how many copies are there left in your warehouse"
        assert [s.source for s in read(message, page=self.PAGE).subjects] == ["page"]
        assert read(message, said, self.PAGE).subjects == ()


@pytest.mark.parametrize(
    ("message", "themes"),
    [
        ("books about dragons or pirates", {"dragons or pirates"}),
        ("a book about dragons, pirates or ghosts", {"dragons or pirates or ghosts"}),
        ("dragon or pirate stories", {"dragon or pirate"}),
        ("books about magic and dragons or pirates", {"magic", "dragons or pirates"}),
        ("books about dragons and pirates", {"dragons", "pirates"}),
        ("something with talking cats or lighthouses", {"talking cats or lighthouses"}),
        ("books about dragons or anything", {"dragons"}),
        ("books about dragons in paperback or hardcover", {"dragons"}),
        ("dragons or lighthouse", {"dragons or lighthouse"}),
    ],
)
def test_an_or_between_themes_leaves_a_choice(read, message, themes):
    """Themes joined by "or" are one wish that either fulfils; those joined by "and" are wishes of their own."""
    assert read(message).wishes.themes == themes


def test_a_choice_of_themes_after_a_list_refines_it(read):
    """After a list, themes joined by "or" are one wish too."""
    said = Dialogue(kind="list", shown=("P001", "P002"), offered=("P001", "P002"), turns=1)
    assert read("with dragons or pirates", said).wishes.themes == {"dragons or pirates"}
    assert read("dragons or lighthouse", said).wishes.themes == {"dragons or lighthouse"}


def test_a_run_of_digits_is_read_as_far_as_any_number_goes(parser):
    """Thousands of digits are cut short before they are searched for prices, volumes and numbers of orders."""
    (ask,) = parser.read("how much is " + "9" * 8000)
    assert len(ask.text) < 40
    assert parser.read("where is order A1003456789?")[0].text == "where is order a1003456789?"


def test_a_phrase_after_no_is_left_out_and_the_next_wish_is_not(read):
    """A wish for no magic schools leaves out both words together, and the format behind it is wanted."""
    wishes = read("romance but no school stuff and no magic triangles, hardcover").wishes
    assert wishes.no_themes == {"school", "magic triangles"}
    assert (wishes.genres, wishes.formats, wishes.no_formats) == ({"romance"}, {"hardcover"}, frozenset())
    assert read("no horror, thriller or romance").wishes.no_genres == {"horror", "thriller", "romance"}


@pytest.mark.parametrize(
    "message",
    [
        "bought a present for my sister, how long does she have to return it?",
        "stop recommending stuff based on what I looked at",
        "can I report a book with missing pages after 4 days?",
    ],
)
def test_a_question_about_rules_asks_for_no_list(read, message):
    """The parser reads no wish for books from a present, a recommendation or a latest day in a question about rules."""
    assert all(reading.kind != "list" for reading in read(message).readings)


@pytest.mark.parametrize(
    "text", ["#" * 8000, "# " * 4000, "vol " * 2000, "vol." * 2000, "1-" * 4000, "#" + " " * 7900 + "x"]
)
def test_long_runs_of_signs_and_words_are_read_at_once(parser, text):
    """A message of signs or of the same word costs less than fifty long questions."""

    def cost(message):
        before = time.thread_time()
        parser.read(message)
        return time.thread_time() - before

    question = ("Do you have a book about dragons and lighthouse keepers for under ten euros? " * 200)[: len(text)]
    assert min(cost(text) for _ in range(3)) < 50 * max(cost(question) for _ in range(3))
