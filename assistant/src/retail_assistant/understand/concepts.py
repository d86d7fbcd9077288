"""The concepts of a shop's help pages, and the many ways in which customers put them.

A page says "opened items", a customer "I took the plastic off". Both name the same concept, and a section that has the
concepts of a question probably answers it, however few words they share.
"""

from __future__ import annotations

import re

from retail_assistant.understand.places import place
from retail_assistant.understand.seldom_stated import SPOKEN

# fmt: off
_SPOKEN: dict[str, tuple[str, ...]] = {
    "return": (
        r"return(?:s|ed|ing|able)?\b",
        r"(?:send|sent|sending|give|bring|take|took|ship|go|goes|went|hand|mail|post)(?:ing)? (?:\w+ ){0,4}back\b",
        r"don'?t want (?:it|this|the book)", r"no longer want", r"changed? my mind", r"returnable",
    ),
    "refund": (
        r"refund\w*", r"money back", r"reimburs\w*", r"pa(?:id|y) back", r"get (?:my|the) money", r"my money",
        r"credit(?:ed)? back", r"cash back", r"rather than the cash", r"(?:euros|money) (?:\w+ )?missing from",
    ),
    "exchange": (
        r"exchang\w*", r"swap\w*", r"trade (?:it|in)", r"switch (?:it|to|for)",
        r"(?:change|swap) (?:it|this|that|them) (?:for|to|into)", r"replace it with",
        r"instead of (?:the|a|my) (?:paperback|hardcover|money|refund)", r"another (?:copy|edition|format)",
        r"new copy", r"old copy", r"different (?:copy|edition|format)",
    ),
    "cancel": (
        r"cancel\w*", r"undo", r"call(?:ed)? off", r"stop (?:my|the|an|this) (?:order|purchase)", r"revoke",
        r"withdraw", r"abort",
        r"take (?:it |something |an item |a book |one )?(?:\w+ )?(?:out|off) (?:of )?(?:my|the) order",
        r"ordered by (?:mistake|accident)", r"drop (?:one|a book|an item|it|my order|something)",
        r"don'?t want (?:my|the) order", r"changed my mind about (?:my|the|an) order",
    ),
    "partly": (
        r"part of", r"single items?", r"one of (?:the|my|three|two|several)", r"only (?:want|keep|kept|need)",
        r"(?:drop|remove|leave out|take out) (?:one|a|an|some)", r"some of", r"one item", r"not everything",
        r"just one", r"three of", r"half of", r"one book from", r"fewer", r"the rest\b",
    ),
    "sent": (
        r"already (?:been )?(?:sent|shipped|left|dispatched|on (?:its|the) (?:way|road))",
        r"on (?:its|the) (?:way|road)", r"in transit", r"has left", r"have sent", r"left (?:us|you|your)",
        r"at the (?:door|doorstep)", r"refuse (?:it|the)", r"postman", r"after (?:it|you) (?:ship|sent|shipped)",
        r"shipped already", r"out for delivery", r"been shipped", r"was shipped", r"has shipped",
        r"once (?:it|they)(?:'s| is| has) (?:shipped|sent|left)",
    ),
    "shop_cancels": (
        r"you (?:cancel|drop|called off)", r"yourselves", r"unavailable",
        (r"(?:can'?t|cannot|don'?t|do not|no longer|not) (?:have|supply|get|find) (?:the|it|my|a) (?:book|item"
        r"|title)"), r"turns? out (?:to be )?(?:unavailable|sold out|that you)", r"why did you cancel",
        r"you found out", r"orders? that we cancel", r"we cancel", r"cancelled by you",
    ),
    "damaged": (
        r"damage\w*", r"torn", r"crush\w*", r"broken", r"\bwet\b", r"soaked", r"\bbent\b", r"ripped", r"scratch\w*",
        r"stain\w*", r"ruined", r"battered", r"smashed", r"in bad (?:shape|condition)", r"destroyed",
        r"creased (?:when|on) ", r"water",
    ),
    "arrival": (
        r"on arrival", r"arriv(?:ed|es|ing)", r"came", r"turned up", r"delivered",
        r"when i (?:opened|got|unpacked)",
    ),
    "misprint": (
        r"misprint\w*", r"print(?:ing)? (?:fault|error|defect|mistake)\w*",
        r"(?:missing|blank|upside[- ]down|empty|double|wrong|same|loose) pages?",
        r"pages? (?:\w+ ){0,3}(?:missing|blank|upside|empty|twice|fall|falling|stuck|unreadable)",
        r"chapter (?:\w+ )?missing", r"binding",
    ),
    "wrong_item": (
        r"wrong (?:book|item|title|volume|edition|order|product|one|thing)",
        r"(?:different|another|other) (?:book|item|title|volume|thing)s? (?:than|from|in the|came|arrived)",
        r"not (?:what|the (?:book|one|item)) i (?:ordered|bought)", r"mixed up", r"mix-up", r"somebody else'?s",
        r"didn'?t order", r"something else",
    ),
    "dent": (
        r"\bdent\w*", r"slip-?case", r"corner(?:s)? (?:is|are|was|of the)", r"squashed box",
        r"box (?:is|was|set)? ?(?:\w+ )?(?:dented|crushed|squashed)",
    ),
    "file_fault": (
        (r"(?:file|ebook|edition|download|app|reader)\b.*(?:doesn'?t|won'?t|does not|will not|not|can'?t|cannot"
        r"|fails?|crash\w*|error|corrupt\w*|faulty|broken)"),
        r"(?:won'?t|doesn'?t|can'?t|cannot|will not|does not) (?:\w+ )?(?:open|load|download)", r"faulty digital",
        r"corrupt\w*",
    ),
    "digital": (r"digital\w*", r"e-?books?", r"e book", r"kindle", r"epub", r"\bfiles?\b", r"download\w*"),
    "opened": (
        r"open(?:ed)? (?:items?|book|box|package|set|the|it|already)", r"opened", r"unwrapped", r"unsealed",
        r"plastic", r"\bseal\w*", r"shrink\w*", r"(?:i|i've|have|already|been) read (?:it|the|a|some|half|most)",
        r"after reading", r"half[- ]read", r"read(?:ing)? (?:a few|some|the first) (?:pages|chapters)", r"used",
        r"look(?:s)? (?:new|unread)", r"unread", r"creased", r"spine", r"condition", r"took the",
    ),
    "signed": (
        r"signed", r"personali[sz]ed", r"inscri\w*", r"dedicat\w*", r"made out to", r"autograph\w*",
        r"with my name",
    ),
    "excluded": (
        r"(?:can'?t|cannot|not|never|isn'?t|aren'?t) (?:be )?(?:return\w*|send back|given back)",
        r"(?:what|which|anything|items?|books?|things) (?:\w+ ){0,4}(?:can'?t|cannot|not|exclu\w+|except\w*)",
        r"non-?returnable", r"exclu\w+", r"exception\w*", r"final sale",
    ),
    "holiday": (
        r"holidays?", r"christmas", r"xmas", r"festive", r"november", r"december", r"january", r"santa",
        r"new year",
    ),
    "gift": (
        r"gifts?\b", r"presents?\b", r"giftee", r"was given", r"got (?:it|a book|this) (?:for|from|as)",
        r"receive[ds]? (?:it|a book|a gift)", r"birthday present", r"gift receipt", r"someone (?:gave|bought)",
        r"the giver", r"buyer",
    ),
    "delivery": (
        r"deliver\w*", r"shipping", r"ship(?:s|ped|ment)?\b", r"arriv\w*", r"parcels?", r"packages?", r"courier",
        r"carrier", r"dispatch\w*", r"get(?:s)? here", r"be here", r"postage", r"mailed", r"by post", r"standard",
    ),
    "express": (
        r"express", r"next[- ]day", r"tomorrow", r"overnight", r"fast(?:er|est)?\b", r"quick(?:er|est)?\b",
        r"urgent\w*", r"same[- ]day", r"asap", r"rush", r"15:00", r"cut-?off", r"by (?:3|three)",
    ),
    "threshold": (
        r"free (?:delivery|shipping|postage)", r"(?:delivery|shipping|postage)(?: \w+){0,3} free",
        r"minimum (?:order|spend|amount)", r"threshold", r"over €?\d+", r"above €?\d+", r"€?35", r"below €?\d+",
        r"from what amount", r"spend (?:to|for)",
    ),
    "pickup": (
        r"pick-?up", r"pick (?:it|them|my|the|a) (?:\w+ )?up", r"collect (?:it|my|the|a|from)", r"locker",
        r"collection point", r"drop-?off point", r"parcel shop", r"instead of (?:my )?(?:door|home)",
        r"post office", r"kept there", r"hold (?:it|my|the) (?:parcel|package)", r"picked up", r"kiosk",
    ),
    "address": (
        r"address\w*", r"\bmoved\b", r"moving", r"redirect\w*", r"reroute",
        r"(?:another|different|new|wrong|other) (?:address|street|place|house|flat|city)", r"go there instead",
        r"typo in my (?:street|postcode)", r"zip", r"postcode", r"sent to my (?:work|office|mum|neighbour)",
        r"be at my",
    ),
    "lost": (
        r"\blost\b(?! (?:my|the|a) (?:code|card|gift|email))", r"stuck", r"never (?:arrived|came|got|turned)",
        (r"(?:not|hasn'?t|haven'?t|didn'?t|still not|no sign) (?:\w+ ){0,3}(?:arrive\w*|come|came|moved|updated"
        r"|received|turned|of my parcel)"), r"gone missing", r"missing parcel", r"stand(?:s|ing)? still",
        r"not mov\w+", r"no (?:update|movement)", r"sorting cent\w+", r"disappeared", r"vanished",
        r"i think it'?s gone", r"where'?s my parcel",
    ),
    "tracking": (r"track\w*", r"\blink\b"),
    "standard_time": (
        r"how (?:long|many days|soon|fast)[^.?!]*(?:deliver\w*|shipping|arriv\w*|take|get here|parcel|order)",
        (r"when (?:will|does|do|is|can)[^.?!]*(?:order|parcel|book|it|package)[^.?!]*(?:arrive|here|come"
        r"|deliver\w*)"), r"delivery (?:times?|days?)", r"working days",
    ),
    "arrives_money": (
        r"when[^.?!]*(?:refund|money|cash)", r"how (?:long|many days|soon)[^.?!]*(?:refund|money|cash)",
        r"(?:refund|money)[^.?!]*(?:yet|arrive\w*|show\w*|take|long|when|account|days)", r"bank(?:s)?\b",
        r"no money yet",
    ),
    "where_money": (
        r"where[^.?!]*(?:money|refund)",
        r"(?:refund|money)[^.?!]*(?:to (?:which|my|the|a|another|what)|back (?:to|on|onto)|method|card|paypal)",
        r"which (?:account|card)", r"payment method", r"same card", r"original", r"different card",
    ),
    "store_credit": (
        r"store credit", r"shop credit", r"credit (?:note|instead|bonus)", r"credit\b(?! card)", r"bonus",
        r"next purchase", r"instead of (?:the )?(?:money|cash|refund)", r"rather than the cash", r"extra percent",
        r"on top",
    ),
    "part_refund": (
        r"partial\w*", r"in part\b", r"not (?:the )?(?:full|whole|all)", r"less (?:money )?than",
        r"only (?:got|refunded|part)", r"(?:smaller|reduced|half) (?:the )?refund", r"incomplete", r"full amount",
        r"deduct\w*", r"why (?:did|do|was|is)[^.?!]*less",
    ),
    "fee_back": (
        r"(?:delivery|shipping|express|postage)(?: \w+){0,4} (?:back|refund\w*|return\w*)",
        r"(?:refund|return|get|give)[^.?!]*(?:delivery|shipping|express|postage) (?:fee|cost|charge|money)?",
        r"delivery (?:fee|cost)s? (?:i )?paid", r"express fee",
    ),
    "label": (
        r"label", r"return (?:shipping|postage|cost|fee)",
        r"(?:who|do i|must i|have to) pays?[^.?!]*(?:return|sending|back)",
        r"cost[^.?!]*(?:to )?(?:return|send\w*)[^.?!]*", r"(?:return|sending)[^.?!]*(?:free|cost|pay|fee)",
        r"2\.90",
    ),
    "how": (
        r"how (?:do|can|does|to|would|should|must) (?:i|you|it|we|one)", r"walk me through", r"steps?\b",
        r"procedure", r"process", r"instructions", r"where do i (?:start|begin|pick|drop|go|click|find|ask)",
        r"what do i (?:have to )?do", r"explain", r"way to",
    ),
    "reserve": (
        r"reserv\w*", r"set aside", r"hold (?:it|the|a) (?:copy|new|book|replacement)",
        r"keep (?:it|the|a) (?:copy|new)", r"put (?:it )?aside", r"sold out (?:before|while|meanwhile)",
        r"still be (?:there|available)", r"safe for me",
    ),
    "cost": (
        r"costs?\b", r"how much", r"free\b", r"pay for\b", r"fees?\b", r"charge(?:s)?\b(?! me)", r"pric\w+",
        r"expensive", r"who pays", r"surcharge", r"for nothing", r"extra\b",
    ),
    "preorder": (
        r"pre-?order\w*", r"pre order\w*",
        r"(?:not (?:yet )?|before (?:it'?s |it is |the )?)(?:release\w*|out|published|appear\w*)", r"comes? out",
        r"upcoming", r"release (?:day|date)", r"publication", r"out (?:in|next) (?:\w+)", r"reserved a novel",
        r"forthcoming", r"new novel",
    ),
    "charged_when": (
        r"when[^.?!]*(?:charg\w*|debit\w*|taken|pay\b|money|billed?)", r"charged?\b", r"debit\w*",
        r"(?:money|amount) (?:be )?(?:taken|leave|deducted|reserved)",
        r"pay (?:now|immediately|upfront|in advance|right away|later)", r"bill(?:ed)? me", r"have to pay",
    ),
    "card_charge": (
        r"card[^.?!]*(?:charg\w*|debit\w*|reserv\w*|taken|blocked)",
        r"(?:charg\w*|debit\w*|reserv\w*|block\w*)[^.?!]*card", r"reserved amount", r"pending", r"authori[sz]\w+",
    ),
    "release_day": (
        r"(?:on|by|before) (?:the )?(?:release|publication|launch) (?:day|date)", r"release day",
        r"day (?:it|the book) (?:comes out|is released|is published)", r"day one", r"on time for the release",
        r"launch day", r"arrive on the day",
    ),
    "price_drop": (
        r"price (?:drop|fall|goes down|guarantee|reduc\w*|change)\w*",
        r"cheaper (?:later|before|by|now|when|afterwards)", r"gets cheaper", r"became cheaper", r"becomes cheaper",
        r"lowest price", r"(?:drops|dropped|falls|fell|lower) (?:in )?price",
        r"price .* (?:drops|falls|lower|goes down)",
    ),
    "delayed": (
        r"delay\w*", r"postpone\w*",
        r"(?:date|release|publisher) (?:\w+ ){0,4}(?:mov\w+|chang\w+|pushed|shift\w*|later)", r"pushed back",
        r"later than", r"put back", r"moves? (?:a|the) date",
    ),
    "limit": (
        r"limits?\b", r"how many (?:copies|of the same|preorders)", r"maximum", r"max\b", r"at most",
        r"more than (?:one|two|three|3|four|\d+) copies", r"\d+ copies",
        r"(?:three|four|five|six|ten|several|multiple|many) copies", r"bulk", r"librar\w+", r"school", r"class\b",
        r"book club", r"same book",
    ),
    "gift_card": (r"gift ?cards?", r"gift vouchers?", r"gift certificates?", r"giftcards?"),
    "amount": (
        r"amounts?\b",
        (r"(?:how (?:much|big|small|large)|what (?:value|sum|denominations?)|smallest|largest|biggest|minimum"
        r"|maximum|worth|value|load|put on)[^.?!]*(?:card|voucher|gift)"),
        r"(?:card|voucher)[^.?!]*(?:worth|value|amount|for \d+|of \d+|€\d+|over)",
        r"\d+[ .]?\d* ?(?:euro|€)[^.?!]*card", r"denominations?",
    ),
    "validity": (
        r"expir\w*", r"valid\w*", r"how long[^.?!]*(?:last|good|valid|use|keep|card)", r"run(?:s)? out", r"lapse",
        r"old (?:card|gift)", r"use by", r"years? (?:later|ago|old)", r"still (?:work|good|valid|use)", r"last\b",
    ),
    "redeem": (
        r"redeem\w*", r"how (?:do|can|to)[^.?!]*(?:use|apply|enter|pay with)[^.?!]*(?:card|code|voucher)",
        r"type (?:in )?the code", r"enter the code", r"at checkout", r"several cards", r"two cards", r"combine",
        r"multiple (?:cards|gift)", r"left ?over", r"what is left", r"remaining", r"rest of",
        r"more than one (?:card|gift)", r"use (?:a|my|the|two|both) (?:gift )?cards?",
    ),
    "balance": (
        r"balance", r"how much (?:is )?(?:left|money is|remains|have i|do i have)", r"left on (?:my|the|a)",
        r"check (?:my|the|a|what)",
    ),
    "lost_code": (
        (r"(?:lost|lose|threw|thrown|deleted|can'?t find|cannot find|mislaid|misplaced|forgot|stolen"
        r"|gone)[^.?!]*(?:code|card|email|voucher)"),
        r"(?:code|card|voucher|email)[^.?!]*(?:lost|gone|stolen|missing|deleted|misplaced|thrown)",
        r"block (?:a|the|my) code",
    ),
    "pay_ways": (
        r"(?:ways?|how|methods?|options?|forms?) (?:\w+ ){0,4}(?:pay|payment)",
        r"pay(?:ment)? (?:with|by|via|using|methods?|options?)", r"paypal", r"credit cards?", r"debit", r"visa",
        r"mastercard", r"amex", r"bank transfer", r"apple pay", r"google pay", r"cash on", r"accept\w*", r"klarna",
        r"bitcoin", r"crypto\w*",
    ),
    "invoice_pay": (
        r"(?:pay|buy|order) (?:by|on|with|against) (?:an )?(?:invoice|bill|account)",
        r"invoice[^.?!]*(?:pay|due|days|limit|regular|how long)", r"pay later", r"pay after", r"on account",
        r"21 days", r"due\b",
    ),
    "instalments": (
        r"instal\w*", r"monthly", r"each month", r"per month", r"in parts", r"split (?:the|my|a|it)",
        r"spread (?:the|my|it)", r"all at once", r"rates\b", r"bit (?:by bit|each)", r"several payments",
        r"interest",
    ),
    "failed": (
        (r"(?:payment|card|transaction)[^.?!]*(?:fail\w*|declin\w*|reject\w*|refus\w*|not (?:work|go)"
        r"|didn'?t (?:work|go)|error|bounced|wasn'?t accepted)"),
        r"(?:fail\w*|declin\w*|reject\w*)[^.?!]*(?:payment|card)", r"try (?:to pay )?again", r"pay again", r"retry",
    ),
    "receipt": (
        r"receipts?\b(?! gift)", r"invoices?\b", r"\bpdf\b", r"vat\b", r"company name", r"tax number",
        r"proof of purchase", r"for (?:my|the) (?:accountant|company|tax|taxes|boss)", r"bill for",
    ),
    "points": (
        r"points?\b(?! out)", r"loyalty", r"member\w*", r"rewards?", r"bonus programme", r"scheme",
        r"collect(?:ing)? points",
    ),
    "earn": (
        r"earn\w*", r"how many points (?:do|will|for|per|can)", r"points (?:for|per|on)", r"get (?:any )?points",
        r"collect", r"per euro", r"anything in the",
    ),
    "spend_points": (
        r"(?:spend|use|redeem|convert|turn|cash in|exchange|worth)[^.?!]*points",
        r"points[^.?!]*(?:worth|voucher|discount|spend|use|redeem|into|convert|checkout)", r"500", r"voucher of",
        r"what can i (?:do|buy|get)[^.?!]*points",
    ),
    "points_expire": (
        r"points[^.?!]*(?:expir\w*|valid|last|lapse|lose|gone|disappear\w*|run out|keep|old|how long|forever)",
        r"(?:expir\w*|lose|lapse)[^.?!]*points", r"18 months",
    ),
    "vip": (
        r"\bvips?\b", r"status", r"level", r"tier", r"early access", r"€?300", r"gold member", r"premium",
        r"best customer", r"perks?", r"benefits",
    ),
    "points_return": (
        r"points[^.?!]*(?:return\w*|refund\w*|back|taken|deduct\w*|lose)",
        r"(?:return\w*|refund\w*|goes? back|send\w* back)[^.?!]*points",
    ),
    "birthday": (r"birthday", r"birth ?date", r"bday", r"double points", r"day i was born"),
    "abroad": (
        r"abroad", r"international\w*", r"oversea\w*", r"foreign", r"another country", r"other countr\w+",
        r"outside (?:the|my|of|your)", r"worldwide", r"globally", r"europe\w*", r"\beu\b", r"countr\w+",
    ),
    "where_deliver": (
        r"(?:which|what|how many|all|list of) countr\w+", r"where do you (?:deliver|ship|send)",
        r"do you (?:deliver|ship|send|post|mail)[^.?!]*(?:to|abroad|international\w*|worldwide|overseas)",
        r"42 countries", r"ship (?:to|abroad|internationally)", r"deliver (?:to|abroad)", r"worldwide",
    ),
    "in_europe": (
        r"(?:within|in|inside|across|another|other) (?:the )?(?:european?|eu)\b(?! ?union tax)",
        r"european country", r"8\.90", r"4 to 7",
    ),
    "beyond_europe": (
        r"outside (?:of )?(?:the )?(?:europe|eu)", r"beyond europe", r"non-?eu", r"€19", r"8 to 15",
        r"other continent",
    ),
    "customs": (
        r"customs", r"dut(?:y|ies)", r"import", r"border", r"tax(?:es)?\b(?! number)", r"vat\b", r"declar\w+",
        r"value on the parcel",
    ),
    "return_abroad": (
        r"(?:return|send|ship)\w*[^.?!]*(?:from|in) (?:abroad|another|a different|outside|other)",
        r"(?:abroad|foreign|international)[^.?!]*return\w*", r"return\w*[^.?!]*(?:abroad|international\w*|foreign)",
        r"tracked service",
    ),
    "languages": (
        r"languages?", r"in (?:german|french|spanish|italian|dutch|japanese|english|other|original)\b",
        r"(?:german|french|spanish|italian|japanese|english) (?:books?|editions?|titles?|versions?|copies)",
        r"is (?:everything|it|this) (?:\w+ )?(?:in )?english", r"translat\w+",
    ),
    "data": (
        r"\bdata\b", r"information (?:about|on|of|you)", r"personal (?:data|information|details)", r"gdpr",
        r"privacy", r"what (?:do|does) (?:you|the shop) (?:know|store|keep|save|record|collect)",
        r"stored? (?:about|my)", r"keep (?:about|of|on|my)", r"save about", r"log\b", r"history of what",
    ),
    "kept": (
        r"what (?:do|does|data|information)[^.?!]*(?:keep|store|save|collect|know|track|record)",
        r"which (?:data|pages|information)", r"wish ?list", r"keep (?:about|track|my)", r"looked at", r"browsing",
        r"track me", r"follow me", r"watch what",
    ),
    "suggestions": (
        r"suggest\w*", r"recommend\w*", r"personali[sz]ed", r"switch(?:ed|ing)? (?:\w+ )?off",
        r"turn (?:\w+ )?(?:\w+ )?off", r"stop (?:showing|tracking|recommending|suggesting)",
        r"(?:don'?t|do not) want (?:to be shown|suggestions|recommendations|you to)", r"based on my", r"opt[- ]out",
        r"disable",
    ),
    "copy_data": (
        r"copy of my",
        (r"(?:get|request|download|see|send me|export|ask for|want|access)[^.?!]*(?:my|all|the) (?:\w+ )?(?:data"
        r"|information)"), r"subject access", r"everything you (?:have|know)", r"ready within", r"all the data",
    ),
    "delete_account": (
        (r"(?:delete|close|remove|erase|cancel|get rid of|deactivate|wipe)[^.?!]*(?:account|profile|me\b|my data"
        r"|membership)"), r"leave the shop", r"account deletion", r"deleting an account",
    ),
    "chats": (
        r"chat(?:s)?\b", r"conversation\w*", r"messages? (?:to|with|here|i|you)", r"assistant", r"transcripts?",
        r"what i (?:write|type|say|tell)", r"this talk", r"hold on to my conv\w+",
    ),
    "sharing": (
        (r"(?:share|sell|pass|give|hand|disclose|forward)[^.?!]*(?:data|address|details|information|email"
        r"|to (?:others|third|anyone|advertisers|companies|somebody|partners))"), r"third part\w+", r"advertis\w+",
        r"who (?:else )?(?:sees|gets|knows|has)", r"selling",
    ),
}
# fmt: on
_PATTERNS = {name: re.compile(rf"\b(?:{'|'.join(spoken)})") for name, spoken in (_SPOKEN | SPOKEN).items()}
SELDOM_STATED = frozenset(SPOKEN)
"""What customers ask of any shop, and only some state."""


def concepts(text: str) -> frozenset[str]:
    """The concepts that a text in lower case names; a place counts as a part of the world."""
    found = {name for name, pattern in _PATTERNS.items() if pattern.search(text)}
    if where := place(text):
        found |= {"abroad", "in_europe" if where[1] else "beyond_europe"}
    return frozenset(found)
