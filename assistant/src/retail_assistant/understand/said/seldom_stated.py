"""What customers ask of any shop, and only some shops state: opening hours, couriers, student discounts, devices."""

# fmt: off
SPOKEN: dict[str, tuple[str, ...]] = {
    "hours": (
        r"opening (?:hours|times?)",
        r"open (?:on (?:mon|tues|wednes|thurs|fri|satur|sun|week|public|christ|a )|today|now|at|until|late)",
        r"closed on",
        r"what time do you (?:open|close)", r"business hours", r"office hours", r"when are you (?:open|closed)",
    ),
    "phone": (
        r"phone number", r"telephone", r"call you", r"hotline", r"ring you", r"by phone", r"on the phone",
        r"whatsapp", r"call (?:the|your) (?:support|service|team)",
    ),
    "contact": (
        r"e-?mail address of (?:the|your)", r"your e-?mail", r"contact (?:details|form|you|us|person)",
        r"how (?:do|can) i (?:reach|contact)", r"write to you", r"live chat",
    ),
    "store": (
        r"physical (?:shop|store)", r"(?:visit|come to|walk into|browse in) (?:your|the|a)",
        r"i can (?:walk|go|come) (?:into|to)", r"where are you\W*$",
        r"brick", r"showroom",
        r"branch(?:es)?\b", r"your (?:shop|store) (?:in|located)", r"where are you (?:located|based)",
        r"headquarters", r"in person",
    ),
    "discounts": (
        (r"(?:student|senior|teacher|military|nhs|staff|employee|bulk|volume|quantity|library|school|friends?"
        r"|referral|first order|newsletter)s? discount"), r"discounts? (?:for|if)", r"student\w*",
        r"(?:discount|voucher|promo(?:tion)?) codes?",
        (r"(?:teachers?|schools?|librar(?:y|ies|ians?)|pupils|pensioners?|seniors?|nurses?|unemployed|clubs?)[^.?!]*"
        r"(?:discount|reduc\w+|cheaper|special price|lower price)"),
        r"cheaper (?:at|in|on) (?:another|other|a different|amazon)",
        r"coupons?", r"promo code", r"haggl\w*", r"bundle",
    ),
    "wrapping": (
        r"gift[- ]?wrap\w*", r"wrap(?:ped|ping)? (?:it|paper|as a)", r"greeting card",
        r"(?:personal|handwritten) (?:message|note|card)", r"gift message", r"ribbon", r"gift box",
        r"(?:nice|pretty|gift|festive|special|birthday|christmas) paper", r"giftwrap\w*", r"wrapped up",
    ),
    "audio": (r"audio ?books?", r"audible", r"listen to", r"narrat\w*", r"\bcds?\b", r"vinyl"),
    "courier": (
        (r"(?:which|what|your|who(?:'s| is)(?: the)?) (?:courier|carrier|delivery company|parcel service"
        r"|shipping company)"), r"\bdhl\b", r"\bups\b", r"fedex", r"\bdpd\b", r"hermes", r"royal mail", r"\busps\b",
    ),
    "time_slot": (
        r"time slot", r"(?:on|at) (?:a )?(?:saturday|sunday|weekend|evening|night)s?\b", r"saturdays?", r"sundays?",
        r"weekends?", r"in the (?:evening|morning)", r"specific (?:day|time|date)",
        r"choose (?:the|a|my) (?:day|time|date)", r"bank holiday", r"public holiday", r"particular day",
        r"before (?:noon|9|10)",
    ),
    "signature": (
        r"signature", r"sign for", r"who signs", r"leave (?:it|the parcel) (?:with|at|outside|in)", r"safe place",
        r"neighbour\w*", r"not (?:at )?home", r"nobody (?:is )?(?:home|in)",
        r"miss(?:ed)? (?:the )?(?:delivery|postman)", r"ring the bell", r"doorbell", r"letter ?box", r"mailbox",
    ),
    "packaging": (
        r"packag(?:ing|ed in)", r"packed in", r"bubble wrap", r"plastic[- ]free", r"cardboard", r"recycl\w*",
        r"eco\b", r"environment\w*", r"carbon", r"climate", r"sustainab\w*", r"green shipping", r"co2", r"fsc",
    ),
    "insurance": (r"insur\w*",),
    "jobs": (r"\bjobs?\b", r"vacanc\w+", r"career", r"hiring", r"work for you", r"internship", r"apply for"),
    "sell_to": (
        r"sell (?:you |my )(?:old |used )?(?:books|manga|own)", r"buy (?:my|used|old|second)", r"second[- ]?hand",
        r"used books", r"pre-?owned", r"trade[- ]in", r"donate", r"recycle my", r"publish my", r"self-publish\w*",
        r"my own book", r"consign\w*",
        r"manuscripts?", r"(?:i have|i've|i) (?:written|wrote) (?:a|my)\b", r"get rid of",
    ),
    "other_pay": (
        r"apple pay", r"google pay", r"amazon pay", r"bitcoin", r"crypto\w*", r"cash on delivery", r"\bcheques?\b",
        r"\bchecks?\b(?= )", r"klarna", r"afterpay", r"amex", r"american express", r"dollars", r"\busd\b",
        r"pounds", r"\bgbp\b", r"foreign currenc\w*", r"currenc\w*",
        r"francs?\b", r"exchange rates?", r"zloty", r"yen\b",
        r"kron(?:a|er|or)\b", r"in cash", r"western union", r"direct debit",
        r"iban", r"twint", r"ideal\b", r"meal vouchers?",
    ),
    "account": (
        r"password", r"log ?in", r"sign ?(?:in|up)", r"two[- ]factor", r"2fa", r"create an account",
        r"without an account", r"guest", r"register\w*", r"username", r"change my (?:e-?mail|name)",
        r"merge (?:my|two) accounts", r"hacked", r"locked out", r"verification",
        r"(?:lock|block|freeze) (?:my|the) account",
    ),
    "newsletter": (
        r"newsletter", r"unsubscri\w*", r"subscri\w*", r"e-?mails? from you",
        r"(?:e-?mail|tell|alert|remind|ping|message|text) me (?:when|if|once|as soon)",
        r"let me know (?:when|if|once)", r"spam", r"marketing",
        r"mailing list", r"notif\w*", r"text messages?", r"\bsms\b",
    ),
    "app": (
        r"kindle", r"\bapps?\b", r"iphone", r"android", r"ios\b", r"tablet", r"e-?reader", r"kobo", r"tolino",
        r"which device", r"compatible", r"format of the (?:file|ebook)",
        r"\bpdfs?\b (?:version|file|format)", r"how many devices", r"lend", r"borrow",
        r"share (?:an? |my )?(?:ebook|digital|file)", r"offline",
    ),
    "events": (
        r"events?\b", r"signing", r"meet the author", r"book club meeting", r"convention", r"festival", r"tickets?",
        r"competition", r"contest", r"raffle", r"prize draw", r"giveaway",
    ),
    "reviews_write": (
        r"(?:write|leave|post|edit|delete) a review", r"my review", r"review(?:s)? (?:moderat\w*|reward)",
        r"for (?:writing )?(?:a )?reviews?",
    ),
    "referral": (
        r"refer(?:ral|ring)?\b", r"invit\w+ (?:a )?friend", r"recommend(?:ing)? (?:a |you to )friends?",
        r"affiliate", r"bring a friend", r"(?:send|bring|get) (?:you )?(?:a )?friends?\b",
    ),
    "transfer": (
        r"(?:pass|hand|move|give|send)[^.?!]*points[^.?!]* (?:on )?to (?:my|a|another|someone|his|her)",
        r"transfer\w* (?:my |the )?points", r"(?:share|pool|merge|give|gift|combine) (?:my |the )?points",
        r"points (?:to|with) (?:my|a|another|someone)", r"family account", r"household",
    ),
    "cash_out": (
        r"paid out", r"cash (?:out|value)", r"pay(?:ed|out)? (?:out )?in cash", r"turn (?:it |my \w+ )?into cash",
        r"sell (?:my|a) (?:gift card|voucher)", r"exchange (?:it|the card) for cash",
        r"money for (?:my|a) (?:gift card|voucher)",
    ),
    "reload": (
        r"reload", r"top ?up", r"recharge", r"extend (?:the|my|its) (?:validity|card)", r"prolong",
        r"buy (?:a )?gift card with (?:points|a gift card)", r"design", r"physical card", r"by post",
        r"printed card", r"schedule", r"send it on", r"(?:and )?not (?:before|earlier)\b",
        r"put (?:more|extra) (?:money|credit)", r"add (?:more |extra )?(?:money|credit)", r"more money on",
        r"on (?:a |one )?(?:certain|specific|particular|exact|chosen) (?:day|date)",
    ),
    "age": (
        r"age limit", r"minimum age", r"under ?age", r"how old", r"minors?\b", r"parental",
        r"for (?:my )?(?:kids|children)", r"children under",
    ),
    "who_you": (
        r"who (?:owns|runs|founded)", r"about (?:the|your) company",
        r"your (?:company|address|vat|registration|ceo|boss|founder)", r"since when", r"founded",
        r"how many (?:employees|people work)", r"trustpilot", r"are you (?:legit|trustworthy|a scam)",
        r"how long have you",
    ),
    "suppliers": (
        r"how do you (?:choose|source|select)", r"publisher(?:s)?\b", r"wholesale", r"retailers?", r"resell\w*",
        r"b2b", r"business account", r"corporate", r"purchase order", r"tax[- ]exempt", r"exempt\b",
        r"(?:without|no|net of) vat", r"charit(?:y|ies)\b", r"quote for",
    ),
    "translation_quality": (
        r"translat\w+ (?:is|was) (?:bad|terrible|poor|awful)", r"bad translation", r"printer\b",
        r"without (?:a )?printer", r"qr code",
    ),
    "disability": (r"wheelchair", r"accessib\w*", r"braille", r"large print", r"dyslex\w*", r"blind"),
    "lockdown": (
        r"strike", r"weather", r"snow", r"corona", r"covid", r"brexit", r"war\b", r"sanction\w*",
        r"military (?:base|address)", r"apo\b", r"po ?box", r"p\.o\.", r"packstation", r"prison", r"hospital",
        r"hotel", r"ship to a (?:boat|school)",
    ),
    "split": (
        r"split (?:my |the )?(?:order|parcel|shipment|delivery)", r"separate (?:parcels|deliveries|shipments)",
        r"one parcel", r"combine (?:two |my )?orders",
        r"add (?:something|a book|an item|another) to (?:my|an) (?:order|existing)", r"merge (?:my |two )?orders",
        r"change (?:the )?(?:quantity|order)",
    ),
    "old_price": (
        r"price (?:adjust\w*|difference|protection)",
        r"bought (?:it )?(?:last week|yesterday|before)[^.?!]*(?:sale|cheaper|now)", r"cheaper now",
        r"went (?:down|on sale) after", r"after i bought", r"retroactive\w*",
        r"price (?:dropped|fell) after (?:i|my)",
    ),
    "keep_vip": (
        r"(?:how long|stay|keep|lose|remain|renew|still)[^.?!]*\bvip",
        r"vip[^.?!]*(?:how long|last|expire|lose|keep|stay|renew|family|wife|transfer)",
    ),
    "late_fee": (
        r"late fees?", r"overdue", r"pay(?:ing|s|ment)? (?:too |is )?late", r"reminder fee",
        r"(?:too late|not|don'?t|forget|late) (?:\w+ )?(?:pay|paid|paying)", r"dunning", r"bill isn'?t paid",
    ),
    "collect_home": (
        r"(?:pick(?:ed)? up|collect(?:ed)?)[^.?!]*(?:from|at) (?:my )?(?:home|house|door|work)", r"home collection",
    ),
    "servers": (r"servers?\b", r"hosted", r"encrypt\w*", r"cookies?", r"data cent\w+", r"breach"),
    "keep_box": (
        r"original (?:box|packaging)", r"in the box", r"without (?:the )?(?:box|packaging)",
        r"reason(?:s)? (?:for|when|why)", r"give a reason", r"bookmark", r"poster",
        r"free gift", r"extras",
    ),
    "sale_date": (r"when is the next", r"next sale", r"black friday", r"cyber monday", r"boxing day"),
    "missing_items": (
        r"(?:\d|one|two|three|some) (?:books? |items? |volumes? )?(?:are |is |were |was )?missing (?:from|in)",
        r"only (?:\d|one|two|three) (?:of them )?(?:came|arrived|were in|was in)", r"missing (?:items?|books?)\b",
        r"incomplete (?:order|parcel|delivery)",
    ),
    "put_by": (
        r"(?:reserve|put aside|put by) (?:a|the|one|this|that|it|me)\b[^.?!]*(?:for me|until|till?|for us)\b",
    ),
    "compensation": (
        r"compensat\w*", r"what do i get for (?:this|that|the (?:delay|trouble|wait))", r"for (?:the|my) trouble",
        r"inconvenience",
    ),
    "law": (
        r"withdrawal", r"cooling[- ]off", r"consumer (?:law|rights?)", r"widerruf\w*", r"legal rights?", r"by law\b",
    ),
    "human_readers": (
        r"(?:humans?|people|staff|anybody|anyone|somebody|employees) (?:really |actually )?(?:read|see|look at)\b",
        r"read by (?:a |any )?(?:real |actual )?(?:people|humans?|staff|persons?|employees)",
    ),
    "failed_attempt": (
        r"(?:delivery|attempt)s? failed", r"failed (?:delivery|attempt)",
        r"(?:carrier|driver|courier|they) (?:will )?(?:try|come) (?:back|again)", r"second attempt",
        r"will they (?:try|come)",
    ),
    "several_parcels": (r"(?:two|several|different|more than one) parcels", r"sent in (?:two|several|parts)"),
    "credit_expiry": (r"store credit[^.?!]*(?:expires?|valid|last|run out)",),
    "minimum_order": (r"minimum order", r"(?:smallest|least|minimum) (?:possible )?order", r"order minimum"),
    "sample": (
        r"read (?:the|a) (?:first |few |sample )*(?:chapter|pages?|bit|sample)", r"look inside",
        r"free (?:sample|chapter)",
        r"(?:sample|preview|extract)s?\b",
    ),
    "price_match": (r"price match\w*", r"match (?:the|a|that|this|their) (?:price|offer)"),
    "drm": (r"drm\b", r"copy[- ]protect\w*", r"watermark\w*"),
    "several_addresses": (
        r"(?:two|three|four|several|multiple|more than one|various) (?:different |delivery )?addresses",
        r"different addresses",
    ),
    "switch_pay": (
        r"(?:change|switch)[^.?!]*(?:payment method|way (?:of|i) pay\w*|how i (?:pay|paid))",
        r"would rather (?:use|pay (?:with|by))", r"(?:account|card)[^.?!]*(?:doesn'?t exist|closed|no longer exists)",
    ),
    "packing_slip": (
        r"packing (?:slip|list|note)", r"delivery note",
        r"prices? (?:be |is |are )?(?:on|in|shown|printed|visible)[^.?!]*(?:slip|parcel|package|box|bill|invoice)",
        r"without (?:a |the )?(?:prices?|bill|invoice) in",
    ),
    "midnight": (r"midnight", r"at what time on", r"what time on"),
    "become_regular": (r"(?:what|who) (?:counts as|is|are) (?:a )?regular\b",
    r"(?:become|count|considered|treated) (?:as )?(?:a )?regular\b"),
    "send_digital": (
        r"send (?:a|an|the) (?:e-?book|digital \w+)", r"(?:e-?book|digital \w+) (?:to|for) (?:someone|somebody)",
    ),
    "lost_receipt": (r"(?:lost|no|without|don'?t have|misplaced)[^.?!]*(?:gift )?receipt",),
}
# fmt: on
