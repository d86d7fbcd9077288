"""The content words of a message that name nothing by themselves: themes of books, or what a policy is asked about."""

from __future__ import annotations

import re

_DULL = frozenset(
    """
    a about actually after again all already also always am an and another any anybody anyone anything are around as
    ask at available back be because been before being best better between big bit book books both but buy buying by
    called can can't cannot carry cheap cheaper cheapest comic comics cool could cost costs customer day days dear
    definitely did didn't do does doesn't doing don't done dont each either else end enjoy enjoyed enough even ever
    every everything except expensive fan fans favourite favorite few find finding fine first for from full fun
    genre genres get getting gift gifts give given go going good got great had happy has have haven't having he
    hello help her here hey hi him his hot how however i i'd i'll i'm i've idea ideas if in instead interested into
    is isn't it it's its just keep kind know last least less let let's like liked likes list literature little ll
    long look looking lot lots love loved loves low make manga mangas many may maybe me mean might mine mood more
    most much must my myself need needs never new next nice no none not nothing novel novels now of off ok okay old
    on once one ones only or order ordered other others our out over own particular people perhaps person pick
    please pls plus possible prefer present price priced prefers prices pretty products product put quick quite
    rather read reader readers reading really recommend recommendation recommendations recommended recs right same
    saw say search searching see sell selling series set shall she shop short should show similar since so some
    somebody someone something sorry sort star start still stock stories story such suggest suggestion suggestions
    sure surprise take tale tales tell than thank thanks that that's the their them then there there's these they
    thing things think this those title titles to today too top try type u under until up us use used version volume
    volumes vol want wanted wants was way we we're well were what what's when where which while who whole why will
    wish with without won't wonder wondering work works would write written yes yet you your euro euros eur dollars
    bucks pounds quid max maximum min budget spend pay below above cents page pages shelf two three four five six
    ten couple tonight weekend evening birthday christmas holiday train trip friend sister brother mum mom dad son
    daughter wife husband mother father girlfriend boyfriend nephew niece colleague kid kids child children adult
    adults teen teens teenager year years author authors writer writers wrote cart add want'd gonna wanna kinda
    something's fiction nonfiction digital edition editions format formats paperback hardcover preferably ideally
    currently moment week month month's options option alternative alternatives collection entire complete
    standalone single rating rated reviews review rather's else's decent solid must-read newest recent latest
    highest lowest top-rated best-rated arrivals releases featuring involving revolves plot theme themes themed
    centred centered based hmm hmmm huh uhm umm err nicer nicest lovely mind gimme lemme wont doesnt dont don doesn
    isn didn hasn haven boy boys girl girls grandfather grandmother grandpa granddad granny grandson granddaughter
    aunt uncle cousin parent parents family boss teacher neighbour neighbor boyfriend's wait forget stop either neither
    number nah reads reading grandma grandpa gran nan nana hold holds holding
    whichever whatever light heavy thick thin twice sent came arrived owned owning
    alone funniest
    different tho though although said says saying shes hes theyre ill very finished finish starts started begins begin
    stands
    part parts copies copy helpful useful extremely super totally absolutely ended ends somewhat quickly perhaps
    sort sorts kind kinds stuff bit rather maybe whatever anyway honestly missing basically literally please thx english
    """.split()
)
_DULL |= {word.replace("'", "") for word in _DULL}  # as many write them
_WORD = re.compile(r"[^\W\d_]{3,}(?:-[^\W\d_]+)*")


def content(text: str) -> tuple[str, ...]:
    """The content words of a text in lower case, each once."""
    return tuple(dict.fromkeys(word for word in _WORD.findall(text) if word not in _DULL))
