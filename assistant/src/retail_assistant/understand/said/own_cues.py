"""What goes on from the shopper's own cart and orders, the longer ways to ask for them, and what belongs to others."""

from __future__ import annotations

import re

from retail_assistant.understand.ask import Kind
from retail_assistant.understand.said.cues import BOOK, Cue, cue
from retail_assistant.understand.said.order_cues import ORDER_NUMBER, ORDER_STATE, VOLUMES
from retail_assistant.understand.times import SPOKEN

SEVERAL_LAST = (
    r"\b(?:last|latest|newest|(?:most )?recent|past|previous) (two|three|four|five|six|seven|eight|nine|ten|\d{1,2})"
    r" (?:orders|purchases|parcels|deliveries)\b"
)
"""The newest orders by their number: "my last three orders"."""
ONE_OF_STATE = (
    rf"\b(?:the|my) (?:one )?{ORDER_STATE} (?:one|order|parcel|package)\b"
    rf"|\b(?:one|order|parcel) (?:that(?:'s| is| was| got| has been)? )?(?:{ORDER_STATE}|on its way)\b"
)
"""One order by its state: "the shipped one"."""
_PARCELS = r"(?:orders|parcels|packages|deliveries|shipments|things|stuff)"
_HAS = r"(?:bought|buy|ordered|order|purchased|own|owned|have|got|get)"
_NOT_CART = r"(?!.*\b(?:cart|stock|points)\b)"
_ARRIVES = r"\b(?:arriv\w+|get here)\b"
_THINGS = (
    r"(?:orders?|order history|history|address(?:es)?|points|cart|e-?mail|phone|purchases?|account|details|data|books)"
)
_PERSON = (
    r"(?:u\d{3,}|(?:user|customer|shopper|client|member)(?: number| no\.?| id)? #?[^\W\d]*\d\w*"
    r"|(?:that|this|another|the other) (?:person|user|customer|shopper|client|guy|woman|man|member)"
    r"|(?:someone|somebody|anyone|anybody) else"
    r"|my (?:friend|neighbou?r|wife|husband|sister|brother|mother|father|boss|colleague|girlfriend|boyfriend"
    r"|ex(?: wife| husband)?)s?)"
)
_SHOW = (
    r"^(?!.*\b(?:can i|may i|could i|if i|i want to|gift|present)\b)"
    r".*\b(?:show|tell|give|list|see|look up|find|what|what's|which|how many|where)\b.{0,100}"
)
_WHAT_I_HAD = (
    r"(?:\bi(?:'ve| have| had)? (?:\w+ )?(?:bought|ordered|purchased)\b|\bmy (?:\w+ ){0,2}(?:orders?|purchases?)\b)"
)
_ADDS = (
    r"^(?!.*\b(?:wish ?list|order|account|address|review|points?|code)\b)(?:please |ok(?:ay)?,? |then |so |and |also "
    r"|can you |could you )*"
)
# fmt: off
OWN_CUES: tuple[Cue, ...] = (
    cue("action", "add", 3, None,
        r"^(?!.*\?)(?!.*\b(?:what|how|which|is|are|make|change|set|increase|raise|reduce|remove|take|delete|drop|no|zero"
        r"|only|should)\b)"
        r".*\b(?:cop(?:y|ies)|one|two|three|it|them|both|that|this)\b.{0,20}"
        r"\b(?:in|into|to) (?:my |the )?cart\b",
    ),
    cue("cart", "free", 2.8, None,
        r"\bhow much more\b.*\b(?:delivery|shipping|postage)\b.*\bfree\b",
        r"\bhow far(?: am i| are we)? off free (?:delivery|shipping)\b",
    ),
    cue("social", "private", 4.2, None,
        r"\bwhat (?!(?:have|has|did|do)\b)(?:(?!i\b|we\b|you\b|if\b|they\b)\w+ ){1,5}(?:has )?(?:ordered|bought"
        r"|purchased)\b",
    ),
    cue("action", "return", 3, None,
        r"(?<!if i )\b(?:want|like|need|wish|going) to (?:return|send back) (?:\w+ ){0,3}x\b",
        r"(?<!if i )\b(?:want|like|need|wish|going) to (?:send|give|bring) x\b.{0,20}\bback\b", r"^return x\b",
        r"^(?:please |can you |could you )*take x\b.{0,20}\bback\b",
    ),
    cue("action", "cancel", 2.7, None,
        r"(?<!can i )(?<!how do i )(?<!how can i )(?<!how to )(?<!could i )(?<!may i )(?<!still )\bcancel (?:today"
        r"|yesterday)(?:'?s)? (?:order|purchase)\b",
    ),
    cue("action", "add", 3, None, rf"{_ADDS}(?:add|put)\b(?=.*\bx\b).*\bvol(?:ume)?s?\b"),
    cue("action", "add", 0.3, 3,
        r"^(?!.*\bwish ?list\b)(?:please |so |and |also |can you |could you )*(?:add|put) vol(?:ume)?s? ?\d",
    ),
    cue("action", "remove", 0.3, 3,
        r"^(?:(?:hm+|actually|no|yes|and)\b[ ,.!]*)*take (?:it|that|this|x)(?: back)? out\b",
        r"^(?:remove|delete|drop|take) vol(?:ume)?s? ?\d",
    ),
    cue("cart", "free", 2.8, None,
        r"\bhow (?:much|far)(?: \w+){0,7} (?:until|till|to|for|have|from)(?: i| we)?(?: have)? free (?:delivery"
        r"|shipping)\b(?! to\b)(?!.*\beurope\b)",
        r"\b(?:is|are) (?:my |the )?(?:delivery|shipping) (?:for )?free (?:now|yet|already)\b",
        r"\b(?:do|did|will|would) i (?:now |already )?(?:get|have) free (?:delivery|shipping) (?:now|yet|already)\b",
    ),
    cue("orders", "returnable", 3.8, None,
        r"\b(?:which|what)\b(?=.*\bmy\b).*\b(?:can|could|may)\b.*\b(?:return\w*|sen[dt] back)\b",
    ),
    cue("orders", "where", 3.1, None, r"\b(?:what happened (?:to|with)|what about) (?:my|the) order\b"),
    cue("orders", "can_return", 2.95, None,
        rf"\b{ORDER_NUMBER}\b.*\btoo late\b", rf"\b{ORDER_NUMBER}\b.*\b(?:return\w*|go(?:es)? back)\b",
        r"\b(?:can|could|may) i (?:still )?(?:return|send|give|bring)(?: back)? (?:mine|my (?:last|latest"
        r"|newest)(?: \w+)?)\b",
    ),
    cue("orders", "earned", 3.3, None, rf"\bpoints\b.*\b{ORDER_NUMBER}\b"),
    cue("orders", "some", 3.6, None,
        r"\bdid i (?:ever )*return (?:something|anything|an?|any)\b",
        r"\b(?:orders?|what|which) (?:that )?(?:did )?i (?:\w+ )?send back\b",
    ),
    cue("orders", "open", 3.7, None,
        rf"\bwhere(?:'s|s|'re| is| are)\b.*\b(?:my|our|the|all|both) (?:\w+ ){{0,2}}{_PARCELS}\b(?! go to)",
        rf"\btrack\b.*\b(?:all|both|open|my)\b.*\b{_PARCELS}\b",
        r"\b(?:all|what|which)\b.*\b(?:has not|have not) (?:yet )?been delivered\b",
    ),
    cue("orders", "open", 3.1, None,
        r"\b(?:what|which|anything)\b.{0,25}\b(?:on (?:its|the|their) way|coming|still open|pending)\b(?: to me"
        r"| for me)?\W*$",
    ),
    cue("orders", "can_return", 2.59, None,  # less than sure: without such an order the policies are asked
        r"^(?:so |and |but )*(?:can|could|may) i (?:still )?return (?:my "
        r"|the )?x(?: vol(?:ume)? ?\d+)?(?: please)*\W*$",
        r"^(?:so |and |but )*(?:can|could|may) i (?:still )?(?:send|give|bring) (?:my "
        r"|the )?x(?: vol(?:ume)? ?\d+)? back(?: please)*\W*$",
    ),
    cue("orders", "open", 2.7, 0.5, r"^(?:and |so |but )*where(?:'re| are) (?:they|both|those)(?: now)?\W*$"),
    cue("orders", "arrive", 2.7, None, rf"\bwhen\b.*(?:{ONE_OF_STATE}).*{_ARRIVES}"),
    cue("orders", "spent", 3.7, None, rf"\b(?:how much|total)\b.*{SEVERAL_LAST}", rf"{SEVERAL_LAST}.*\bcost\b"),
    cue("orders", "some", 3.6, None, rf"\b(?:what|which|show|list|see)\b.*{SEVERAL_LAST}"),
    cue("orders", "bought", 3.7, None,
        rf"^{_NOT_CART}(?!.*(?:{SPOKEN}))(?:and |so |but )*(?:have|did|do) i (?:ever "
        rf"|already )*{_HAS}(?: already)?(?: any(?:thing)?| some)?(?: {BOOK})?(?: of| from| in)?(?: the)? x\b",
        rf"^{_NOT_CART}(?!.*(?:{SPOKEN})).*\b(?:which|what) {VOLUMES} (?:have|did|do) i (?:already )*{_HAS}\b",
    ),
    cue("orders", "next", 0, 3,
        r"\bnext (?:one|volume|vol|book|part)\b.*\bi (?:should|must|need|have|want|can)\b",
        r"\b(?:which|what)\b.*\b(?:should|do|must|would) i (?:get|buy|order|need|read)\b.*\bnext\b",
    ),
    cue("points", "", 2.7, None, r"^(?:and |so |my |loyalty |the )*points?(?: please)*\W*$"),
    cue("points", "level", 3.2, None, r"\bam i (?:a |an )*vip\b"),
    cue("points", "vouchers", 2.8, None, r"\bhow many vouchers?\b"),
    cue("social", "checkout", 3.2, None,
        r"^(?:so |and )*(?:(?:how )?(?:can|could|do|may) (?:i|you|we) )?(?:check ?(?:me )?out|pay|place (?:my|the"
        r"|an) order)(?: it| them| this)?(?: right)? (?:here|with you)\b.{0,20}$",
    ),
    cue("social", "private", 4.2, None,
        rf"{_SHOW}\b{_THINGS}\b.{{0,100}}\b(?:of|does|did|has) (?:the )?{_PERSON}\b",
        rf"{_SHOW}\b{_THINGS} (?:that )?{_PERSON} has\b", rf"{_SHOW}\b{_PERSON}(?:'s|s')? (?:\w+ )?{_THINGS}\b",
    ),
    cue("list", "", 3.2, None,
        r"\b(?:recommend\w*|suggest\w*|should i read|find|show|give)\b.*\b(?:based on|given|from"
        rf"|with)\b.*{_WHAT_I_HAD}", rf"\bwhat would fit\b.*{_WHAT_I_HAD}",
    ),
)
# fmt: on
AFTER_CART: tuple[tuple[re.Pattern[str], Kind, str], ...] = (
    (
        re.compile(r"\b(?:together|altogether)\b.{0,100}\bhow much\b"),
        "cart",
        "total",
    ),
    (
        re.compile(r"^take (?:out )?the\b.*\b(?:out|away|one|off|now)\b"),
        "action",
        "remove",
    ),
    (
        re.compile(
            r"(?<!vol )(?<!volume )\b(?:one|two|three|four|five|six|\d{1,2}) (?:cop(?:y|ies) )?of"
            r" (?:the )?(?:vol(?:ume)? ?\d|x\b)"
        ),
        "action",
        "quantity",
    ),
    (
        re.compile(
            r"\bwhat(?:'s|s| is| do i have)? in it\b|\bwhat does it have\b|\bwhat (?:have i got|do i have|is) in (?:it"
            r"|there)\b|\bwhat(?:'s|s| is) left(?: in it)?\W*$"
        ),
        "cart",
        "",
    ),
    (
        re.compile(r"\b(?:can|could|will|would) you (?:please )?(?:order|buy)\b.{0,25}\bfor me\b"),
        "social",
        "checkout",
    ),
)
"""What is said of a cart that was spoken of, and what it asks for."""
ONE_MORE = re.compile(r"^(?:and|also|plus|then)\b|\b(?:too|as well)\b")
"""Words that add something to what was just wanted."""
AFTER_ORDERS = re.compile(
    r"^(?!.*\bback\b)(?:and |so |but )*(?:how much|what)\b.{0,25}\b(?:altogether|in all|together|pay|paid)\b|^(?:and "
    r"|so )*(?:the )?total\W*$"
)
"""Words that ask what an order cost, after it was spoken of."""
HOW_LONG = re.compile(r"\bhow many days\b")
"""Words that ask on whether and until when an order can be returned."""
RETURN_IT = re.compile(r"^(?:so |and |but )*(?:can|could|may) i (?:still )?return (?:it|that|this)\b")
"""Asks whether a book can be returned that was named before in the same message."""
MONEY_BACK = re.compile(r"\b(?:refund\w*|money)\b")
"""Words for money that is paid back."""
