"""A model's text is cut into units, whatever pieces it arrives in."""

from hypothesis import given
from hypothesis import strategies as st

from retail_assistant.chat.spoken.units import Cutter, Unit, units

SAID = """~ I'm sorry you are feeling low.
> {r1.1}: cosy, with a bakery. [r3.1]
+ shipping#express-delivery.2
= sum r1.1 r1.3
- = 2 * 32 points
! unstated pages
? Shall I look for something gentler?
**Great question!** It costs \u20ac5. [r1.1] And it is kind (r1.2). No. 5 is fine.
- The first is short [r1.1, r1.2].
1. {r1.2} is longer.
**2.** {r1.3} is *shorter*.
[returns#return-window]
"""
UNITS = [
    Unit("talk", "I'm sorry you are feeling low."),
    Unit("claim", "{r1.1}: cosy, with a bakery.", ("r1.1", "r3.1")),
    Unit("section", "shipping#express-delivery.2", ("shipping#express-delivery.2",)),
    Unit("sum", "sum r1.1 r1.3", ("r1.1", "r1.3")),
    Unit("sum", "2 * 32 points"),
    Unit("unstated", "unstated pages"),
    Unit("question", "Shall I look for something gentler?"),
    Unit("talk", "Great question!"),
    Unit("claim", "It costs \u20ac5.", ("r1.1",)),
    Unit("claim", "And it is kind.", ("r1.2",)),
    Unit("talk", "No. 5 is fine."),
    Unit("claim", "The first is short.", ("r1.1", "r1.2")),
    Unit("claim", "{r1.2} is longer.", ("r1.2",)),
    Unit("claim", "{r1.3} is shorter.", ("r1.3",)),
    Unit("section", "", ("returns#return-window",)),
]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=400))
def test_the_units_do_not_depend_on_the_pieces(sizes):
    """However a text is cut on its way, its units are the same."""
    cutter, found, at = Cutter(), [], 0
    for size in [*sizes, len(SAID)]:
        found += cutter.feed(SAID[at : at + size])
        at += size
    assert [*found, *cutter.end()] == UNITS


def test_a_marked_line_is_a_unit_as_soon_as_it_ends():
    """The first line is released while the second is still being written."""
    cutter = Cutter()
    assert list(cutter.feed("~ Of course.\n> It is")) == [Unit("talk", "Of course.")]
    assert list(cutter.feed(" kind. [r1.1]\n")) == [Unit("claim", "It is kind.", ("r1.1",))]


def test_a_text_without_an_end_is_cut():
    """A line that reaches the longest length is released as a unit, although it has not ended."""
    assert len(list(Cutter().feed("~ " + "so " * 1000))) == 1


def test_a_bare_name_in_a_sentence_is_a_word():
    """Only what stands in brackets or braces refers to something."""
    assert list(units("The robot r2 is kind.")) == [Unit("talk", "The robot r2 is kind.")]
