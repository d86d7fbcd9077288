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
DO_I_LACK = r"(?:am i|i'm|i am|do i|did i|i) (?:still )?(?:missing|miss|still need)|(?:don't i|i don't) (?:\w+ )?have"
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
SEVERAL_ORDERS = r"\b(?:which|what|any|all)\b.{0,25}\b"
# fmt: off
ORDER_CUES: tuple[Cue, ...] = (
    # What the shopper has.
    cue("cart", "", 2.4, None, r"\bcart\b"),
    cue("cart", "free", 2.8, None,
        r"\b(?:missing|left|lacking)\b.{0,25}\b(?:to|for|until) (?:get )?free (?:delivery|shipping)\b",
    ),
    cue("cart", "free", 2, None,
        r"\b(?:how much|what)\b.*\bfree (?:delivery|shipping)\b", r"\bfree (?:delivery|shipping)\b.*\bcart\b",
    ),
    cue("cart", "total", 2.7, None,
        r"\bcart\b.*\b(?:total|come to|altogether)\b", r"\b(?:total|altogether)\b.*\bcart\b", r"\bmy total\b",
    ),
    cue("orders", "address", 2.9, None,
        rf"^(?!.*\bchange\b).*\b(?:which|what) address\b.{{0,100}}\b(?:order|{PARCEL})\b",
        rf"\bwhere (?:is|are|does|do|did|will|was) (?:my|our) {PARCEL}\b.*\b(?:sent|shipped|delivered) to\b",
    ),
    cue("orders", "redirect", 3, None,
        rf"^(?=.*\b(?:change|update|correct|edit|alter)\b)(?=.*(?<!mail )\baddress\b).*\b{NAMED_ORDER}\b",
        rf"^(?=.*\banother address\b).*\b{NAMED_ORDER}\b",
    ),
    cue("orders", "where", 2.3, None,
        rf"\bwhere(?:'s|s| is| are)\b.*\b(?:(?:my|our)|the|it)\b.*\b{PARCEL}\b", r"\btrack(?:ing)?\b", r"\bstatus of\b",
        r"\bon (?:its|the|their) way\b", r"\bwhere(?:'s| is) (?:my|it)\b",
        rf"\b(?:my|our) {PARCEL}\b.*\b(?:hasn't|has not|have not|haven't|did not|never|not) (?:\w+ )?(?:come|came)\b",
    ),
    cue("orders", "where", 2.7, None,
        rf"\b(?:has|have|did|is|are|was|were)\b(?>.*?\b(?:my|our)\b)(?>.*?\b{PARCEL}\b).*\b(?:ship|shipped|sent|left"
        r"|leave|packed|dispatched|arrived?|delivered|cancelled|here|returned)\b",
        r"\bhas\b.*\bbeen (?:sent|shipped|packed|dispatched|delivered|cancelled)\b",
        r"\b(?:shipped|dispatched|packed|sent|delivered) yet\b",
    ),
    cue("orders", "arrive", 2.6, None,
        r"\bhow long (?:until|till) my (?:order|books?)\b",
        rf"\bwhen (?:will|does|do|is|should)\b.*\b(?:my|our) {PARCEL}\b",
        r"\bwhen (?:will|does|should|would|can) it (?:arrive|come|get here)\b",
    ),
    cue("orders", "what", 3.6, None,
        r"\b(?:see|show|view|list) (?:me )?(?:all )?my orders\b", r"\borders of (?:u\d|another|other|some)\w*\b",
        r"\bwhich order was\b",
    ),
    cue("orders", "what", 2.3, None, r"\b(?:which|what|any) (?:\w+ )?orders\b.*\b(?:i|my)\b"),
    cue("orders", "when", 2.9, None, r"\bwhen did i (?:buy|order|place|purchase|get)\b"),
    cue("orders", "paid", 2.8, None, r"\b(?:what|how much) did (?:i|we) (?:pay|spend)\b", r"\border\b.*\bcost\b"),
    cue("orders", "what", 1.6, None,
        r"\bmy (?:last |latest |recent |previous |past |open )?(?:orders?|purchases?)\b(?!.*\baddress\b)",
        r"\bhave i (?:already )?(?:ordered|bought)\b", r"\bdid i (?:already )?(?:order|buy)\b",
    ),
    # What the shopper has ordered so far.
    cue("orders", "missing", 3.7, None,
        rf"\b(?:which|what) {VOLUMES} (?:{DO_I_LACK})\b(?!.*\b(?:{PARCEL_OR_CART})\b)",
        r"\b(?:do i|have i) (?:already )?have (?:all|every|each)\b.*\bof x\b",
    ),
    cue("orders", "spent", 3.6, None,
        r"\bhow much (?:money )?(?:have|'ve) (?:i|we) (?:\w+ )?spent\b(?!.*\border\b)",
        rf"\b(?:how much|what) (?:money )?(?:did|have) (?:i|we) (?:\w+ )?(?:spend|pay|spent|paid)\b.*(?:{SPOKEN})",
    ),
    cue("orders", "some", 3.6, None,
        rf"\b(?:what|which)\b.*\b{BOUGHT}\b.*(?:{SPOKEN})", rf"\b(?:orders?|purchases?) (?:\w+ ){{0,2}}(?:{SPOKEN})",
        rf"^(?:(?:show|list|see|view|find)(?: me)? )?(?:all )?(?:of )?my {ORDER_STATE} (?:orders?|purchases?)\W*$",
        rf"{SEVERAL_ORDERS}{ORDER_STATE} orders\b", rf"{SEVERAL_ORDERS}orders\b.*\b{ORDER_STATE}\b",
    ),
    cue("orders", "where", 2.6, None,
        r"\bwhere\b.{0,14}\bbooks? (?:that )?i(?:'ve| have)? (?:just )?(?:bought|ordered)\b",
    ),
    cue("orders", "where", 1.7, None, r"\bordered .*\bago\b"),
    cue("orders", "where", 2.6, None, r"\b(?:show|see|view|open|find|check)(?: me)? (?:my )?order #?[a-z]*\d{3,}\b"),
    cue("orders", "where", 1.9, None, r"\border (?:number )?#?[a-z]*\d{3,}\b", rf"\b{ORDER_NUMBER}\b"),
    cue("orders", "can_cancel", 2.7, None,
        r"\bcan i (?:still )?cancel (?:my|the|this|that) (?:\w+ )?order\b",
        rf"\bcan i (?:still )?cancel (?:order )?{ORDER_NUMBER}",
    ),
    cue("orders", "can_cancel", 1.5, None,
        r"\bcan i (?:still )?cancel\b.*\b(?:my|it|the|order|this)\b", r"\b(?:still|too late to) cancel\b",
    ),
    cue("orders", "why", 3.4, None,
        r"\b(?:why|who)\b.*\b(?:cancell?ed|returned)\b(?=.*\b(?:it|order|that|this|mine)\b|\W*$)",
    ),
    cue("orders", "can_return", 2.7, None,
        rf"\bcan i (?:still )?return\b.*\b(?:order|{ORDER_NUMBER})\b",
        rf"\b(?:send|give|bring|ship|take)\b.*\b{ORDER_NUMBER}\b.*\bback\b",
        rf"\b(?:send|give|bring|ship|take) back\b.*\b{ORDER_NUMBER}\b",
    ),
    cue("points", "", 2.6, None,
        r"\bhow many (?:loyalty )?points (?:do|have) i\b",
        r"\bmy (?:bonus )?points?(?: balance)?\b(?!.*\b(?:expire|lapse)\b)",
        r"\bhow many (?:loyalty )?points\b.*\buntil\b",
    ),
    # Actions.
    cue("action", "add", 3, None,
        r"(?<!did i )(?<!have i )(?<!if i )\b(?:add|put|throw|place|pop|stick)\b(?! up).*\b(?:cart)\b",
        r"(?<!if i )\badd (?:it|this|that|one|two|three|both|them|the|another|a|" + FIGURE + r")\b"
        r"(?!.*\b(?:address|points?|euros?|eur|card|message|wrap\w*|name|vat|account|review|note|code)\b)",
        r"^(?:please )?(?:order|buy) (?:it|this|me|the|one|two|\d+)\b",
        r"^(?:can you |could you )?(?:add|put) (?:the |a )?x\b",
    ),
    cue("action", "remove", 2.8, None, r"\b(?:delete|remove) (?:everything|it all)\b(?!.*\b(?:account|data)\b)"),
    cue("action", "remove", 0.3, 2.9, r"^(?:ok )?take (?:x|the|it|that|this)\b.*\bout\b"),
    cue("action", "remove", 3, None,
        r"\b(?:remove|take|delete|drop)\b.*\b(?:from|out of)\b.*\bcart\b", r"\bempty (?:my |the )?cart\b",
        r"^(?:please )?(?:remove|delete|drop) (?:it|this|that|the|one|both)\b",
    ),
    cue("action", "quantity", 2.9, None,
        r"\bmake\b.*\bcopies\b", rf"\bchange\b.*\bto {AMOUNT}{AT_END}",
        rf"\bmake (?:it|that) (?:just |only )?{AMOUNT}\b",
    ),
    cue("action", "cancel", 2.6, None,
        r"(?<!how do i )(?<!how can i )(?<!how to )(?<!can i )(?<!could i )(?<!may i )(?<!still )\bcancel (?:it|this"
        rf"|that|my|the|order|both|[a-z]\d)\b(?!.*\b(?:{NO_ORDER}|until when|how long|deadline)\b)",
        rf"\b(?:want|like|need|wish|have) to cancel\b(?!.*\b(?:{NO_ORDER})\b).*\b(?:my|order|it|this)\b",
    ),
    cue("action", "return", 2.2, None, r"\b(?:want|like|need|wish) to return\b", r"\bstart (?:a|the|my) return\b"),
    cue("action", "unable", 1.4, None,
        r"^(?:can you |could you )?(?:change|update|edit) (?:my|the) (?:delivery |credit )?(?:address|card|phone"
        r"|e-?mail)\b(?!.*\?)", r"\bdelete my account\b",
    ),
    cue("social", "checkout", 3.2, None,
        r"^(?:i want to |can i |how do i )?(?:check ?out|pay now)\b(?! with)(?:,? please)?\W*$",
    ),
)
# fmt: on
