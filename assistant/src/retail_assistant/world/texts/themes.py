"""The themes of series, and the usual genres of each theme."""

from __future__ import annotations

from typing import NamedTuple

GENRES = (
    "action",
    "fantasy",
    "science fiction",
    "romance",
    "mystery",
    "horror",
    "slice of life",
    "sports",
    "historical",
    "comedy",
    "cooking",
    "thriller",
)


class Theme(NamedTuple):
    """A theme: a name, a clause that continues "a story of ...", and its usual genres."""

    name: str
    clause: str
    genres: tuple[str, ...]


THEMES = (
    Theme("swordsmanship", "swords, rivals and the discipline it takes to hold a blade", ("action", "historical")),
    Theme("martial arts", "martial arts schools and old grudges", ("action", "sports")),
    Theme("demon hunters", "hunters who track demons through the night", ("action", "fantasy", "horror")),
    Theme("superpowers", "ordinary people with powers that they never asked for", ("action", "science fiction")),
    Theme("pirates", "pirates, stolen maps and open water", ("action", "fantasy")),
    Theme("mercenaries", "mercenaries who sell everything but their word", ("action", "thriller")),
    Theme("revenge", "a promise of revenge that grows heavier each year", ("action", "thriller", "historical")),
    Theme("dragons", "dragons and the few who can speak to them", ("fantasy",)),
    Theme("magic academy", "a school of magic with too many locked doors", ("fantasy", "comedy")),
    Theme("another world", "a traveller who wakes up in another world", ("fantasy", "comedy")),
    Theme("witches", "witches, herbs and bargains made at midnight", ("fantasy", "horror", "slice of life")),
    Theme("kingdoms at war", "kingdoms at war and the envoys between them", ("fantasy", "historical")),
    Theme("talking animals", "animals that talk and mostly give bad advice", ("fantasy", "comedy", "slice of life")),
    Theme("space travel", "long voyages between the stars", ("science fiction",)),
    Theme("robots", "robots that begin to ask questions", ("science fiction", "comedy")),
    Theme("giant machines", "pilots and the giant machines that they steer", ("science fiction", "action")),
    Theme("time travel", "time travel and the mistakes it fails to undo", ("science fiction", "mystery", "romance")),
    Theme("virtual worlds", "a virtual world that refuses to let go", ("science fiction", "thriller")),
    Theme("artificial intelligence", "a mind made of code that wants a name", ("science fiction", "thriller")),
    Theme("first contact", "first contact with something patient and strange", ("science fiction", "horror")),
    Theme("after the collapse", "survivors in the quiet after the collapse", ("science fiction", "slice of life")),
    Theme("first love", "first love, badly hidden", ("romance", "slice of life")),
    Theme("office romance", "colleagues who pretend not to notice each other", ("romance", "comedy")),
    Theme("fake dating", "two people who only pretend to be a couple", ("romance", "comedy")),
    Theme("second chances", "second chances between people who parted young", ("romance",)),
    Theme("childhood friends", "childhood friends who know each other too well", ("romance", "slice of life")),
    Theme("arranged marriage", "an arranged marriage that becomes a real one", ("romance", "historical")),
    Theme("letters", "letters that cross the country and change two lives", ("romance", "historical", "mystery")),
    Theme("amateur detectives", "amateur detectives with sharp eyes and no licence", ("mystery", "comedy")),
    Theme("locked rooms", "a crime in a locked room", ("mystery",)),
    Theme("cold cases", "cold cases that nobody else wants", ("mystery", "thriller")),
    Theme("secret societies", "a secret society with a long memory", ("mystery", "thriller", "historical")),
    Theme("antique shops", "an antique shop where every object has a past", ("mystery", "slice of life")),
    Theme("missing persons", "a missing person and a town that looks away", ("mystery", "horror", "thriller")),
    Theme("haunted houses", "a haunted house and the family that bought it anyway", ("horror",)),
    Theme("ghosts", "ghosts who cannot leave before they are heard", ("horror", "mystery", "comedy")),
    Theme("curses", "a curse handed down like an heirloom", ("horror", "fantasy")),
    Theme("folklore", "village folklore that turns out to be true", ("horror", "fantasy", "historical")),
    Theme("body horror", "bodies that change in ways no doctor explains", ("horror",)),
    Theme("school life", "school days, exams and the long way home", ("slice of life", "comedy", "romance")),
    Theme("small towns", "a small town where every secret is known by noon", ("slice of life", "mystery")),
    Theme("found family", "strangers who slowly become a family", ("slice of life", "fantasy")),
    Theme("cats", "a cat that runs the household", ("slice of life", "comedy")),
    Theme("music", "a band, cheap instruments and one good song", ("slice of life", "romance")),
    Theme("gardening", "a garden that is brought back to life", ("slice of life",)),
    Theme("football", "a football club at the bottom of the league", ("sports",)),
    Theme("volleyball", "a volleyball team with no tall players", ("sports",)),
    Theme("cycling", "road cycling, cold mornings and mountain stages", ("sports",)),
    Theme("boxing", "boxing gyms and second rounds", ("sports", "action")),
    Theme("underdogs", "underdogs who train harder than anyone expects", ("sports", "comedy")),
    Theme("samurai", "masterless samurai at the end of an age", ("historical", "action")),
    Theme("court intrigue", "whispers and poison at an imperial court", ("historical", "thriller", "romance")),
    Theme("merchants", "merchants on a dangerous trade road", ("historical", "fantasy")),
    Theme("explorers", "explorers in lands that are missing from the map", ("historical", "action")),
    Theme("misunderstandings", "misunderstandings that get worse with each apology", ("comedy", "romance")),
    Theme("roommates", "roommates with nothing in common but the rent", ("comedy", "slice of life")),
    Theme("street food", "street food stalls and the people who queue at them", ("cooking", "slice of life")),
    Theme("restaurant kitchens", "the heat and hurry of a restaurant kitchen", ("cooking",)),
    Theme("baking", "a bakery that opens before dawn", ("cooking", "romance", "slice of life")),
    Theme("cooking contests", "cooking contests with merciless judges", ("cooking", "comedy", "sports")),
    Theme("forgotten recipes", "forgotten recipes and the memories in them", ("cooking", "historical", "mystery")),
    Theme("spies", "spies who can trust no one, least of all their office", ("thriller", "action")),
    Theme("survival games", "a survival game with rules that keep changing", ("thriller", "horror")),
    Theme("heists", "a heist planned down to the second", ("thriller", "comedy")),
    Theme("hackers", "hackers, stolen files and a short list of suspects", ("thriller", "science fiction")),
)
