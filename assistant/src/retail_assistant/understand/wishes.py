"""What the words of a message ask of a list of products, and how two sets of wishes become one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

Sort = Literal["", "price", "-price", "-new", "-rating"]
Names = frozenset[str]
NONE: Names = frozenset()


class Wishes(msgspec.Struct, frozen=True):
    """Stated constraints on products. An empty set asks nothing; prices are in cents, both ends included.

    ``themes`` are words that a product's text must have (of "dragons or pirates" one), ``no_themes`` words that it must
    not have. ``count`` is how many are wanted, and ``single`` asks for books that are complete in one volume.
    """

    genres: Names = NONE
    no_genres: Names = NONE
    formats: Names = NONE
    no_formats: Names = NONE
    authors: Names = NONE
    no_authors: Names = NONE
    series: Names = NONE
    no_series: Names = NONE
    themes: Names = NONE
    no_themes: Names = NONE
    volume: int | None = None
    single: bool = False
    most_cents: int | None = None
    least_cents: int | None = None
    sort: Sort = ""
    count: int | None = None

    def allow(self, genre: str, format_: str, cents: int) -> bool:
        """Whether the genre, the format and the price of a product fit."""
        return (
            genre not in self.no_genres
            and format_ not in self.no_formats
            and (not self.genres or genre in self.genres)
            and (not self.formats or format_ in self.formats)
            and (self.most_cents is None or cents <= self.most_cents)
            and (self.least_cents is None or cents >= self.least_cents)
        )

    @property
    def theme_words(self) -> Names:
        """The single words of the themes."""
        return words_of(self.themes)

    @property
    def are_stated(self) -> bool:
        """Whether anything but an order or a number of products is asked for."""
        return msgspec.structs.replace(self, sort="", count=None) != NO_WISHES

    def then(self, later: Wishes) -> Wishes:
        """These wishes as a later message changes them: what it states replaces what it contradicts."""
        changed = {
            name: getattr(later, name)
            for name in self.__struct_fields__
            if getattr(later, name) != getattr(NO_WISHES, name)
        }
        for wanted in ("genres", "formats", "authors", "series", "themes"):
            added, refused = getattr(later, wanted), getattr(later, f"no_{wanted}")
            changed[f"no_{wanted}"] = (getattr(self, f"no_{wanted}") - added) | refused
            if not added:
                changed[wanted] = getattr(self, wanted) - refused
            elif wanted == "themes":
                changed[wanted] = added
        if later.series or later.authors:  # another series or author is another search
            changed.setdefault("volume", None)
            changed["themes"] = later.themes
        return msgspec.structs.replace(self, **changed)


NO_WISHES = Wishes()


def words_of(themes: Names) -> Names:
    """The single words of some themes."""
    return frozenset(word for theme in themes for word in theme.split() if word != "or")


_NEGATORS = frozenset(
    {
        "no", "not", "without", "except", "avoid", "avoiding", "nothing", "never", "dont", "don't", "isn't", "hate",
        "dislike", "skip", "exclude", "excluding", "but-not", "minus", "neither", "aren't", "can't",
        "hates", "dislikes", "doesn't", "doesnt", "didn't", "won't", "wont",
    }
)  # fmt: skip
_TURNS = frozenset({"but", "rather", "instead", "prefer", "only", "just", ".", ";", "!", "?", ",", ":"})
_JOINS = frozenset({"or", "and", "nor"})
_REACH = 4
_NOT_MUCH = re.compile(
    r"\b(?:not|isn't|aren't) (?:too |very |so |that )?"
    r"(?:expensive|dear|long|short|old|new|thick|big|complicated|difficult|heavy)\b"
)
"""A negation that does not refuse what follows: "a not too expensive thriller"."""
_OTHER_THAN = re.compile(
    r"\b(?:other than|rather than|instead of|apart from|tired of|enough of|sick of|fed up with|bored (?:of|with)"
    r"|(?:has|have|got|owns?|'ve) (?:already )?(?:a lot|lots|many|enough|plenty|tons) of"
    r"|(?:has|have|got|owns?|read|'ve) (?:already )?all (?:of )?(?:the|his|her|their)|anything but|everything but"
    r"|all but|everything except|not into)\b"
)


class Found(msgspec.Struct, frozen=True):
    """Which names a text contains and whether each is wanted, by kind (``genre``, ``format``, ``author``)."""

    wanted: Mapping[tuple[str, str], bool]

    def of(self, kind: str, *, wanted: bool) -> Names:
        """The names of a kind that are wanted, or are not."""
        return frozenset(name for (k, name), is_wanted in self.wanted.items() if k == kind and is_wanted == wanted)


def judged(text: str, spelled: re.Pattern[str], names: Mapping[str, tuple[str, str]]) -> Found:
    """Find names in a text, and decide which are wanted.

    A name is unwanted when a negation ("no", "without", "other than") stands at most four words before it in the same
    clause; later words win over earlier ones.
    """
    wanted: dict[tuple[str, str], bool] = {}
    found = spelled.findall(_OTHER_THAN.sub("except", _NOT_MUCH.sub(" ", text)))
    reach, before = 0, ""
    for word, following in zip(found, [*found, ""][1:], strict=True):
        name = names.get(word)
        if name is not None:
            wanted[name] = reach == 0
            reach = _REACH if reach else 0
        elif word in _NEGATORS:
            reach = _REACH
        elif word == "," and (following in _JOINS or following in names) and reach and before in names:
            pass
        elif word in _TURNS:
            reach = 0
        elif word not in _JOINS:
            reach = max(0, reach - 1)
        before = word
    return Found(wanted)
