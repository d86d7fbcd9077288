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
_ARRIVES = r"\b(?:arriv\w+|come|coming|get here|be (?:here|delivered)|due|reach me)\b"
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
    r"(?:\bi(?:'ve| have| had)? (?:\w+ )?(?:bought|ordered|purchased|read|liked)\b"
    r"|\bmy (?:\w+ ){0,2}(?:orders?|purchases?|history|taste|reads?)\b)"
)
_ADDS = (
    r"^(?!.*\b(?:wish ?list|order|account|address|review|points?|code)\b)"
    r"(?:please |ok(?:ay)?,? |then |so |and |also |now |yes,? |can you |could you |i want to )*"
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
        r"\bhow (?:far|much)(?: am i| are we)? (?:off|away from|short of|below) free (?:delivery|shipping)\b",
    ),
    cue("social", "private", 4.2, None,
        r"\bwhat (?!(?:people|others|readers|everyone|everybody|customers|else|have|has|did|do|happens)\b)"
        r"(?:(?!i\b|we\b|you\b|if\b|they\b)\w+ ){1,5}(?:has )?(?:ordered|bought|purchased)\b",
    ),
    cue("action", "return", 3, None,
        r"(?<!if i )\b(?:want|like|need|wish|going) to (?:return|send back|give back|bring back) (?:\w+ ){0,3}x\b",
        r"(?<!if i )\b(?:want|like|need|wish|going) to (?:send|give|bring) x\b.{0,20}\bback\b",
        r"^(?:please |ok(?:ay)?,? |can you |could you )*(?:return|send back|take back) x\b",
        r"^(?:please |ok(?:ay)?,? |can you |could you )*take x\b.{0,20}\bback\b",
    ),
    cue("action", "cancel", 2.7, None,
        r"(?<!can i )(?<!how do i )(?<!how can i )(?<!how to )(?<!could i )(?<!may i )(?<!still )"
        r"\bcancel (?:(?:today|yesterday)(?:'?s)? (?:order|purchase)|(?:what|everything|all|the (?:books?|things?))"
        r" (?:that )?i (?:\w+ )?(?:ordered|bought))\b",
    ),
    cue("action", "add", 3, None,
        rf"{_ADDS}(?:add|put)\b(?=.*\bx\b).*\bvol(?:ume)?s?\b",
        rf"{_ADDS}(?:add|put) x\b",
    ),
    cue("action", "add", 0.3, 3,
        r"^(?!.*\bwish ?list\b)(?:please |ok(?:ay)?,? |then |so |and |also |now |yes,? |can you |could you )*"
        r"(?:add|put) vol(?:ume)?s? ?\d",
    ),
    cue("action", "remove", 0.3, 3,
        r"^(?:(?:hm+|actually|no|oh|ok(?:ay)?|yes|please|wait|well|then|and|now)\b[ ,.!]*)*take (?:it|that|this|x)"
        r"(?: back)? out\b",
        r"\btake (?:it|them|those|both) (?:back |all )?out(?: again)?\b",
        r"^(?:please |ok(?:ay)?,? |then |so |and |also |now |no,? |actually |can you |could you )*"
        r"(?:remove|delete|drop|take out|take|throw out) vol(?:ume)?s? ?\d",
    ),
    cue("cart", "free", 2.8, None,
        r"\bhow (?:much|far|many)(?: \w+){0,7} (?:until|till|to|for|get|have|from)"
        r"(?: i| we)?(?: get| have| reach)? free (?:delivery|shipping)\b(?! to\b)"
        r"(?!.*\b(?:abroad|europe|express|country)\b)",
        r"\b(?:is|are) (?:my |the )?(?:delivery|shipping) (?:for )?free (?:now|yet|already|then)\b",
        r"\bis my (?:delivery|shipping) (?:for )?free\b",
        r"\b(?:do|did|will|would) i (?:now |already )?(?:get|have|qualify for) free (?:delivery|shipping)"
        r" (?:now|yet|already|then)\b",
    ),
    cue("orders", "returnable", 3.8, None,
        r"\b(?:which|what)\b(?=.*\b(?:my|mine|orders|i (?:have )?(?:bought|ordered))\b)"
        r".*\b(?:can|could|may|able to)\b.*"
        r"\b(?:return\w*|sen[dt] back|go(?:es)? back|give back|bring back)\b",
        r"\b(?:which|what)\b.*\b(?:of )?(?:my|mine)\b.*\breturnable\b",
    ),
    cue("orders", "where", 3.1, None,
        r"\b(?:what happened (?:to|with)|status of|what about) (?:my|the) (?:order|parcel|package)\b",
    ),
    cue("orders", "can_return", 2.95, None,
        rf"\b{ORDER_NUMBER}\b.*\btoo late\b",
        rf"\b{ORDER_NUMBER}\b.*\b(?:return\w*|go(?:es)? back|(?:sen[dt]|give|bring) (?:it |them )?back)\b",
        r"\b(?:can|could|may) i (?:still )?(?:return|send|give|bring)(?: back)? (?:mine|my (?:last|latest|newest)"
        r"(?: \w+)?|the last (?:one|order))\b",
    ),
    cue("orders", "earned", 3.3, None,
        r"\bhow many points\b.*\b(?:order|purchase)\b", r"\b(?:my|last|latest) order\b.*\bhow many points\b",
        rf"\bpoints\b.*\b{ORDER_NUMBER}\b",
        rf"\b{ORDER_NUMBER}\b.*\bpoints\b",
    ),
    cue("orders", "some", 3.6, None,
        r"\bdid i (?:ever |already )*(?:return|cancel|send back) (?:something|anything|an?|any)\b",
        r"\b(?:orders?|what|which|books?|things?) (?:that )?(?:did )?i (?:\w+ )?"
        r"(?:sent back|send back|return(?:ed)?|cancel(?:l?ed)?)\b",
    ),
    cue("orders", "open", 3.7, None,
        rf"\bwhere(?:'s|s|'re| is| are)\b.*\b(?:my|our|the|all|both) (?:\w+ ){{0,2}}{_PARCELS}\b"
        r"(?! (?:go|going|sent|shipped|delivered) to)",
        rf"\b(?:track|status of)\b.*\b(?:all|both|open|my)\b.*\b{_PARCELS}\b",
        r"\b(?:all|everything|what|which)\b.*\b(?:hasn't|haven't|has not|have not|didn't) (?:yet )?"
        r"(?:arrived?|come|been delivered|turned up)\b",
    ),
    cue("orders", "open", 3.1, None,
        r"\b(?:what|what's|which|anything)\b.{0,25}"
        r"\b(?:on (?:its|the|their) way|coming|outstanding|still open|pending)\b(?: to me| for me)?\W*$",
    ),
    cue("orders", "address", 2.9, None,
        r"^(?!.*\b(?:change|update|wrong|edit|correct)\b).*\b(?:what|what's|which|show)\b.{0,100}\baddress\b.{0,100}"
        r"\b(?:on|of|for) (?:my|the|that) (?:\w+ )?(?:order|parcel|package)\b",
    ),
    cue("orders", "can_return", 2.59, None,  # less than sure: without such an order the policies are asked
        r"^(?:so |and |but |hi,? |ok,? )*(?:can|could|may) i (?:still )?(?:return|send back|give back) (?:my |the )?x"
        r"(?: vol(?:ume)? ?\d+)?(?: now| please| still)*\W*$",
        r"^(?:so |and |but |hi,? |ok,? )*(?:can|could|may) i (?:still )?(?:send|give|bring) (?:my |the )?x"
        r"(?: vol(?:ume)? ?\d+)? back"
        r"(?: now| please| still)*\W*$",
    ),
    cue("orders", "open", 2.7, 0.5,
        r"^(?:and |so |but )*where(?:'re| are) (?:they|both|all of (?:it|them)|those)(?: now)?\W*$",
    ),
    cue("orders", "arrive", 2.7, None, rf"\bwhen\b.*(?:{ONE_OF_STATE}).*{_ARRIVES}"),
    cue("orders", "spent", 3.7, None,
        rf"\b(?:how much|total|sum|spen[dt]|pa(?:id|y)|cost)\b.*{SEVERAL_LAST}", rf"{SEVERAL_LAST}.*\bcost\b",
    ),
    cue("orders", "some", 3.6, None, rf"\b(?:what|which|show|list|see)\b.*{SEVERAL_LAST}"),
    cue("orders", "bought", 3.7, None,
        rf"^{_NOT_CART}(?!.*(?:{SPOKEN}))(?:and |so |but |hi,? |hello,? )*(?:have|did|do) i (?:ever |already )*"
        rf"{_HAS}(?: already)?(?: any(?:thing)?| some)?(?: {BOOK}| parts?)?(?: of| from| in)?(?: the)? x\b",
        rf"^{_NOT_CART}(?!.*(?:{SPOKEN})).*\b(?:which|what) {VOLUMES} (?:have|did|do) i (?:already |ever )*{_HAS}\b",
    ),
    cue("orders", "next", 0, 3,
        r"\bnext (?:one|volume|vol|book|part)\b.*\bi (?:should|must|need|have|want|can)\b",
        r"\b(?:which|what)\b.*\b(?:should|do|must|would) i (?:get|buy|order|need|read)\b.*\bnext\b",
    ),
    cue("points", "", 2.7, None,
        r"^(?:and |so |my |loyalty |bonus |the |what about |how about )*points?(?: balance| please| then)*\W*$",
    ),
    cue("points", "level", 3.2, None,
        r"\bam i (?:a |an |already |still |now |then )*vip\b", r"\bdo i (?:already |still )?have vip\b",
        r"\bmy (?:level|status|vip)\b(?!.*\border\b)",
    ),
    cue("points", "vouchers", 3.2, None, r"\bhow much\b.*\bspend\b.*\bvouchers?\b(?! for\b)"),
    cue("points", "vouchers", 2.8, None,
        r"^(?:and |so |what )*(?:in|as) vouchers?\b", r"\bmake vouchers?\b",
        r"\bmore (?:points )?(?:for|until|till|to|do i need for) (?:\w+ ){0,2}(?:another|the next|next|one|a|my first)"
        r" voucher\b",
        r"\bhow many vouchers?\b", r"\b(?:which|what) vouchers? (?:is|are|do|can|does|would)\b",
    ),
    cue("social", "checkout", 3.2, None,
        r"^(?:ok |okay |please |so |and )*(?:(?:how )?(?:can|could|do|may) (?:i|you|we) )?"
        r"(?:check ?(?:me )?out|pay|buy|order|place (?:my|the|an) order)(?: it| them| this)?(?: right)?"
        r" (?:here|in (?:the|this) chat|with you)\b.{0,20}$",
    ),
    cue("social", "private", 4.2, None,
        rf"{_SHOW}\b{_THINGS}\b.{{0,100}}\b(?:of|does|did|has) (?:the )?{_PERSON}\b",
        rf"{_SHOW}\b{_THINGS} (?:that )?{_PERSON} has\b",
        rf"{_SHOW}\b{_PERSON}(?:'s|s')? (?:\w+ )?{_THINGS}\b",
        rf"\bwhat (?:did|does|has|have) {_PERSON} (?:\w+ )?(?:order|buy|ordered|bought|have)\b",
    ),
    cue("list", "", 3.2, None,
        r"\b(?:recommend\w*|suggest\w*|should i (?:read|buy|get)|pick|something|anything|find|show|give)\b.*"
        r"\b(?:based on|given|considering|from|according to|fit(?:s|ting)?|suits?|match(?:es|ing)?|with)\b.*"
        rf"{_WHAT_I_HAD}",
        rf"\bwhat would (?:fit|suit|match)\b.*{_WHAT_I_HAD}",
    ),
)
# fmt: on
AFTER_CART: tuple[tuple[re.Pattern[str], Kind, str], ...] = (
    (
        re.compile(
            r"^(?:and )?(?:the )?(?:sum|total)\W*$|\b(?:together|altogether|in total|the total)\b.{0,100}\bhow much\b"
            r"|\bhow much\b.{0,100}\b(?:together|altogether|in total)\b"
        ),
        "cart",
        "total",
    ),
    (
        re.compile(
            r"^(?:please |ok(?:ay)?,? |no,? |and |then )*(?:take|remove|drop|delete) (?:out )?the\b.*"
            r"\b(?:out|away|one|off|now)\b"
        ),
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
            r"\bwhat(?:'s|s| is| do i have)? (?:in (?:it|there)|now in (?:it|there))\b"
            r"|\bwhat does it (?:have|hold|contain)\b"
            r"|\bwhat (?:have i got|do i have|is|did i put|have i put) (?:in (?:it|there)|so far|already)\b"
            r"|\bwhat(?:'s|s| is) left(?: in (?:it|there))?\W*$"
        ),
        "cart",
        "",
    ),
    (
        re.compile(r"\b(?:can|could|will|would) you (?:please )?(?:order|buy|pay|check ?out)\b.{0,25}\bfor me\b"),
        "social",
        "checkout",
    ),
)
"""What is said of a cart that was spoken of, and what it asks for."""
ONE_MORE = re.compile(
    r"^(?:(?:ok(?:ay)?|and|also|plus|then|yes)\b[ ,]*)*(?:and|also|plus|now|next|then)\b"
    r"|\b(?:too|as well|also)\b"
)
"""Words that add something to what was just wanted."""
AFTER_ORDERS = re.compile(
    r"^(?!.*\b(?:send\w*|return\w*|back|deliver\w*|ship\w*)\b)"
    r"(?:and |so |but )*(?:how much|what)\b.{0,25}\b(?:altogether|in total|in all|together|cost|come to|pay|paid)\b"
    r"|^(?:and |so |but )*how much (?:was|were|is) (?:it|that|this|the total|everything)\b"
    r"|^(?:and |so )*(?:the )?total\W*$"
)
"""Words that ask what an order cost, after it was spoken of."""
HOW_LONG = re.compile(
    r"\bhow (?:many days|long)\b|\buntil when\b|\bdays? (?:do i have )?left\b|\byes or no\b|\bdeadline\b|\blast day\b"
)
"""Words that ask on whether and until when an order can be returned."""
RETURN_IT = re.compile(
    r"^(?:so |and |but |ok,? )*(?:can|could|may) i (?:still )?(?:return|send back|give back) (?:it|that|this)\b"
)
"""Asks whether a book can be returned that was named before in the same message."""
MONEY_BACK = re.compile(r"\b(?:refund\w*|money|pa(?:id|y) (?:me )?back|reimburse\w*)\b")
"""Words for money that is paid back."""
