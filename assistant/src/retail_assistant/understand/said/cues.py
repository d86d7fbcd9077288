"""The words that tell kinds of questions apart, with their weights: 3 decides, 2 is strong, 1 is a hint."""

from __future__ import annotations

import re
from typing import NamedTuple

from retail_assistant.understand.ask import Kind
from retail_assistant.understand.said.gaps import near


class Cue(NamedTuple):
    """A pattern that speaks for a kind and one of its parts; ``about`` is its weight if a product is spoken of."""

    kind: Kind
    slot: str
    weight: float
    about: float | None
    pattern: re.Pattern[str]


def cue(kind: Kind, slot: str, weight: float, about: float | None, *said: str) -> Cue:
    """A cue of several ways of speaking; a ``.*`` between words is a gap (:func:`gaps.near`)."""
    return Cue(kind, slot, weight, about, re.compile("|".join(map(near, said))))


_cue = cue


FOR_SOMEBODY = (
    r"\bfor (?:my|a|an|his|her|our) (?:[\w-]+ ){0,3}(?:sister|brother|mum|mom|dad|son|daughter|friend|wife|husband"
    r"|nephew|niece|girlfriend|boyfriend|colleague|mother|father|partner|kid|child|boy|girl|teenager|aunt|uncle|grandma"
    r"|granddad|year[ -]old)\b"
)
"""Somebody else than the shopper, for whom a product is meant."""
BOOK = (
    r"(?:books?|manga|mangas|novels?|series|stories|story|reads?|titles?|volumes?|comics?|paperbacks?|hardcovers?"
    r"|ebooks?|e-books?)"
)
FORMAT = r"(?:paperback|hardcover|digital(?: edition)?|e-?book|print)"
# fmt: off
CUES: tuple[Cue, ...] = (
    # Price and stock of a product.
    _cue("offer", "price", 0.8, 2.4, r"\bhow much\W*$", r"\bhow much (?:is|are|does|do|would|will|for)\b"),
    _cue("offer", "price", 0.7, 2.3, r"\b(?:price|prices|priced|costs?)\b"),
    _cue("offer", "price", 1.6, 2.8,
         r"\bhow much (?:is|are|does|for|do) (?:it|this|that|these|this one|that one|they|those)\b",
         r"\bwhat(?:'s| is| does| do) (?:it|this|that|they|these) cost\b", r"\b(?:its|the) price\b",
    ),
    _cue("offer", "total", 1.9, 3.1,
         r"^(?!.*\b(?:cart|orders?)\b).*\b(?:how much|what)\b.{0,100}\b(?:together|altogether|in total|combined"
         r"|in all)\b", r"\b(?:how much|what)\b.*\b\w+ (?:copies|pieces)\b(?! (?:are|is|do you have))",
         r"\b(?:how much|what|price|costs?)\b.*\b(?:whole|entire|complete|full) series\b",
         r"\bwhich (?:one )?(?:is|would be) cheaper\b.*\bcomplete(?:ly)?\b",
         r"\b(?:how much|what)\b.*\b\d+ of (?:it|them|these|those|that|this)\b",
    ),
    _cue("offer", "back", 1.9, 3,
         r"\bwhen (?:will|would|is|are|do|does|can)\b.*\bback\b(?!.*\border\b)",
         r"\bwhen (?:will|do|would) you have (?:it|this|that|them|x)\b",
    ),
    _cue("offer", "stock", 1.8, 2.6,
         r"\bin[- ]stock\b", r"\bout of stock\b", r"\bsold[- ]out\b", r"\bon the shelf\b",
    ),
    _cue("offer", "stock", 0.8, 2.2,
         r"\bhow many (?:are )?(?:left|do you have)\b", r"\bavailab\w+", r"\bcopies (?:are )?left\b",
         r"\bhow many copies\b", r"\bcan i (?:still )?(?:buy|order|get)\b", r"\bback in\b", r"\bcarry\b",
    ),
    _cue("offer", "stock", 0.3, 1.7, r"\bdo you (?:have|sell)\b", r"\bgot\b", r"\bis there\b", r"\bdo u have\b"),
    # Facts of a product.
    _cue("facts", "author", 1.2, 2.9,
         r"\bwho (?:wrote|writes|made)\b", r"\b(?:the|its|which|what) (?:author|writer)\b",
         r"\bwho(?:'s| is) (?:it|this) by\b", r"\bwho is behind\b", r"\bwhose work\b", r"\bby whom\b",
         r"\bdid \w+ \w+ write\b", r"\bis (?:it |x )?by \w+ \w+\b", r"\bby the same person\?", r"\bauthor\?",
    ),
    _cue("facts", "plot", 0.9, 2.7,
         r"\bwhat(?:'s|s| is| are| was)?\b(?! about)(?!.*\b(?:say|think|feel)\b).{1,60}\babout\b(?! (?:me|us|you)\b)",
         r"\bplot\b", r"\btell me (?:more )?about\b", r"\bwhat happens in\b", r"\bwhat(?:'s| is) the story\b",
    ),
    _cue("facts", "plot", 1, 2.9,
         r"^(?:and |but |so )*(?:is|are) there\b.*\bin (?:it|this|that)\b", r"^any \w+ in (?:it|this|that)\b",
         r"^(?:and |but |so )*(?:does|do) (?:it|x|this|that|they)\b.{0,20}\b(?:have|include)\b",
         r"\btell me more about (?:it|this|that|x|the \w+ (?:one|book))\b",
    ),
    _cue("facts", "length", 0.8, 2.6,
         r"\bhow many (?:volumes?|books?|parts)\b",
         r"\bis (?:it|this|that|x) (?:already |now )?(?:complete|finished)\b",
         r"\b(?:stand[- ]?alone|one[- ]shot|single volume)\b", r"\b(?:belong to|in) a series\b",
         r"\b(?:one-?off|single book)\b.*\bseries\b", r"\bhow many paperbacks\b", r"\bup to which volume\b",
         r"\bhow long is the series\b", r"\bhow many are there\b", r"\bis (?:that|it) the (?:last|final|end)\b",
         r"\bis (?:it|this|that|x)(?: one)? (?:(?:a )?part of )?a series\b(?! of)", r"\bdoes .* end\b",
         r"\bwhich volumes\b",
    ),
    _cue("facts", "last", 0.8, 2.6,
         r"\b(?:which|what)(?: is|'s)? (?:is )?the (?:last|final|newest|latest) (?:volume|book|one|part)\b",
    ),
    _cue("facts", "next", 0.9, 2.7,
         r"\bnext (?:volume|book|part|one|vol|in)\b", r"\b(?:after|before) (?:this|volume|vol|x)\b", r"\bread next\b",
         r"\bwhat(?:'s|s| is) next\b", r"\bcomes? after\b", r"^(?:and |so )*(?:the one )?after (?:that|it)\W*$",
    ),
    _cue("facts", "formats", 0.9, 2.7, r"\b(?:which|what) (?:formats?|editions?|versions?)\b", r"\bcome (?:in|as)\b"),
    _cue("facts", "format", 0.6, 2.5,
         r"\b(?:is there|do you have|does .* come|available|exist|got|sell|is .* out|get)\b.*\b(?:paperback|hardcover"
         r"|hardback|digital|ebook|e-book|kindle|print|printed)\b",
    ),
    _cue("facts", "genre", 0.9, 2.6, r"\b(?:what|which) genre\b"),
    _cue("facts", "order", 0.9, 2.5,
         r"\bwhere (?:do|should|to) (?:i )?start\b", r"\bin (?:what|which) order\b",
         r"\bfirst (?:volume|book) (?:of|in)\b", r"\border of\b",
    ),
    _cue("facts", "unknown", 0.9, 3.1, r"\b(?:e-?mail|notify|tell|alert|message|ping|remind) me (?:when|if|once)\b"),
    _cue("facts", "unknown", 0.9, 2.8,
         r"\bhow heavy\b", r"\bdrawings\b", r"\blarge print\b", r"\b(?:in|full) colou?r\b", r"\bhow many pages\b",
         r"\bpage count\b", r"\bisbn\b", r"\bpublisher\b", r"\bwhich language\b", r"\btranslat(?:ed|or)\b",
         r"\bage rating\b", r"\b(?:what|which) age\b", r"\bhow old\b", r"\bsuitable for\b", r"\bwhat year\b",
         r"\bpublished\b", r"\b(?:audiobook|anime|film|movie|signed|drm)\b", r"\bwhen (?:does|will|is) .* out\b",
    ),
    # A list of products: search and recommendation.
    _cue("list", "", 1.9, None,
         r"\brecommend\w*", r"\bsuggest(?:ion|ions|ed)?\b", r"\bwhat should i read\b", r"\bshow me\b",
         r"\bsurprise me\b", r"\bany (?:ideas|tips)\b", r"\bgive me\b",
    ),
    _cue("list", "", 2.7, None,
         r"\b(?:looking|need|want)\b.{0,40}\b(?:gift|present)\b(?! wrap)",
         r"\b(?:birthday|christmas) (?:gift|present) for\b",
    ),
    _cue("list", "", 1.3, None,
         r"\blooking for\b", r"\bi(?:'m| am)? (?:want|need|into|after)\b", r"\bi(?:'d| would) (?:like|love)\b",
         r"\blist (?:all|me|some|your)?\b", rf"\bany(?:thing)? (?:\w+ ){{0,3}}{BOOK}\b",
         r"(?<!return )(?<!exchange )(?<!cancel )\b(?:some|any)thing\b", r"\b(?:got|have) any\b",
         rf"\b(?:which|what) {BOOK}\b", rf"\b(?:some|other|more|another|three|two|five|four|one) {BOOK}\b",
    ),
    _cue("list", "", 1.8, None, rf"\b{BOOK} (?:about|with|like|by|under|where|in which)\b"),
    _cue("list", "like", 1.5, 2.6,
         r"\b(?:something|anything) like\b", r"\bsimilar\b", r"\b(?:loved|enjoyed|finished|devoured)\b",
         r"\blike (?:this|that)\b",
    ),
    _cue("list", "another", 0.9, 2.8,
         r"^(?:and |or )*(?:please )?(?:show me |any |do you have )?(?:another|something else|anything else)(?: (?:one"
         r"|book|title|manga))?(?: like (?:it|that|this)(?: one| book)?)?(?:,? please)?\W*$",
    ),
    _cue("list", "by", 1.6, 3.0,
         r"\bwhat else (?:did|has|have|does) (?:they|he|she) (?:do|write|written|wrote)\b",
         r"\b(?:books?|titles?|series|anything|everything|something|others?|manga|novels?) (?:else )?(?:out )?(?:by"
         r"|from)\b", r"\bsame author\b", r"\b(?:other|more|else)\b.*\bauthor\b",
    ),
    _cue("list", "cheapest", 1.9, 2.5,
         r"\bcheapest\b", r"\bmost expensive\b", r"\bpriciest\b", r"\bdearest\b", r"\bcheaper (?:one|than this|book)\b",
         r"\bpricier\b", r"\bmore expensive\b", r"\bfor less\b",
    ),
    _cue("list", "", 1.2, None, r"\b(?:gift|present) for\b", FOR_SOMEBODY),
    _cue("list", "", 1.8, 2.4, r"\bwhich\b.{0,40}\bdo you have\b"),
    # Comparison.
    _cue("compare", "", 2.95, None, r"\bdifference\b.*\b(?:the two|both|them)\b"),
    _cue("compare", "", 0.3, 2.9, r"\b(?:two|both|all) (?:editions|formats|versions)\b"),
    _cue("compare", "", 2, 2.9, r"\bwhich (?:one )?of (?:the two|those two|them|both)\b"),
    _cue("compare", "", 0.6, 2.9,
         r"\b(?:cheaper|dearer) in (?:an? )?(?:paperback|hardcover|digital|ebook|print)", r"\bcompare\b", r"\bversus\b",
         r"\bvs\b", r"\bdifference between\b",
         r"(?<!something )(?<!anything )(?<!book )(?<!books )\b(?:cheaper|better|longer|shorter|dearer"
         r"|pricier)\b.*\b(?:or|than)\b", r"\bspend as little\b", r"\bwhich (?:one )?is cheaper\b",
         r"\bx (?:or|and) (?:\w+ )?x\b.*\b(?:cheap|less|more|better)\w*",
         rf"\b{FORMAT}\b.{{1,12}}\bor\b.{{1,12}}\b{FORMAT}\b.*\bcheap\w*",
    ),
    # Promotions.
    _cue("promotion", "", 2.3, None,
         r"\bpromo(?:tion)?s?\b", r"\bdiscount(?:s|ed)?\b", r"\b(?:special )?offers?\b", r"\bdeals?\b(?! with\b)",
         r"\bsales?\b", r"\breduced\b", r"\b(?:percent|%) off\b", r"\b\d+ ?(?:%|percent\b)",
         r"\b(?:anything|something|things?) off\b", r"\b(?:2|two|3|three)[- ]for[- ](?:1|one|2|two)\b",
         r"^(?:and |so )*what(?:'s|s| is)? (?:runs?|on)(?: now)? on\b",
    ),
    _cue("promotion", "code", 2.7, None,
         r"\b(?:coupon|voucher|discount) codes?\b", r"\bcode [a-z]*\d+\b",
         r"\b(?:need|want|have) (?:a|any|the|some) codes?\b",
    ),
    _cue("promotion", "end", 2.8, None,
         r"\bwhen\b.*\b(?:sale|promotion|offer|discount|deal|\w+ (?:week|days|weekend))\b",
         r"\b(?:sale|promotion|offer|discount|deal)s? (?:last|run|running)\b",
    ),
    _cue("promotion", "", 2.4, None,
         r"\b(?:fantasy|horror|mystery|romance|action|cooking|comedy|historical|sports|thriller"
         r"|full shelves)\b.{0,6}\b(?:week|weekend|days|sale)\b",
    ),
    _cue("promotion", "later", 3, None,
         r"^(?=.*\b(?:sales?|offers?|discounts?|promotions?|deals?)\b).*\b(?:next (?:week|month|year|time)"
         r"|black friday)\b",
    ),
    _cue("promotion", "best", 2.9, None,
         r"\b(?:biggest|highest|largest|best|greatest) (?:discount|promotion|offer|deal)s?\b",
    ),
    _cue("promotion", "combine", 2.6, None,
         r"\b(?:combine|stack)\b.*\b(?:sale|offers?|discounts?|promotions?|deals?|days|week)\b",
    ),
    _cue("promotion", "price", 2.6, None,
         r"\b(?:after|with) (?:the |any |my )?(?:discount|promotion|offer|sale|deal)\b", r"\breduced price\b",
         r"\bdiscounted price\b",
    ),
    # Reviews, and what sells.
    _cue("reviews", "", 1.9, 2.7,
         r"\breviews?\b", r"\bratings?\b", r"\brated\b", r"\bstars?\b",
         r"\b(?:people|readers|customers|others|buyers) (?:say|think|like)\b", r"\bopinions?\b",
         r"\brate (?:it|this|that|them|x)\b",
    ),
    _cue("reviews", "", 2.2, 3, r"\bcomplain(?:ts?|ed|ing)?\b.*\b(?:about|of)\b"),
    _cue("reviews", "", 0.9, 2.3, r"\b(?:any|is it) good\b", r"\bworth (?:it|the)\b", r"\bwell liked\b"),
    _cue("trending", "", 2.4, None, r"\bpopular\b", r"\bbest ?-?sell(?:er|ers|ing)\b", r"\btop (?:ten|10|\d+)\b"),
    # Policy, by its manner of asking.
    _cue("policy", "", 1, None, r"\b(?:policy|policies|rules?|terms|allowed)\b"),
    _cue("policy", "", 0.7, None,
         r"\b(?:return|refund|exchange|shipping|delivery|deliver|ship|warranty|gift card|invoice|instalments?|too late"
         r"|loyalty|preorder|customs|damaged|broken|express|pick-?up|vip)\w*\b",
    ),
)
# fmt: on
