"""The words with which shoppers ask for their cart, their orders and points, and for what is to be done with them."""

from __future__ import annotations

from retail_assistant.understand.copies import AMOUNT, FIGURE
from retail_assistant.understand.said.cues import Cue, cue
from retail_assistant.understand.times import SPOKEN

ORDER_NUMBER = r"#?(?:[a-z]\d{3,}|[a-z]{2,4}\d{5,})"
NAMED_ORDER = rf"(?:order (?:number |no\.? ?)?#?[a-z]*\d+|{ORDER_NUMBER})"
PARCEL = r"(?:orders?|parcels?|packages?|deliver(?:y|ies)|shipments?|purchases?|books?|stuff|package)"
NO_ORDER = "account|newsletter|membership|subscription|return|preorder|profile|points|card|reservation"
"""What a shopper may want to cancel besides an order."""
PARCEL_OR_CART = r"orders?|parcels?|packages?|deliver(?:y|ies)|shipments?|box|carts?|points?"
DO_I_LACK = (
    r"(?:am i|i'm|i am|do i|did i|i) (?:still )?(?:missing|lack(?:ing)?|not (?:have|own)|miss|still need)"
    r"|(?:do i|i) still need|(?:don't i|i don't|haven't i|i haven't) (?:\w+ )?(?:have|own|got|bought|ordered)"
)
"""What a shopper does not have of a series."""
VOLUMES = (
    r"(?:(?:x )?(?:volumes?|vols?|books?|ones?|parts?)(?: (?:of|from|in) [^.?!]{1,30}?)?|of (?:it|them|these|those|x))"
)
BOUGHT = r"i (?:\w+ )?(?:order|buy|bought|get|purchase)(?:ed|d)?"
AT_END = r"(?=\W*$|\s?[,;!?]|\.(?!\d)|\s(?:cop(?:y|ies)|pieces?|each|of|in|for|please|now|instead|then|and|on)\b)"
"""After a number that nothing is called by: "to 5", not "to 5 Long Lane"."""
ORDER_STATE = (
    r"(?:cancell?ed|returned|sent back|open|outstanding|undelivered|delivered|arrived|shipped|dispatched|packed"
    r"|on the way)"
)
SEVERAL_ORDERS = r"\b(?:which|what|any|how many|show|list|all)\b.{0,25}\b"
# fmt: off
ORDER_CUES: tuple[Cue, ...] = (
    # What the shopper has.
    cue("cart", "", 2.4, None, r"\b(?:my|the|in) (?:shopping )?cart\b", r"\bcart\b"),
    cue("cart", "free", 2.8, None,
        r"\bhow far (?:am i|are we)\b.*\bfree\b",
        r"\b(?:missing|left|lacking|need(?:ed)?|more)\b.{0,25}\b(?:to|for|until) (?:get |reach )?free (?:delivery"
        r"|shipping)\b", r"\b(?:my|the|this) (?:cart|order)\b.*\bfree (?:delivery|shipping)\b",
    ),
    cue("cart", "free", 2, None,
        r"\b(?:how (?:far|much)|what|how many)\b.*\b(?:free (?:delivery|shipping))\b",
        r"\b(?:more|missing|left|reach|qualify|add|spend)\b.*\bfree (?:delivery|shipping)\b",
        r"\bfree (?:delivery|shipping)\b.*\b(?:yet|already|cart|now|missing|more)\b",
    ),
    cue("cart", "total", 2.7, None,
        r"\bcart\b.*\b(?:total|cost|sum|come to|price|much|altogether|worth)\b",
        r"\b(?:total|cost|sum|much|price|altogether)\b.*\bcart\b", r"\bmy total\b", r"\bwhat do i owe\b",
    ),
    cue("orders", "address", 2.9, None,
        rf"^(?!.*\bchange\b).*\b(?:which|what) address\b.{{0,100}}\b(?:(?:my|the) {PARCEL}|order|{ORDER_NUMBER})\b",
        rf"\bwhere (?:is|are|does|do|did|will|was) (?:my|our) {PARCEL}\b.*\b(?:go|going|sent|shipped|delivered) to\b",
    ),
    cue("orders", "redirect", 3, None,
        r"^(?=.*\b(?:change|update|correct|edit|alter|switch|fix|wrong|redirect|reroute)\b)(?=.*(?<!mail )\baddress\b)"
        rf".*\b{NAMED_ORDER}\b",
        rf"^(?=.*\b(?:another|(?:a )?different|(?:a |my )?new|(?:an|the|my) other) address\b).*\b{NAMED_ORDER}\b",
    ),
    cue("orders", "where", 2.3, None,
        rf"\bwhere(?:'s|s| is| are)\b.*\b(?:(?:my|our)|the|it)\b.*\b{PARCEL}\b", r"\btrack(?:ing)?\b",
        r"\b(?:order|delivery|parcel) status\b", r"\bstatus of\b", r"^status\b", r"\bon (?:its|the|their) way\b",
        r"\bwhere(?:'s| is) (?:my|it)\b",
        rf"\b(?:my|our) {PARCEL}\b.*\b(?:hasn't|has not|have not|haven't|didn't|did not|never|not) (?:\w+ )?"
        r"(?:come|came|arrived?|turned up|shown up|been delivered|here|reached)\b",
    ),
    cue("orders", "where", 2.7, None,
        rf"\b(?:has|have|did|is|are|was|were)\b(?>.*?\b(?:my|our)\b)(?>.*?\b{PARCEL}\b).*\b(?:ship|shipped|sent|left|leave"
        rf"|packed|dispatched|arrived?|delivered|cancelled|way|delayed|late|coming|here|paid|out|go out"
        rf"|returned)\b", r"\bhas\b.*\b(?:shipped|been (?:sent|shipped|packed|dispatched|delivered|cancelled))\b",
        r"\b(?:shipped|dispatched|packed|sent out|sent|delivered) yet\b",
    ),
    cue("orders", "arrive", 2.6, None,
        r"\b(?:how long|how many days) (?:until|till|before) my (?:order|parcel|package|books?)\b",
        rf"\bwhen (?:will|does|do|is|should|can i expect)\b.*\b(?:my|our) {PARCEL}\b",
        r"\bwhen (?:will|does|should|would|can) it (?:arrive|come|get here|be here)\b",
        r"\bwhen will i (?:get|receive)\b",
    ),
    cue("orders", "what", 3.6, None,
        r"\b(?:what|which) are my orders\b", r"\b(?:see|show|view|list) (?:me )?(?:all )?my orders\b",
        r"\borders of (?:u\d|user|another|other|some)\w*\b", r"\bwhich order was\b",
    ),
    cue("orders", "what", 2.3, None,
        r"\b(?:which|what|any|how many) (?:\w+ )?orders\b.*\b(?:i|my)\b",
        r"\b(?:see|show|view|find) (?:me )?(?:all )?my orders\b",
    ),
    cue("orders", "when", 2.9, None,
        r"\bwhen did i (?:buy|order|place|purchase|get)\b", r"\b(?:date|day) of (?:my|the) (?:order|purchase)\b",
        r"\bwhen was\b.*\b(?:order|it) placed\b", r"\bdid i (?:order|buy|place)\b.*\bwhen\b",
    ),
    cue("orders", "paid", 2.8, None,
        r"\b(?:what|how much) did (?:i|we) (?:pay|spend)\b", r"\bhow much (?:was|were|is)\b.*\border\b",
        r"\border\b.*\b(?:total|cost|come to)\b", r"\btotal (?:of|for) (?:my|the)\b.*\border\b",
    ),
    cue("orders", "what", 1.6, None,
        r"\b(?:what|which)\b.{0,25}\bdid i (?:order|buy|get|purchase)\b",
        r"\bwhat(?:'s| is| was| were)? in my (?:last |latest |recent )?order\b",
        r"\bmy (?:last |latest |recent |previous |past |open |current |most recent )?(?:orders?"
        r"|purchases?)\b(?!.*\b(?:address|invoice|receipt)\b)", r"\border history\b",
        r"\bhave i (?:already )?(?:ordered|bought)\b", r"\bdid i (?:already |ever )?(?:order|buy)\b",
        r"\blist my orders\b",
    ),
    # What the shopper has ordered so far.
    cue("orders", "missing", 3.7, None,
        rf"\b(?:which|what) {VOLUMES} (?:{DO_I_LACK})\b(?!.*\b(?:{PARCEL_OR_CART})\b)",
        rf"\bwhat (?:{DO_I_LACK}) (?:of|from|in) (?!.*\b(?:{PARCEL_OR_CART})\b)",
        r"\b(?:am i|do i) (?:still )?(?:missing|lack) (?:any|some)(?: volumes?| books?| parts?)? (?:of|from) "
        rf"(?!.*\b(?:{PARCEL_OR_CART})\b)",
        r"\b(?:do i|have i) (?:already )?(?:have|own|got|bought|ordered) (?:all|every|each)\b.*"
        r"\b(?:volumes?|parts?|of x)\b",
    ),
    cue("orders", "spent", 3.6, None,
        r"\bhow much (?:money )?(?:have|'ve) (?:i|we) (?:\w+ )?(?:spent|paid)\b(?!.*\border\b)",
        rf"\b(?:how much|what) (?:money )?(?:did|have) (?:i|we) (?:\w+ )?(?:spend|pay|spent|paid)\b.*(?:{SPOKEN})",
        r"\bhow much (?:money )?did (?:i|we) (?:\w+ )?(?:spend|pay)\b.*"
        r"\b(?:with you|in total|altogether|so far|overall)\b",
        r"\b(?:sum|total|cost) of (?:all )?my orders\b", r"\bmy total spending\b",
    ),
    cue("orders", "some", 3.6, None,
        rf"\b(?:what|which|anything|something|everything)\b.*\b{BOUGHT}\b.*(?:{SPOKEN})",
        rf"\b(?:orders?|purchases?) (?:\w+ ){{0,2}}(?:{SPOKEN})", rf"\bmy (?:orders?|purchases?)\b.*(?:{SPOKEN})",
        rf"^(?:(?:show|list|see|view|find)(?: me)? )?(?:all )?(?:of )?my {ORDER_STATE} (?:orders?|purchases?)\W*$",
        rf"{SEVERAL_ORDERS}{ORDER_STATE} (?:orders|purchases)\b",
        rf"{SEVERAL_ORDERS}(?:orders|purchases)\b.*\b{ORDER_STATE}\b",
    ),
    cue("orders", "where", 2.6, None,
        r"\bwhere\b.{0,14}\b(?:books?|things?|stuff|orders?|parcels?) (?:that )?i(?:'ve| have)? "
        r"(?:just |already )?(?:bought|ordered|paid for)\b",
    ),
    cue("orders", "where", 1.7, None,
        r"\bmy (?:stuff|things)\b.*\?", r"\bwhere(?:'s|s| is) my\b", r"\bordered .*\bago\b", r"\bno news\b",
    ),
    cue("orders", "where", 2.6, None, r"\b(?:show|see|view|open|find|check)(?: me)? (?:my )?order #?[a-z]*\d{3,}\b"),
    cue("orders", "where", 1.9, None, r"\border (?:number )?#?[a-z]*\d{3,}\b", rf"\b{ORDER_NUMBER}\b"),
    cue("orders", "can_cancel", 2.7, None,
        r"\bcan i (?:still )?(?:cancel|stop|call off) (?:my|the|this|that) (?:\w+ )?order\b",
        rf"\bcan i (?:still )?cancel (?:order )?{ORDER_NUMBER}",
    ),
    cue("orders", "can_cancel", 1.5, None,
        r"\bcan i (?:still )?(?:cancel|stop|call off)\b.*\b(?:my|it|the|order|this)\b",
        r"\b(?:still|too late to) cancel\b",
    ),
    cue("orders", "why", 3.4, None,
        r"\b(?:why|who)\b.*\b(?:cancell?ed|returned|refused)\b(?=.*\b(?:it|order|that|this|mine)\b|\W*$)",
        r"\bwhy\b.*\b(?:cancell?ed|late|delayed|not (?:yet )?(?:shipped|sent|here)|take so long|taking so long)\b",
    ),
    cue("orders", "can_return", 2.7, None,
        rf"\bcan i (?:still )?return\b.*\b(?:order|{ORDER_NUMBER})\b",
        rf"\b(?:send|give|bring|ship|take)\b.*\b{ORDER_NUMBER}\b.*\bback\b",
        rf"\b(?:send|give|bring|ship|take) back\b.*\b{ORDER_NUMBER}\b",
    ),
    cue("points", "", 2.6, None,
        r"\bhow many (?:loyalty |bonus |reward )?points (?:do|have) i\b",
        r"\bmy (?:loyalty |bonus |reward )?points?(?: balance)?\b(?!.*\b(?:expire|valid|transfer\w*|lapse|run out)\b)",
        r"\bpoints (?:balance|do i have|have i)\b",
        r"\bpoints (?:are )?(?:on|in) my account\b", r"\bi have .* points\b",
        r"\bhow many (?:loyalty )?points\b.*\b(?:missing|need|left|until)\b", r"\bhow many points have i\b",
    ),
    # Actions.
    cue("action", "add", 3, None,
        r"(?<!did i )(?<!have i )(?<!if i )\b(?:add|put|throw|place|pop|stick)\b(?! up).*\b(?:cart)\b",
        r"(?<!if i )\badd (?:it|this|that|one|two|three|both|them|the|another|a|" + FIGURE + r")\b"
        r"(?!.*\b(?:address|points?|euros?|eur|card|message|wrap\w*|name|vat|account|review|note|code)\b)",
        r"\bi(?:'ll| will) (?:take|have|buy) (?:it|this|that|one|two|the|both|them|\d+)\b",
        r"^(?:please )?(?:order|buy) (?:it|this|me|the|one|two|a copy|\d+)\b",
        r"\bi(?:'d like| want| would like) to (?:buy|order|purchase) (?:it|this|that|one|the first|the second)\b",
        r"^(?:please |can you |could you )?(?:add|put) (?:the |a |another |\w+ copies of )?x\b",
        rf"^(?:please |can you |could you )?(?:add|put|order|buy) {AMOUNT} (?:an? )?(?:cop(?:y|ies) )?(?:of )?x\b",
    ),
    cue("action", "remove", 2.8, None,
        r"\b(?:delete|remove|empty|clear) (?:everything|all of (?:it|them)|it all)\b(?!.*\b(?:account|data)\b)",
    ),
    cue("action", "remove", 0.3, 2.9,
        r"^(?:please |ok |no,? )?(?:remove|delete|take out|drop) (?:x|the|it|that|this)\b",
        r"^(?:please |ok |no,? )?take (?:x|the|it|that|this)\b.*\bout\b",
    ),
    cue("action", "remove", 3, None,
        r"\b(?:remove|take|delete|drop|throw|kick)\b.*\b(?:from|out of|off)\b.*\bcart\b",
        r"\bempty (?:my |the )?cart\b", r"\bclear (?:my |the )?cart\b",
        r"^(?:please )?(?:remove|delete|drop) (?:it|this|that|the|one|both)\b",
        r"\bremove (?:one|two|\d) cop(?:y|ies)\b",
    ),
    cue("action", "quantity", 2.9, None,
        r"\b(?:make|change|set|increase|raise|reduce)\b.*\b(?:quantity|copies)\b",
        rf"\b(?:make|change|set|increase|raise|reduce)\b.*\bto {AMOUNT}{AT_END}",
        rf"\bmake (?:it|that) (?:just |only )?{AMOUNT}\b",
    ),
    cue("action", "cancel", 2.6, None,
        r"(?<!how do i )(?<!how can i )(?<!how to )(?<!can i )(?<!could i )(?<!may i )(?<!still )\bcancel (?:it"
        r"|this|that|my|the|order|both|everything|[a-z]\d)\b"
        rf"(?!.*\b(?:{NO_ORDER}|until when|how long|deadline)\b)",
        rf"\b(?:want|like|need|wish|have) to cancel\b(?!.*\b(?:{NO_ORDER})\b).*\b(?:my|order|it|this)\b",
        r"\bstop my order\b",
    ),
    cue("action", "return", 2.2, None,
        r"\b(?:want|like|need|wish) to (?:return|give back)\b", r"^(?:please )?return (?:it|this|my|the|order)\b",
        r"\bstart (?:a|the|my) return\b", r"\bi(?:'m| am) returning\b", r"\bset up a return\b",
    ),
    cue("action", "unable", 1.4, None,
        r"^(?:please |can you |could you )?(?:change|update|reset|edit) (?:my|the) (?:delivery |e-?mail "
        r"|credit )?(?:address|password|card|phone|payment|e-?mail)\b(?!.*\?)",
        r"\b(?:change|update|reset|edit)\b.*\bmy\b.*\b(?:address|password|e-?mail|phone|payment|card|name)\b",
        r"\bdelete my (?:account|data)\b", r"\bpay (?:for )?(?:it|this|my order) (?:now|for me|with)\b",
        r"\bcheck ?out (?:now|for me)\b", r"\bredeem\b.*\bfor me\b",
    ),
    cue("social", "checkout", 3.2, None,
        r"^(?:ok |okay |please |let's |i(?:'d| would) like to |i want to |can i |how do i )?(?:check ?out|pay now"
        r"|place (?:my|the) order|order now|buy (?:it|them|everything) now)\b(?! with)(?:,? (?:now|please))?\W*$",
    ),
)
# fmt: on
