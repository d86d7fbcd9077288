"""What is said rather than asked: greetings, thanks, insults, the wish for a person; and what is not for this shop."""

from __future__ import annotations

import re

from retail_assistant.understand.plain_words import bare

_ALL = r"^(?:(?>(?:{0})\b)[\s,.!?]*+)+$"
"""Nothing but some remarks. Each is taken once, so of two that begin alike the longer one stands first."""
_GREETING = (
    r"hi there|hi|hello(?: there)?|hey(?: there)?|hiya|good (?:morning|evening|afternoon|day)|howdy|yo|greetings"
)
_THANKS = (
    r"(?:ok|okay|great|perfect|cool|super|awesome|wonderful|nice|alright|brilliant|lovely|good|amazing|then|for now)"
    r"|thanks?(?: (?:you|u|ya))?(?: (?:a lot|so much|very much|a million|again|for (?:your|the) help))?|cheers|thx|ty"
    r"|much appreciated"
    r"|that(?:'s| is) (?:all|great|perfect|it)|that helps?|you(?:'re| are) (?:great|the best"
    r"|very helpful|amazing|a star)"
    r"|that(?:'s|s| is| was) (?:very |really )?helpful"
    r"|sorry(?: again)? for (?:shouting|being \w+|my \w+)(?: earlier| before)?"
    r"|for (?:your|the|all) (?:help|info|information|quick reply)|bye|goodbye|see you|have a (?:nice|good"
    r"|great) (?:day|one|evening)|helpful|so much|appreciate it"
)
_NOTHING = (
    r"no,? thanks?(?: you)?|no,? wait|no need|no|nope|nah|yes|yep|yeah|never ?mind|forget it|not now"
    r"|that(?:'s| is) fine|fine|nothing(?: else)?|neither|none of (?:them|these|those)|leave it|it(?:'s| is) fine"
    r"|all good|got it|i see|understood"
)
_YES = (
    r"yes|yep|yeah|yup|sure(?: thing)?|please(?: do(?! it))?|do it|go ahead|of course|absolutely|exactly|correct"
    r"|ok(?:ay)?|right"
)
_KEEP = (
    r"(?:keep|leave) (?:it|them|that|this|the order|my order|everything|both|all)"
    r"(?: as (?:it is|they are)| alone| then)?"
    r"|don'?t (?:cancel|change|return) (?:it|them|anything)"
)
_SLOTS = (
    ("yes", re.compile(rf"^(?=.*\b(?:yes|yep|yeah|yup|sure|go ahead|do it)\b){_ALL.format(_YES)[1:]}")),
    ("keep", re.compile(
        rf"^(?=.*\b(?:keep|don'?t|leave the|leave my)\b)"
        rf"{_ALL.format(f'no|nope|wait|stop|please|actually|oh|ok(?:ay)?|sorry|{_KEEP}')[1:]}")),
    ("thanks", re.compile(
        r"^(?:(?:ok(?:ay)?|great|perfect|oh|ah|cool|lovely|super|nice|good|brilliant|awesome|amazing|yeah|sorry"
        r"|long day)[\s,.!]*)*"
        r"(?:many thanks|thanks|thank (?:you|u|ya)|thx|cheers|ta)\b(?![^?]*\?)"
        r"(?!.*\b(?:but|and (?:how|what|can|do|is|if)|show|tell me|find|add|put)\b)(?:\W+\w+){0,6}\W*$")),
    ("greeting", re.compile(_ALL.format(_GREETING))),
    ("thanks", re.compile(rf"^(?!then\b\W*$){_ALL.format(f'{_GREETING}|{_THANKS}')[1:]}")),
    ("nothing", re.compile(_ALL.format(_NOTHING))),
    ("bot", re.compile(

            r"\bam i (?:talking|speaking|chatting|writing) (?:to|with) (?:a |an )?(?:real |actual )?(?:human|person"
            r"|bot|robot|machine|computer|program|ai)\b"
            r"|\bare you (?:even )?(?:an? )?(?:bot|robot|human|real|person|ai|machine|chatbot|chatgpt|computer)\b"
            r"|\bwho are you\b"
            r"|\bwhat are you\b(?! (?:going|doing|talking|offering|selling|trying))|\bwhat(?:'s| is) your name\b"
            r"|\bwhat can you do\b"
            r"|\bhow can you help\b|\bhow are you\b"
            r"|\bwhat do you do\b(?! (?:with|if|when|about|to))|\bwho am i (?:talking|speaking"
            r"|chatting) (?:to|with)\b")),
    ("human", re.compile(

            r"^(?!.*\b(?:reads?|messages|chats)\b).*\b(?:speak|talk|chat|connect(?: me)?"
            r"|transfer(?: me)?|put me through|get)\b.{0,25}\b(?:human|person"
            r"|agent|someone|somebody|people|representative|support|staff|employee|manager|supervisor)\b"

            r"|\b(?:real|actual|live) (?:person|human|agent)\b|\bcustomer (?:service|support"
            r"|care)\b(?=.{0,100}\b(?:contact|reach|speak|talk|number)\b)|\b(?:or|a) human\b"
            r"|\bhuman (?:please|now|agent)\b|^(?:a )?human$"
            r"|\bcall me back\b")),
    ("insult", re.compile(

            r"\b(?:idiot|stupid|dumb|moron|useless|worthless|fuck\w*|shit\w*|crap|bastard|asshole|arsehole|suck"
            r"|sucks|rubbish bot|garbage|pathetic|hate you|shut up|piss off|incompetent|clown)\b")),
    ("complaint", re.compile(

            r"\byour (?:web ?site|site|shop|app|search|service)\b.{0,20}\b(?:awful|terrible|bad|rubbish|slow|confusing"
            r"|broken|horrible)\b"
            r"|\b(?:complain(?:t|ing)?(?! about)|file a complaint|disappoint\w+|unacceptable|outrageous"
            r"|terrible (?:service|experience)|worst (?:shop|service|experience|store)|ridiculous|fed up|furious"
            r"|angry|scam|never (?:again|order)|appalling|disgrace\w*|awful (?:service|experience)"
            r"|not happy with)\b")),
)  # fmt: skip
_HOSTILE = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,50}\b(?:instruction|instructions|previous|above|rule"
    r"|rules|prompt|polic\w+|guidelines|told)\b|\bsystem prompt\b|\bthe prompt\b"
    r"|\b(?:your|(?:your|the) (?:initial|hidden|secret)) (?:prompt|instructions)\b"
    r"|\bthe instructions (?:that )?(?:you|above|given|before)\b"
    r"|\byou are now\b|(?:^|you |please |now |and |to )pretend (?:to be|you|that)\b|\bjailbreak\b|\bact as\b"
    r"|\bsystem (?:notice|message|override|update)\b|\bverified staff\b|\bapply (?:a )?(?:100|99) ?%"
    r"|\brole-?play\b|\bdeveloper mode\b|\bdan mode\b"
    r"|(?<!n't )(?<!wont )(?<!not )\bdo anything now\b|</?(?:system|user|assistant|script"
    r"|img|iframe)\b|<\w+[^>]*>"
    r"|\brepeat after me\b|\b(?:say|write|print|reply|respond|answer|output|confirm) (?:that |with |only "
    r"|exactly |to me )*[\"':]|\bdrop table\b|\bselect \*|\bunion select\b|\bor 1 ?= ?1\b|\badmin (?:mode"
    r"|password|access)\b|\{\{|\bsudo\b"
    r"|\b(?:reveal|leak|dump|show me) (?:your|the|all|every) (?:\w+ )?(?:prompt|instructions|passwords?"
    r"|database|customers?|users?|keys?|config\w*)\b|\b(?:other|another|different) (?:customer|user|shopper"
    r"|person)(?:'s|s)?\b|\bas (?:an|the) (?:admin|administrator|employee|manager|developer)\b|\bi am (?:the"
    r"|your) (?:shop |store )?(?:admin|administrator|developer|owner|boss|ceo|manager)\b"
    r"|\bi'm (?:the|your) (?:shop |store )?(?:admin|administrator|developer|owner|boss|ceo|manager)\b"
)
_OFF_TOPIC = re.compile(
    r"\bweather\b|\b(?:will|does) it (?:rain|snow)\b|\b(?:cover|love|motivation) letter\b"
    r"|\bpoem\b|\bhaiku\b|\bessay\b|\bjoke\b|\bpython\b"
    r"|\bjavascript\b|\bsql\b|\b(?:write|code|program|debug)\b.{0,20}\b(?:function|script|code|program|app)\b"
    r"|\bcapital (?:city )?of\b|\bpresident\b|\bprime minister\b|\bfootball (?:score|result|match)|\bwho won\b"
    r"|\brecipe for\b|\bhow (?:do|to|can) (?:i |you )?(?:cook|bake|boil|lose weight|fix|repair)\b"
    r"|\btranslate\b|\bhomework\b|\bstock market\b|\bshares?\b(?= (?:of|in))|\bbitcoin\b|\bcrypto\w*\b"
    r"|\bflights? (?:to|from)\b|\bbook (?:me )?(?:a|my) flight\b|\bhotels?\b|\brestaurants? near\b"
    r"|\bmeaning of life\b|\bmedical\b|\bheadache\b"
    r"|\bsymptoms?\b|\bhoroscope\b|\bpolitic\w*\b|\belections?\b|\bwhat time is it\b|\bsong (?:about|lyrics)\b"
    r"|\bnetflix\b|\bsquare root\b|\bsolve\b|\bequation\b|\b\d+ ?(?:x|\*|times|plus|\+) ?\d+\b|\bdate me\b"
    r"|\bmarry me\b|\btax return\b|\blaptop\b|\bshoes\b|\bgroceries\b|\bfurniture\b|\bbicycle\b|\bphone case\b"
    r"|\b(?:today'?s|the) news\b|\bmovie tickets?\b|\bmoon\b(?=.{0,100}\bfar\b)"
)


def social(text: str) -> str:
    """What kind of remark a text is; empty if it asks for something."""
    said = bare(text) or text
    return next((slot for slot, pattern in _SLOTS if pattern.search(said) or pattern.search(text.strip(" .?!"))), "")


def is_hostile(text: str) -> bool:
    """Whether a text tries to instruct the assistant, or to get at what is not the shopper's."""
    return bool(_HOSTILE.search(text))


def off_topic(text: str) -> list[str]:
    """The words of a text that ask for what a book shop does not answer; a shop that sells that knows them."""
    return [found[0] for found in _OFF_TOPIC.finditer(text)]
