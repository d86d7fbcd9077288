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
    _cue("offer", "price", 0.8, 2.4, r"\bhow much\W*$", r"\bhow much (?:is|are|does|do|would|will|for)\b",
         r"\bhow expensive\b"),
    _cue("offer", "price", 0.7, 2.3, r"\b(?:price|prices|priced|pricey|costs?)\b"),
    _cue("offer", "price", 1.6, 2.8,
         r"\bhow much (?:is|are|does|for|do) (?:it|this|that|these|this one|that one|the book|they|those)\b",
         r"\bwhat(?:'s| is| does| do) (?:it|this|that|they|these) cost\b", r"\b(?:its|the) price\b",
    ),
    _cue("offer", "total", 1.9, 3.1,
         r"^(?!.*\b(?:cart|orders?)\b).*\b(?:how much|what|price|costs?)\b.{0,100}"
         r"\b(?:together|altogether|in total|combined|in all)\b",
         r"\b(?:how much|what|price|costs?)\b.*\b\w+ (?:copies|pieces)\b"
         r"(?! (?:are|is|do you have|left|in stock|available))",
         r"\b(?:how much|what|price|costs?)\b.*\b(?:whole|entire|complete|full) (?:series|set)\b",
         r"\b(?:whole|entire|complete|full) (?:series|set)\b.*\b(?:cost|come to|price|much)\b",
         r"\bwhich (?:one )?(?:is|would be|comes) (?:cheaper|less)\b.*\b(?:complete(?:ly)?|in total|altogether)\b",
         r"\b(?:how much|what|price|costs?)\b.*\b\d+ of (?:it|them|these|those|that|this)\b",
         r"\b(?:how much|what|price|costs?)\b.*\ball(?: of)?(?: (?:them|these|those|two|three|four|five|six|\d+))\b",
         r"^(?:and )?(?:vols?|volumes?)? ?\d+(?:, ?\d+)*,? (?:and|&) \d+ (?:together|altogether|in total)\b",
    ),
    _cue("offer", "back", 1.9, 3,
         r"\bwhen (?:will|would|is|are|do|does|can)\b.*\b(?:back|in stock|available|restock\w*)\b(?!.*\border\b)",
         r"\bwhen (?:will|do|would) you (?:have|get|sell) (?:it|this|that|them|x|more)\b",
    ),
    _cue("offer", "stock", 1.8, 2.6,
         r"\bin[- ]stock\b", r"\bout of stock\b", r"\bsold[- ]out\b", r"\bon the shelf\b",
    ),
    _cue("offer", "stock", 0.8, 2.2,
         r"\bhow many (?:are |copies )?(?:left|in stock|do you have)\b", r"\bavailab\w+",
         r"\bcopies (?:are )?left\b", r"\bhow many copies\b", r"\b(?:any|some) left\b",
         r"\bcan i (?:still )?(?:buy|order|get)\b", r"\bback in\b", r"\brestock\w*", r"\bcarry\b",
    ),
    _cue("offer", "stock", 0.3, 1.7,
         r"\bdo you (?:have|sell|stock)\b", r"\bhave you got\b", r"\bgot\b", r"\bis there\b", r"\bdo u have\b",
    ),
    # Facts of a product.
    _cue("facts", "author", 1.2, 2.9,
         r"\bwho (?:wrote|writes|is the (?:author|writer)|drew|draws|made|created|published)\b", r"\bwritten by\b",
         r"\bauthor of\b", r"\b(?:the|its|which|what) (?:author|writer)\b", r"\bwho(?:'s| is) (?:it|this) by\b",
         r"\bwho is .* by\b", r"\b(?:who's|who is) behind\b", r"\bwho(?:'s| is)? (?:\w+ )?author\b",
         r"\bwhose (?:work|book)\b", r"\bby whom\b",
         r"^(?:and |so )*who(?:'s|s| is| was) (?:it|that|this) by\b", r"\bdid \w+ \w+ write\b",
         r"\bis (?:it |x )?by \w+ \w+\b",
         r"\bx is by\b", r"\bby the same (?:person|author|hand)\?", r"\bauthor\?",
    ),
    _cue("facts", "plot", 0.9, 2.7,
         r"\bwhat(?:'s|s| is| are| was)?\b(?! about)(?!.*\b(?:say|think|feel)\b).{1,60}\babout\b(?! (?:me|us|you)\b)",
         r"\bplot\b",
         r"\bsynopsis\b", r"\bdescri(?:be|ption)\b", r"\bsummary of\b", r"\btell me (?:more )?about\b",
         r"\bwhat happens in\b", r"\bpremise\b", r"\bstory ?line\b", r"\bwhat(?:'s| is) it about\b", r"\bblurb\b",
         r"\bwhat(?:'s| is) the story\b", r"\babout\?$", r"\bwhats it about\b",
    ),
    _cue("facts", "plot", 1, 2.9,
         r"^(?:and |but |so )*(?:is|are) there\b.*\bin (?:it|this|that)\b", r"^any \w+ in (?:it|this|that)\b",
         r"^(?:and |but |so )*(?:does|do) (?:it|x|this|that|they|the \w+ (?:one|book))\b.{0,20}"
         r"\b(?:have|contain|feature|include|involve|deal with)\b",
         r"\bis (?:it|x|that|this|the \w+ (?:one|book)) (?:more of |rather |very |really |too |a bit |quite )*(?:an? )?"
         r"(?:exciting|cosy|cozy|sad|dark|boring|gentle|violent|bloody|slow|fast|light|heavy|relaxing|stressful|serious)\b",
         r"\btell me more about (?:it|this|that|x|the \w+ (?:one|book))\b",
    ),
    _cue("facts", "length", 0.8, 2.6,
         r"\bhow many (?:volumes?|books?|parts|vols|installments)\b", r"\bhow long is\b.*\bseries\b",
         r"\bhow long (?:is|are) (?:it|this|that|x|they|the (?:first|second|third|last|other|book|manga|story))"
         r"(?: one)?\W*$",
         r"\bis (?:it|this|that|x|the series) (?:already |now )?(?:complete|finished|ongoing|concluded|over)\b",
         r"\b(?:stand[- ]?alone|one[- ]shot|single volume)\b", r"\b(?:belong to|part of|in) a series\b",
         r"\b(?:one-?off|stand-?alone|single book)\b.*\bseries\b",
         r"\bhow many (?:paperbacks|hardcovers|e-?books|digital editions)\b", r"\bup to which volume\b",
         r"\bhow long is the series\b", r"\bhow many are there\b",
         r"\bis (?:that|it) the (?:last|final|end)\b(?! cop)", r"\bwhich (?:volumes|parts)\b",
         r"\b(?:story|series) (?:\w+ )?(?:ends?|finish(?:es)?|complete)\b",
         r"\bis (?:it|this|that|x)(?: one)? (?:(?:a )?part of )?a series\b(?! of)",
         r"\bhow many are (?:there|in)\b", r"\bhow many in (?:that|this|the) series\b", r"\blength of\b",
         r"\bdoes .* end\b", r"\bwhich volumes\b",
    ),
    _cue("facts", "last", 0.8, 2.6,
         r"\b(?:which|what)(?: is|'s)? (?:is )?the (?:last|final|newest|latest) (?:volume|book|one|part)\b",
    ),
    _cue("facts", "next", 0.9, 2.7,
         r"\bnext (?:volume|book|part|one|vol|in)\b", r"\b(?:comes?|is) (?:next|after)\b", r"\bsequel\b",
         r"\bwhat(?:'s| is) after\b", r"\bfollow[- ]?up\b", r"\bprevious (?:volume|book|one|part)\b",
         r"\bcontinu(?:es|ation)\b", r"\b(?:after|before) (?:this|volume|vol|x)\b", r"\bread next\b",
         r"\bwhat(?:'s|s| is) next\b", r"\bcomes? after\b", r"^(?:and |so )*(?:the one )?after (?:that|it)\W*$",
    ),
    _cue("facts", "formats", 0.9, 2.7,
         r"\b(?:which|what|other|another|different) (?:formats?|editions?|versions?|bindings?)\b",
         r"\bin (?:which|what) format\b", r"\bwhat formats?\b", r"\bformats?\b.*\b(?:come|available|have)\b",
         r"\bcome (?:in|as)\b",
    ),
    _cue("facts", "format", 0.6, 2.5,
         r"\b(?:is there|do you have|does .* come|available|exist|got|sell|is .* (?:out|sold)|can i get"
         r"|get)\b.*\b(?:paperback|hardcover|hardback|digital|ebook|e-book|digital edition|kindle|print|printed)\b",
    ),
    _cue("facts", "genre", 0.9, 2.6,
         r"\b(?:what|which) genre\b", r"\bwhat kind of (?:book|manga|story)\b", r"\bwhat type of\b",
         r"\bis (?:it|this|that) (?:an? )?(?:horror|romance|fantasy|comedy|thriller|mystery|action)\b",
    ),
    _cue("facts", "order", 0.9, 2.5,
         r"\b(?:where|which (?:volume|one|book)) (?:do|should|to) (?:i )?(?:start|begin)\b", r"\breading order\b",
         r"\bin (?:what|which) order\b",
         r"\bread .{0,30}\bin order\b", r"\bfirst (?:volume|book) (?:of|in)\b", r"\border of\b",
         r"\bwhich (?:is|comes) first\b",
    ),
    _cue("facts", "unknown", 0.9, 3.1,
         r"\b(?:e-?mail|notify|tell|alert|message|ping|remind) me (?:when|if|once|as soon)\b",
         r"\blet me know (?:when|if|once)\b",
    ),
    _cue("facts", "unknown", 0.9, 2.8,
         r"\bhow heavy\b", r"\bweighs?\b", r"\b(?:drawings|artist|illustrator)\b", r"\blarge print\b",
         r"\bbraille\b", r"\bdrm\b", r"\b(?:in|full) colou?r\b", r"\bblack (?:and|&) white\b",
         r"\bcolou?red\b",
         r"\bhow many (?:pages|words|chapters)\b", r"\bpage count\b", r"\bisbn\b", r"\bpublisher\b",
         r"\bwhat language\b", r"\bwhich language\b", r"\btranslat(?:ed|or)\b",
         r"\bage (?:rating|range|group|limit)\b", r"\b(?:what|which) age\b", r"\bhow old\b",
         r"\b(?:happy|sad|good|bad|open) ending\b", r"\bhow does (?:it|this|that|x) end\b", r"\bend well\b",
         r"\bsuitable for\b", r"\bappropriate for\b",
         r"\bfor (?:kids|children|teens)\b", r"\b(?:dimensions|weigh|weight)\b",
         r"\bwhen was .* (?:published|released|written|out)\b", r"\brelease date\b", r"\bwhat year\b",
         r"\bpublished\b",
         r"\b(?:audiobook|audio book|anime|film|movie|adaptation|illustrat\w+|signed|font|paper quality|drm)\b",
         r"\bwhen (?:does|will|is) .* (?:come out|be released|out)\b",
    ),
    # A list of products: search and recommendation.
    _cue("list", "", 1.9, None,
         r"\brecommend\w*", r"\bsuggest(?:ion|ions|ed)?\b", r"\bwhat should i (?:read|buy|get)\b", r"\bshow me\b",
         r"\bpick (?:something|one|me)\b", r"\bsurprise me\b", r"\bwhat would you (?:pick|read|recommend)\b",
         r"\bany (?:ideas|tips|recs)\b", r"\bgive me\b", r"\brecs?\b",
    ),
    _cue("list", "", 2.7, None,
         r"\b(?:looking|searching|need|want|buy|find|ideas?)\b.{0,40}\b(?:gift|present)\b(?! (?:card|wrap|receipt))",
         r"\b(?:birthday|christmas) (?:gift|present) for\b",
    ),
    _cue("list", "", 1.3, None,
         r"\b(?:looking|searching|hunting|browsing) for\b",
         r"\bi(?:'m| am)? (?:want|need|in the mood for|into|after)\b", r"\bi(?:'d| would) (?:like|love)\b",
         r"\bfind me\b", r"\blist (?:all|me|some|your)?\b", rf"\bany(?:thing)? (?:\w+ ){{0,3}}{BOOK}\b",
         r"(?<!return )(?<!exchange )(?<!cancel )\b(?:some|any)thing\b", r"\bin the mood\b",
         r"\b(?:got|have) any\b",
         rf"\b(?:which|what) {BOOK}\b",
         rf"\b(?:some|good|nice|new|other|more|cheap|another|three|two|five|four|one) {BOOK}\b",
    ),
    _cue("list", "", 1.8, None,
         rf"\b{BOOK} (?:about|with|featuring|like|by|under|below|where|in which)\b",
         r"\b(?:stories|tales) (?:about|with|of)\b",
    ),
    _cue("list", "like", 1.5, 2.6,
         r"\b(?:something|anything|books?|series|more|manga|titles?|stuff|others?) (?:like|similar to"
         r"|along the lines of|in the style of)\b", r"\bsimilar\b",
         r"\b(?:(?<!well )liked|loved|enjoyed|finished|devoured|fan of)\b", r"\bmore like\b",
         r"\bin the same (?:vein|spirit|style)\b", r"\blike (?:this|that)\b",
    ),
    _cue("list", "another", 0.9, 2.8,
         r"^(?:and |ok(?:ay)?,? |or |no,? )*(?:(?:can|could) you |please )?"
         r"(?:show me |give me |find me |recommend |suggest |i(?:'d| would) like |i want |any |do you have |is there )?"
         r"(?:another|something else|some others?|others|a different|anything else)(?: (?:one|book|title|manga))?"
         r"(?: (?:like|similar to) (?:it|that|this)(?: one| book)?)?(?:,? please)?\W*$",
    ),
    _cue("list", "", 2.2, None,
         r"\b(?:anything|something|what(?:'s|s| is)) new\b(?! (?:with|about) (?:my|the) order)",
         r"\bnew (?:this|in the last) (?:week|month)\b",
    ),
    _cue("list", "by", 1.6, 3.0,
         r"\bwhat else (?:did|has|have|does) (?:they|he|she|this author|the author|that author) "
         r"(?:do|done|write|written|wrote|publish\w*|made|make)\b",
         r"\b(?:books?|titles?|works?|series|anything|everything|something|more|else|others?|manga"
         r"|novels?|things?|stuff) (?:else )?(?:written |out |here )?(?:by|from)\b",
         r"\bsame author\b", r"\bthis author\b",
         r"\bthe author(?:'s)?\b.*\b(?:other|more|else)\b", r"\b(?:other|more|else)\b.*\bauthor\b",
         r"\bwritten by\b",
    ),
    _cue("list", "cheapest", 1.9, 2.5,
         r"\bcheapest\b", r"\bmost expensive\b", r"\bpriciest\b", r"\bdearest\b", r"\blowest price\b",
         r"\bleast expensive\b", r"\bsomething cheaper\b", r"\bcheaper (?:one|than this|book|alternative)\b",
         r"\bpricier\b", r"\bmore expensive\b", r"\bfor less\b",
    ),
    _cue("list", "", 1.2, None,
         r"\b(?:gift|present) for\b", FOR_SOMEBODY, r"\bto read\b",
    ),
    _cue("list", "", 1.8, 2.4,
         r"\bwhich\b.{0,40}\bdo you (?:have|sell|carry|offer)\b", r"\bwhat (?:kinds?|sorts?|types?) of\b",
    ),
    # Comparison.
    _cue("compare", "", 2.95, None, r"\bdifference\b.*\b(?:the two|both|them|these two|those two)\b"),
    _cue("compare", "", 0.3, 2.9, r"\b(?:two|both|all) (?:editions|formats|versions)\b"),
    _cue("compare", "", 2, 2.9, r"\bwhich (?:one )?of (?:the two|these two|those two|them|both)\b"),
    _cue("compare", "", 0.6, 2.9,
         r"\b(?:cheaper|dearer|more expensive) (?:in|as) (?:an? )?(?:paperback|hardcover|digital|ebook|print)",
         r"\bcompare\b", r"\bcomparison\b", r"\bversus\b", r"\bvs\b", r"\bdifference between\b",
         r"\bwhich (?:one )?(?:is|of|has|costs?|should|would|do)\b.*\bor\b",
         r"(?<!something )(?<!anything )(?<!book )(?<!books )\b(?:cheaper|better|longer|shorter|more expensive|dearer"
         r"|pricier|higher rated|better rated)\b.*\b(?:or|than)\b", r"\bwhich of (?:the two|these|those|them)\b",
         r"\bprice difference\b", r"\bspend as little\b",
         r"\bwhich (?:one )?(?:is|costs?) (?:cheaper|less|more)\b",
         r"\bx (?:or|and|vs) (?:\w+ )?x\b.*\b(?:cheap|less|more|better|long|short)\w*",
         rf"\b{FORMAT}\b.{{1,12}}\bor\b.{{1,12}}\b{FORMAT}\b.*\b(?:cheap|less|more|better)\w*",
         rf"\b(?:cheap|less)\w*\b.*\b{FORMAT}\b.{{1,12}}\bor\b.{{1,12}}\b{FORMAT}\b",
         r"\b(?:cheap|less|little|better|long|short)\w*\b.*\bx or x\b",
    ),
    # Promotions.
    _cue("promotion", "", 2.3, None,
         r"\bpromo(?:tion)?s?\b", r"\bdiscount(?:s|ed)?\b", r"\b(?:special )?offers?\b", r"\bdeals?\b(?! with\b)",
         r"\bon sale\b", r"\bsales?\b", r"\breduced\b", r"\breductions?\b", r"\bbargains?\b", r"\b(?:percent|%) off\b",
         r"\b\d+ ?(?:%|percent\b)", r"\b(?:anything|something|things?|books?) (?:off|reduced)\b", r"\bsavings?\b",
         r"\bhow much (?:do|does|can|could) .* save\b", r"\b(?:2|two|3|three)[- ]for[- ](?:1|one|2|two)\b",
         r"\bbuy one get one\b", r"\bbogo\b",
         r"^(?:and |so )*what(?:'s|s| is)? (?:runs?|running|on)(?: now| right now)? on\b",
    ),
    _cue("promotion", "code", 2.7, None,
         r"\b(?:coupon|voucher|promo(?:tion)?|discount) codes?\b", r"\bcoupons?\b", r"\bcode [a-z]*\d+\b",
         r"\b(?:need|enter|use|want|is there|have) (?:a|any|the|some) codes?\b",
    ),
    _cue("promotion", "end", 2.8, None,
         r"\b(?:when|until when|how long|till when)\b.*\b(?:sale|promotion|offer|discount|deal|\w+ (?:week|days"
         r"|weekend))\b",
         r"\b(?:sale|promotion|offer|discount|deal)s? (?:end|ends|over|last|run|running|valid|still on)\b",
    ),
    _cue("promotion", "", 2.4, None,
         r"\b(?:fantasy|horror|mystery|romance|action|cooking|comedy|historical|sports|thriller|science fiction"
         r"|slice of life|storewide|full shelves)\b.{0,6}\b(?:week|weekend|days|favourites|sale)\b",
         r"\bspotlight on\b",
    ),
    _cue("promotion", "later", 3, None,
         r"^(?=.*\b(?:sales?|offers?|discounts?|promotions?|deals?|reduced|cheaper|bargains?)\b)"
         r".*\b(?:next (?:week|month|year|time|sale)|upcoming|coming up|black friday|cyber monday|boxing day"
         r"|(?:in|over|around) (?:the )?(?:january|february|march|april|spring|summer|autumn|easter|new year))\b",
    ),
    _cue("promotion", "best", 2.9, None,
         r"\b(?:biggest|highest|largest|best|greatest) (?:discount|reduction|promotion|offer|deal|saving)s?\b",
    ),
    _cue("promotion", "combine", 2.6, None,
         r"\b(?:discounts?|offers?|promotions?|\d+ ?%)(?: .*)? (?:together|combined?|added up|add up|stack\w*)\b",
         r"\b(?:combine|stack|add up|cumulat\w+|both (?:offers|discounts|promotions)|together)\b.*\b(?:sale"
         r"|offers?|discounts?|promotions?|deals?|days|week)\b",
    ),
    _cue("promotion", "price", 2.6, None,
         r"\b(?:after|with|including) (?:the |any |my )?(?:discount|promotion|offer|sale|deal)\b",
         r"\breduced price\b", r"\bdiscounted price\b", r"\bsale price\b",
    ),
    # Reviews, and what sells.
    _cue("reviews", "", 1.9, 2.7,
         r"\breviews?\b", r"\bratings?\b", r"\brated\b", r"\bstars?\b",
         r"\b(?:people|readers|customers|others|buyers) (?:say|think|like|feel)\b", r"\bopinions?\b",
         r"\bfeedback\b", r"\brate (?:it|this|that|them|x)\b", r"\brates?\b.*\bhigh\w*\b",
    ),
    _cue("reviews", "", 2.2, 3,
         r"\bcomplain(?:ts?|ed|ing)?\b.*\b(?:about|of)\b", r"\bcritici[sz]e\w*\b", r"\bdislike\w*\b",
    ),
    _cue("reviews", "", 0.9, 2.3,
         r"\b(?:any|is it) good\b", r"\bworth (?:it|reading|buying|the)\b", r"\bwell liked\b",
         r"\b(?:did|do) (?:people|readers|customers) (?:like|enjoy)\b", r"\bcomplain about\b",
    ),
    _cue("trending", "", 2.4, None,
         r"\bpopular\b", r"\btrending\b", r"\bbest ?-?sell(?:er|ers|ing)\b", r"\btop (?:ten|10|sellers?|\d+)\b",
         r"\bcharts\b", r"\b(?:everyone|everybody|people) (?:is |are )?(?:reading|buying)\b",
         r"\bsell(?:s|ing) (?:best|well)\b", r"\bhot right now\b",
    ),
    # Policy, by its manner of asking.
    _cue("policy", "", 1, None, r"\b(?:policy|policies|rules?|terms|conditions|allowed|permitted)\b"),
    _cue("policy", "", 0.7, None,
         r"\bwhen (?:would|could|should) (?:it|they|this|that|these|the book|everything) (?:arrive|come|get here"
         r"|be (?:here|delivered))\b",
         r"\b(?:return|refund|exchange|shipping|delivery|deliver|ship|warranty|gift card|invoice|instalments?"
         r"|too late|loyalty|preorder|customs|damaged|broken|privacy|express|pick-?up|vip)\w*\b",
    ),
)
# fmt: on
