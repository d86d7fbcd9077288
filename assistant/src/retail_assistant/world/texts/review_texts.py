"""Sentences that reviews are put together from. Slots: {series}, {author}, {theme}, {genre}, {volume}."""

from __future__ import annotations

ASPECTS = ("art", "story", "characters", "pacing", "translation", "print")

PRAISE: dict[str, tuple[str, ...]] = {
    "art": (
        "The artwork is stunning, every panel is worth a second look.",
        "{author} draws faces like nobody else.",
        "Beautiful line work, especially in the quiet scenes.",
        "The double pages alone are worth the price.",
    ),
    "story": (
        "The plot kept me guessing until the last page.",
        "What {author} does with {theme} feels fresh.",
        "A clever story that respects its readers.",
        "I did not see that twist coming.",
    ),
    "characters": (
        "I cared about everyone, even the villains.",
        "The main characters grow in a believable way.",
        "The dialogue between the leads is a joy.",
        "Side characters get real room to breathe.",
    ),
    "pacing": (
        "It never drags; I read it in one evening.",
        "The pace is just right, with room for small moments.",
        "Short chapters, and each ends where it should.",
    ),
    "translation": (
        "The translation reads naturally.",
        "Jokes survive the translation, which is rare.",
        "Good notes explain what cannot be translated.",
    ),
    "print": (
        "Thick paper and a solid binding.",
        "The print is crisp and the cover feels lovely.",
        "It sits well in the hand and stays open.",
    ),
}
BLAME: dict[str, tuple[str, ...]] = {
    "art": (
        "The art is stiff and the backgrounds are empty.",
        "In the action scenes I could not tell who is who.",
        "The drawings look rushed in places.",
    ),
    "story": (
        "The plot goes in circles.",
        "I have read this story about {theme} too many times.",
        "The twist makes no sense when you think about it.",
        "Too many loose ends.",
    ),
    "characters": (
        "The characters stay flat.",
        "I did not care what happened to anyone.",
        "The lead makes the same mistake again and again.",
    ),
    "pacing": (
        "It takes far too long to get going.",
        "The middle drags badly.",
        "Everything important happens in the last ten pages.",
    ),
    "translation": (
        "The translation is clumsy.",
        "There are typing errors on nearly every page.",
        "Names are spelled differently from one volume to the next.",
    ),
    "print": (
        "The binding came loose after one reading.",
        "The paper is so thin that the other side shows.",
        "The print is too dark in the night scenes.",
    ),
}
OPENING: dict[int, tuple[str, ...]] = {
    5: ("I love {series}.", "One of the best {genre} series I know.", "Simply wonderful.", "A treasure."),
    4: ("A very good read.", "Better than I expected.", "I liked {series} a lot.", "Good reading for {genre} fans."),
    3: ("It is all right.", "Some of it works, some does not.", "A decent book, no more.", "Mixed feelings."),
    2: ("I expected more of {series}.", "A bit of a letdown.", "Not really for me.", "Rather weak."),
    1: ("I gave up halfway.", "A waste of paper.", "I regret buying this.", "Very disappointing."),
}
CLOSING: dict[int, tuple[str, ...]] = {
    5: ("I have already ordered the next one.", "Read it!", "A must for anyone who likes {theme}."),
    4: ("I will go on reading.", "Recommended to fans of {theme}.", "Looking forward to more by {author}."),
    3: ("I may try one more volume.", "Borrow it before you buy it.", "Fine for a train ride."),
    2: ("I will probably stop here.", "Only for patient readers.", "Wait for a sale."),
    1: ("Stay away.", "I am sending it back.", "Never again."),
}
