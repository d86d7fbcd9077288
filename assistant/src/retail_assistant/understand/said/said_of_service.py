"""How customers speak of what serves an order: delivery, payment, gift cards, points, their data, other countries."""

# fmt: off
SERVICE: dict[str, tuple[str, ...]] = {
    "delivery": (
        r"deliver\w*", r"shipping", r"ship(?:s|ped|ment)?\b", r"arriv\w*", r"parcels?", r"packages?", r"courier",
        r"carrier", r"dispatch\w*", r"get(?:s)? here", r"be here", r"postage", r"mailed", r"by post", r"standard",
        r"postman", r"(?:have|get) it sent", r"(?:bring|brought|bringing) it to me", r"be (?:there|with me)\b",
        r"sending\b(?! back)", r"turns? up",
    ),
    "express": (
        r"express", r"next[- ]day", r"tomorrow", r"overnight", r"fast(?:er|est)?\b", r"quick(?:er|est)\b",
        r"quick (?:delivery|shipping|way)", r"urgent\w*", r"same[- ]day(?! (?:as|and))", r"asap", r"rush",
        r"cut-?off", r"(?:the )?following day", r"speed\w*", r"priority", r"24[- ]?h\w*",
        r"sooner", r"emergency", r"last[- ]minute", r"in a hurry", r"(?:in|within) (?:a|one|1) day\b",
        r"jump the queue", r"right now\b", r"(?:by|latest)[^.?!]*the next day", r"can you make it",
        r"the latest i can order", r"by what time", r"by (?:christmas|xmas|tonight|noon)",
    ),
    "threshold": (
        r"free (?:delivery|shipping|postage)", r"(?:delivery|shipping|postage|sending|post)(?: \w+){0,3} free",
        r"minimum (?:order|spend|amount)", r"threshold", r"over €?\d+", r"above €?\d+", r"below €?\d+",
        r"from what amount", r"spend (?:to|for)", r"(?:ship|send|post|deliver)\w*[^.?!]*for (?:free|nothing)",
        r"go out for free", r"how much do i need to (?:buy|spend)", r"post on you", r"at what point[^.?!]*free",
        r"(?:cart|order) is (?:at )?€?\d+", r"ships free", r"avoid (?:it|paying|the (?:fee|delivery))",
    ),
    "pickup": (
        r"pick-?up", r"pick (?:it|them|my|the|a) (?:\w+ )?up", r"(?<!we )collect (?:it|my|the|a|from)", r"locker",
        r"collection (?:point|shop)", r"drop-?off point", r"(?:parcel|corner) shop", r"hang on to",
        r"instead of (?:my )?(?:door|home)",
        r"post office", r"kept there", r"hold (?:it|my|the) (?:parcel|package)", r"picked up", r"kiosk",
        r"click (?:and|&) collect", r"(?:delivered|sent|delivery) (?:\w+ ){0,3}to collect",
        r"(?:corner|nearby|local) shop", r"shop nearby", r"petrol station", r"gas station", r"where else",
        r"front door", r"hang on to", r"wait(?:s|ing)? for me",
        r"(?:go )?(?:and )?(?:get|fetch|grab) (?:it|the parcel) (?:from|next|myself|in time)", r"fetch it\b",
        r"grab the parcel", r"at work (?:all|the whole) day", r"days? to collect", r"only go get it",
        r"nobody(?:'s| is| will be) (?:at )?(?:home|in)\b", r"i'?m out until",
    ),
    "address": (
        r"address\w*", r"\bmoved (?:house|flat|home|to|in|out|away|last)",
        r"(?:i've|we've|i have|i) (?:just )?moved\b", r"moving (?:house|to)\b", r"redirect\w*", r"reroute",
        r"divert\w*", r"relocat\w*", r"(?:i'm|we're|am|are) moving\b",
        r"(?:another|different|new|wrong|other|old) (?:address|street|place|house|flat|city|postcode)",
        r"(?:go|deliver\w*|sent?) there instead", r"(?:typo|mistake|error) in my (?:street|postcode)", r"zip",
        r"postcode",
        (r"(?:sent?|go|deliver\w*|send it) to my (?:\w+ )?(?:work|office|mum|mom|parents|neighbour|friend|sister"
        r"|brother)\b"),
        r"be at my", r"(?:house|flat|street|apartment|door) (?:number|name)", r"mistyped", r"staying (?:with|at)",
        r"where it(?:'s| is)? go(?:ing|es)", r"number \d+ instead", r"instead of (?:number )?\d+\b",
        r"(?:ex|mum|mom|friend|parent|sister|brother|neighbour)'?s'? (?:place|house|flat|home)\b", r"it go to my",
        r"misspel\w+", r"spelled wrong", r"to my office",
    ),
    "lost": (
        (r"\blost\b(?! (?:interest|(?:my|the|a|its) (?:\w+ )?(?:code|card|gift|email|receipt|case|slip-?case|box"
        r"|bill|invoice|voucher)))"),
        r"stuck\b(?! with)", r"never (?:arrived|came|got|turned|reached|made|showed|turns? up|shows? up)",
        (r"(?:not|hasn'?t|haven'?t|didn'?t|still not|no sign) (?:\w+ ){0,3}(?:arrive\w*|come|came|moved|updated"
        r"|received|turned|of my parcel|budged|changed for|got anything)"),
        r"gone missing", r"went missing", r"missing parcel", r"stand(?:s|ing)? still", r"not mov\w+",
        r"no (?:update|movement|sign)", r"sorting cent\w+", r"disappeared",
        r"(?:parcel|order|package|it)(?:'s| has| just)? (?:\w+ )?vanish\w*", r"i think it'?s gone",
        r"where'?s my parcel", r"astray",
        r"(?:weeks?|days|month)\b[^.?!]*(?:no|without) (?:book|parcel|order|delivery|news)",
        r"tracking[^.?!]*(?:frozen|stopped|same|since|unchanged)", r"budged",
        r"still waiting for my (?!refund|money)", r"(?:nothing|not) in the (?:mailbox|letter ?box|post)\b",
        r"still nothing\b(?! on my)", r"(?:days?|weeks?) late\b", r"should have (?:been here|arrived|come)",
        r"says (?:it'?s |it was )?delivered", r"(?:supposed|meant) to (?:be here|arrive|come)",
        r"from my (?:doorstep|porch|doormat)", r"ordered ages ago", r"(?:nobody|no one) (?:here )?has",
        r"never had it", r"dropped it off but", r"(?:parcel|package|books?) (?:was |been )?stolen",
        r"(?:week|days|month) (?:now )?and (?:still )?(?:nothing|no)",
    ),
    "tracking": (
        r"track\w*", r"\blink\b", r"follow (?:my|the|where|its)\b", r"how far along", r"on the map",
    ),
    "standard_time": (
        (r"how (?:long|many days|soon|fast|quick\w*)[^.?!]*(?:deliver\w*|shipping|arriv\w*|take|get here|parcel"
        r"|order|to come)"),
        r"how (?:long|many days|soon|many weeks)[^.?!]*(?:land|reach|get|till?|until|has it|turn up)\b",
        r"how (?:quick|soon|fast)\b",
        (r"when (?:will|does|do|is|can|would)[^.?!]*(?:order|parcel|book|it|package|i)\b[^.?!]*(?:arrive|here|come"
        r"|deliver\w*|be with me|expect|be there)"),
        r"delivery (?:times?|days?)", r"working days", r"standard delivery", r"usual(?:ly)? take", r"turnaround",
        r"turn up usually", r"(?:normal|regular|ordinary|usual) (?:option|parcel|service|delivery|post)",
        r"take (?:long|ages)\b", r"(?:will|would) (?:it|the \w+|mine) be (?:here|there)",
        r"if i (?:order|buy)[^.?!]*(?:when|will it)", r"wait for a (?:book|parcel)", r"within the week",
        r"when (?:will|would|do|can) i (?:have|get|receive) (?:it|my (?!money|refund))",
        r"by (?:the )?(?:weekend|friday|saturday|sunday|monday|end of)",
        r"(?:birthday|party|wedding|exam) is (?:on )?(?:mon|tues|wednes|thurs|fri|satur|sun|next|in|tomorrow|the)",
    ),
    "cost": (
        r"costs?\b", r"how much\b(?! time)", r"free\b", r"pay for\b", r"fees?\b", r"charge(?:s)?\b(?! me)",
        r"pric\w+", r"expensive", r"who pays", r"surcharge", r"for nothing", r"extra\b", r"gratis", r"set me back",
        r"rates?\b", r"dear\b",
    ),
    "gift_card": (
        r"gift ?cards?", r"gift vouchers?", r"gift certificates?", r"giftcards?",
        r"(?<!promo )(?<!discount )(?<!points )(?<!meal )vouchers?\b(?! of)", r"left on (?:my|the|this) card",
        r"(?:on|with) (?:this|the) card\b(?![^.?!]*(?:charg|refund))",
    ),
    "amount": (
        r"amounts?\b(?![^.?!]*(?:blocked|reserved|earmarked|back|my account|match))",
        (r"(?:how (?:much|big|small|large)(?! (?:is |money )?(?:left|have i|i've))|what (?:values?|sum"
        r"|denominations?)|smallest|largest|biggest|minimum|maximum|load|put on)[^.?!]*(?:card|voucher|gift"
        r"|put on|load\b)"),
        r"(?:card|voucher)[^.?!]*(?:value|amount|for \d+|of (?:\d+|five|ten|fifty)|€\d+|\bover\b)",
        r"\d+[ .]?\d* ?(?:euro|€)[^.?!]*card", r"denominations?", r"what values",
        r"(?:most|least) i can (?:load|put)", r"\d+[^.?!]*(?:in |be |as |on )?(?:one |a )gift card",
        r"(?:a |one )hundred as", r"\bsum\b", r"fixed steps", r"minimum for a",
        r"(?:card|voucher) worth \d+",
    ),
    "validity": (
        r"expir\w*", r"valid\w*", r"how long[^.?!]*(?:last\b|good|valid|use|card|spend)", r"(?<!you )run(?:s)? out\b",
        r"lapse", r"old (?:card|gift)", r"use by", r"years? (?:later|old)", r"still (?:work|good|valid|use|any good)",
        r"years? ago(?![^.?!]*(?:page|chapter|print|notic))",
        (r"(?<!the )(?<!my )(?<!at )(?<!'s )last\b(?! (?:week|month|year|night|one|copy|time|chapter|day|spring"
        r"|summer|autumn|winter|minute|mon|tues|wednes|thurs|fri|satur|sun))"),
        r"how long[^.?!]*keep[^.?!]*(?:card|voucher|points)", r"(?:go|goes) (?:off|dead|bad)\b",
        r"vanish[^.?!]*after", r"after a while", r"dead\b", r"worthless", r"shelf life", r"indefinite\w*",
        r"how many years", r"for(?:ever| next year)", r"ages ago, can",
        r"(?:do i have|date) [^.?!]*(?:to use|dead)", r"use[ds]? within a year",
    ),
    "redeem": (
        r"redeem\w*", r"together with another", r"use (?:two|both|several|more than one)\b",
        r"lose the (?:rest|other|remaining)",
        r"how (?:do|can|to)[^.?!]*(?:use|apply|enter|pay with)[^.?!]*(?:card|code|voucher)",
        r"how to use one", r"type (?:in )?the (?:code|number)", r"(?:enter|put) the (?:code|voucher|number)",
        r"at checkout", r"(?:several|two|three|both|multiple) (?:gift )?(?:cards|vouchers)", r"combine",
        r"multiple (?:cards|gift)", r"left ?over", r"what is left", r"remainder", r"rest of",
        r"more than one (?:card|gift)", r"use (?:a|my|the|two|both) (?:gift )?cards?", r"the rest (?:on|by|with)",
        r"don'?t spend", r"all (?:at once|in one go)\b", r"spend (?:it|my|a|the|part)[^.?!]*(?:all|card|voucher|how)",
        r"doesn'?t cover", r"the change on", r"where (?:to|do i) (?:put|type|enter)",
        r"(?:other|remaining) (?:\d+|euros) ", r"make use of",
        r"(?:half|part|some) (?:\w+ )?(?:with|by) (?:a )?gift card", r"how do i spend",
    ),
    "balance": (
        r"balance",
        r"how much (?:is )?(?:left|money is|remains|have i (?:got )?left|do i have left|is on (?:my|the|this|it))",
        r"left on (?:my|the|a|this)", r"check (?:my|the|a|what|gift)",
        r"how (?:much|many euros)[^.?!]*(?:spent from|are on it)",
        (r"(?:see|view|know|idea|find out|look up|show|tell me)\b[^.?!]*(?:on (?:my|the|this|a) (?:gift )?card"
        r"|left|value|still worth|remaining)"),
        r"(?:card|voucher) empty", r"used up", r"still worth", r"overview", r"remaining (?:on|credit)",
        r"i'?ve spent from", r"on it before i",
    ),
    "lost_code": (
        (r"(?:lost|lose(?! (?:what|the rest|the money))|threw|thrown|deleted|can'?t find|cannot find|mislaid"
        r"|misplaced|forgot|stolen|pinched|gone)\b[^.?!]*(?:code|gift card|email|voucher)"),
        (r"(?:code|gift card|voucher|email)[^.?!]*\b(?:lost|gone|stolen|missing|deleted|misplaced|thrown|leaked"
        r"|destroyed|never reached|never (?:came|arrived)|washing)"),
        r"los(?:es?|ing|t) (?:the|it'?s?|my|her|his|their) (?:code|card)\b", r"block (?:a|the|my|it)\b(?: code| card)?",
        r"lost (?:my|the) card", r"(?:resend|re-send)",
        r"some(?:one|body) (?:else )?(?:\w+ )?(?:used|has|spent|took) my", r"(?:scratch\w*|rub\w*)[^.?!]*\bcode",
        r"have the (?:gift card|code) again", r"(?:fresh|new) code\b", r"purse", r"wallet", r"handbag",
        r"can'?t read (?:it|the (?:code|number))",
    ),
    "pay_ways": (
        r"(?:ways?|how|methods?|options?|forms?|means) (?:\w+ ){0,3}(?:pay\b|payments?\b)(?! (?:back|can|me back))",
        r"pay(?:ment)? (?:with|by|via|using|methods?|options?)", r"paypal", r"credit cards?",
        r"debit\b(?! (?:when|me|my|it))", r"visa", r"mastercard", r"maestro", r"amex", r"bank transfer", r"apple pay",
        r"google pay", r"cash on", r"accept\w*(?! (?:the parcel|it))", r"klarna", r"bitcoin", r"crypto\w*",
        r"which cards", r"settle (?:up|the bill)", r"(?:pay|transfer) (?:\w+ )?from (?:my|her|his|a) bank",
        r"\bwire\b", r"what cards", r"do you take (?:cards|cash)",
    ),
    "invoice_pay": (
        r"(?:pay|buy|order|purchase|have it) (?:\w+ )?(?:by|on|with|against) (?:an )?(?:invoice|bill|account)\b",
        r"paying on invoice", r"invoice[^.?!]*(?:pay|due|days|limit|regular|how long)", r"pay (?:later|after\w*)",
        r"on account\b", r"due\b", r"(?:first|before) (?:\w+ ){0,3}(?:and |i )pay\b",
        r"(?:money|pay|settle|transfer)[^.?!]*(?:afterwards|later|after (?:delivery|i(?:'ve)? (?:get|got)))",
        r"(?:bill|invoice)[^.?!]*(?:end of the month|have to pay|i can pay)", r"pay the (?:bill|invoice)",
        r"pay in (?:\w+ ){0,4}weeks",
    ),
    "instalments": (
        r"instal\w*", r"split\w* (?:the |my |a )?(?:payments?|costs?|bill|price|amount)\b",
        r"monthly", r"each month", r"(?:per|a) month\b", r"in parts",
        r"split (?:the|my|a|it)(?! (?:order|parcel))", r"spread (?:the|my|it)", r"all at once", r"rates\b(?! within)",
        r"bit (?:by bit|each)", r"several payments", r"(?<!lost )interest\b",
        r"in (?:two|three|four|several|a few|\d) (?:goes|payments|parts|chunks|steps)", r"pay in (?:\d|three)",
        r"payment plan", r"any plan", r"financ\w+", r"hire purchase", r"break (?:it|the payments?) up", r"in chunks",
        r"stretch", r"can'?t afford", r"over (?:a few|several|three|two) months", r"how many payments",
        r"all in one\b(?! go)", r"in one go, ",
    ),
    "failed": (
        (r"(?:payment|paying|card|transaction|visa|paypal|checkout)\b[^.?!]*(?:fail\w*|declin\w*|reject\w*"
        r"|refus\w*|not (?:work|go|success)|didn'?t (?:work|go)|won'?t work|error|bounce[sd]?|(?:wasn'?t"
        r"|not) accepted|turned down|crash\w*|wrong)"),
        r"(?:fail\w*|declin\w*|reject\w*)[^.?!]*(?:payment|card)", r"try (?:to pay )?again", r"pay again", r"retry",
        r"insufficient", r"timed? out", r"another go at", r"wouldn'?t take my", r"couldn'?t pay", r"not successful",
        r"bank[^.?!]*(?:block\w*|refus\w*|declin\w*|reject\w*|confirmation)",
    ),
    "receipt": (
        r"(?<!gift )receipts?\b", r"invoices?\b", r"\bpdf\b", r"vat\b", r"tax number",
        r"proof of purchase", r"for (?:my|the) (?:accountant|company|tax|taxes|boss|records|expenses)", r"bill for",
        r"paperwork", r"expenses", r"documentation", r"(?:firm|company|business)'?s? name",
        r"(?<!foot )(?<!foots )(?<!settle )(?<!gets )(?:a|the|my) bill\b(?! (?:from|that))", r"tax (?:man|return)",
        r"slip\b[^.?!]*print", r"(?:with|add) (?:my|our|the) (?:company|firm)", r"the paper for",
    ),
    "points": (
        r"(?<!pick-up )(?<!pickup )(?<!collection )points\b(?! out)", r"a point worth", r"loyalty", r"member\w*",
        r"rewards?", r"bonus (?:programme|program|scheme|points?)", r"scheme", r"collect(?:ing)? points",
        r"your club", r"stamp card", r"loyal customer",
    ),
    "earn": (
        r"earn\w*", r"how many points (?:do|will|would|for|per|can|is)",
        r"(?:if i |when i )?(?:spend|buy|order)[^.?!]*how many points", r"points (?:for|per|on) (?!returned)",
        r"(?:get|give me) (?:any )?points", r"collect (?:points|anything|something|any)", r"per (?:euro|purchase)",
        r"anything in the", r"get something for (?:every|each)", r"build up",
        r"(?:for|when) (?:every|each) (?:book|purchase|euro)", r"stamp card",
        r"loyal customer", r"points come",
    ),
    "spend_points": (
        r"(?:spend (?!\d)|use|redeem|convert|turn in|turn|cash in|exchange|swap|apply|worth)\b[^.?!]*points",
        (r"points?\b[^.?!]*(?:worth|voucher|discount|spend|\buse\b(?! them)|redeem|into|convert|checkout|enough"
        r"|buy me|make a|something off|money off)"),
        r"500", r"voucher of", r"what can i (?:do|buy|get)[^.?!]*points", r"pay with (?:my )?points",
        r"spending points", r"what do (?:i get|my points)", r"use the bonus", r"points (?:\w+ )?good for",
    ),
    "points_expire": (
        (r"points?\b[^.?!]*(?:expir\w*|valid|last\b|lapse|lose|gone|disappear\w*|run out|keep|\bold\b|how long"
        r"|forever|go off|go away|time limit|wipe|years|still (?:there|good)|stay|delete)"),
        r"(?:expir\w*|lose|lapse|save up|wipe|old)\b[^.?!]*points", r"18 months", r"if i don'?t use",
        r"use it or lose", r"where did my points", r"expiry",
    ),
    "vip": (
        r"\bvips?\b", r"(?<!the )(?<!order )(?<!tracking )(?<!delivery )status", r"level", r"tier", r"early access",
        r"€?300", r"gold (?:status|member|card|customer)", r"premium", r"best customer", r"perks?", r"benefits",
        r"spenders?\b", r"heavy buyers?", r"special treatment", r"(?:get|gets|be|let) in early",
        r"(?:sales?|offers?) before (?:the )?(?:others|everyone)", r"spend (?:a fortune|a lot|so much|loads)",
        r"buy in a year",
    ),
    "points_return": (
        r"points[^.?!]*(?:return\w*|refund\w*|back\b|taken|deduct\w*|went down|dropped|shrank|clawed|revers\w*|away)",
        r"(?:return\w*|refund\w*|goes? back|send\w* back|gave|handed)\b[^.?!]*(?:points|bonus)", r"minus points",
        r"bonus when a book goes", r"(?:points|they) (?:\w+ )?(?:clawed|reversed)",
    ),
    "birthday": (
        (r"(?<!'s )(?<!s' )(?<!his )(?<!her )(?<!their )birthday(?! present)(?![^.?!]*(?:swap|exchange|another"
        r"|don'?t like))"),
        r"birth ?date", r"bday", r"double points", r"day i was born", r"(?:when|where)[^.?!]*i was born",
        r"date of birth", r"i(?:'m| am)? turn(?:ing)? \d+", r"special day", r"twice (?:the|as many) points",
        r"(?:get|year) older",
    ),
    "abroad": (
        r"abroad", r"international\w*", r"oversea\w*", r"foreign", r"other countr\w+",
        r"outside (?:the|of your|your) (?:country|eu|uk|union|borders?)", r"worldwide",
        r"globally", r"europe\w*", r"\beu\b", r"countr\w+", r"whole world", r"other side of the",
        r"rest of the world", r"expat", r"across the border",
    ),
    "where_deliver": (
        r"(?:which|what|how many|all|list of|are there|on your) countr\w+",
        r"where (?:all )?do you (?:deliver|ship|send)", r"where we deliver", r"worldwide",
        r"do you (?:deliver|ship|send|post|mail|cover)[^.?!]*(?:to|abroad|international\w*|worldwide|world)\b",
        r"(?<!to )(?<!parcel )ship (?:to|abroad|internationally)",
        r"deliver (?:to|abroad|there|outside)",
        (r"(?:can|could|will|would) you (?:\w+ )?(?:send|ship|post|mail)(?: \w+){0,4} (?:to|in) (?!(?:my|the"
        r"|our) (?:office|work|home|house|flat|mum)|me\b|a\b)"),
        r"(?:possible to|can i|still|foreigners|could i) (?:\w+ )?(?:order|buy)\b", r"order from\b", r"buy from you",
        r"my country on", r"which places", r"don'?t send to",
    ),
    "in_europe": (
        r"(?<!from )(?:within|in|inside|across|another|other) (?:the |an )?(?:european?|eu)\b(?! ?union tax)",
        r"european country",
    ),
    "beyond_europe": (
        r"outside (?:of )?(?:the )?(?:europe|eu)", r"beyond europe", r"non-?eu",
        r"other continent", r"rest of the world", r"worldwide", r"other side of the world",
        r"far (?:away )?from europe",
    ),
    "customs": (
        r"customs", r"dut(?:y|ies)\b", r"import", r"border\b", r"taxed\b",
        r"(?:lower|smaller|cheaper) (?:price|value|amount) on", r"under-?declar\w*",
        r"(?<!proof of )tax(?:es)?\b(?! (?:number|man|return|id|law))", r"vat\b(?! (?:id|number))", r"declar\w+",
        r"value on the (?:parcel|package)", r"lower value", r"hidden (?:costs?|charges?|fees?)",
        r"(?:extra|additional|further) (?:charges|costs|fees)\b[^.?!]*(?:country|abroad|enters?)",
        r"(?:postman|courier|driver)[^.?!]*(?:wants|asks|demands)[^.?!]*money", r"mark it as",
        r"enters my country",
    ),
    "return_abroad": (
        r"(?:return|send|ship)\w*[^.?!]*(?:from|in) (?:abroad|another|a different|outside|other)",
        r"(?:abroad|foreign|international|not in your country)[^.?!]*(?:return\w*|back\b)",
        r"return\w*[^.?!]*(?:abroad|international\w*|foreign)", r"tracked service", r"local post", r"registered mail",
    ),
    "languages": (
        r"(?<!wrong )languages?",
        r"in (?:german|french|spanish|italian|dutch|japanese|english|polish|portuguese|other|original)\b",
        (r"(?:german|french|spanish|italian|dutch|polish|japanese|english) (?:books?|editions?|titles?|versions?"
        r"|copies|ones?|novels?|manga)"),
        r"is (?:everything|it|this) (?:\w+ )?(?:in )?english", r"translat\w+", r"tongue", r"bilingual",
        r"(?:only|just) (?:reads?|knows?|speaks?|understands?) \w+", r"my english",
    ),
    "data": (
        r"\bdata\b", r"information (?:about|on|of|you)", r"personal (?:data|information|details|records)", r"gdpr",
        r"privacy", r"what (?:do|does) (?:you|the shop) (?:know|store|keep|save|record|collect)",
        r"stored? (?:about|my)", r"keep (?:about|of (?:me|my|our)|on me)", r"save about",
        r"keep (?:on|my (?:data|address|details|orders|history))", r"\blog\b", r"history of what", r"my details\b",
        r"(?:got|have|know|save[ds]?|store[ds]?|hold|record) (?:\w+ ){0,2}(?:on|about|of) (?:me|my person|customers)",
        r"my info\w*", r"info have you",
    ),
    "kept": (
        r"what (?:do|does|data|information|info)\b[^.?!]*(?:keep|store|save|collect|know|track|record)",
        r"which (?:data|pages|information|personal)", r"wish ?list", r"keep (?:about|track)", r"looked at",
        r"browsing", r"track me", r"follow me", r"watch(?:ing)? (?:what|which|me)", r"what we keep", r"spy\w*",
        r"monitor\w*", r"profile of me", r"log my", r"my clicks",
        r"what i (?:browse|click|look|like|buy|bought|'ve bought)\b", r"past purchases",
        r"what(?:'s| is| do you) (?:stored|saved|kept)", r"(?:got|have) on me\b(?![^.?!]*(?:send|copy))",
        r"remember what", r"build a profile", r"how does the (?:site|shop) know",
    ),
    "suggestions": (
        r"suggest\w*", r"recommend\w*", r"personali[sz]ed", r"switch(?:ed|ing)? (?:\w+ )?off",
        r"turn (?:\w+ )?(?:\w+ )?off\b",
        r"stop (?:showing|tracking|recommending|suggesting|pushing|picking|guessing)", r"what i (?:looked at|viewed)",
        r"(?:don'?t|do not) want (?:to be shown|suggestions|recommendations|you to)", r"based on (?:my|what)",
        r"opt[- ]out", r"disable", r"deactivate\w*(?! my account)", r"don'?t show me",
        r"because you bought", r"tailor\w*", r"(?:picks?|picked) for (?:me|you)", r"guess what i", r"profiling",
        r"untick", r"\btips\b", r"see nothing else", r"what (?:everybody|everyone) sees", r"popular with everybody",
        r"think i (?:like|want)",
    ),
    "copy_data": (
        r"copy of (?:my|your data|what you)",
        (r"(?:get|request|download|see|send me|export|ask for|want|access|receive|take)\b[^.?!]*(?:my|all"
        r"|the) (?:\w+ )?(?:data|information|records|file)\b"),
        r"subject access", r"ready within", r"all the data", r"export",
        r"everything you(?:'ve| have)? (?:have|know|got|saved|stored|collected|hold)", r"getting your data",
        r"printout", r"(?:request|get|see|receive) (?:what|everything) you (?:hold|have|store|know|keep)",
        r"right (?:to|of) access", r"(?:saved|stored|have|got) on me[^.?!]*send", r"hand over the data",
        r"gdpr request", r"all the information", r"send me (?:everything|all)", r"a copy of all",
    ),
    "delete_account": (
        (r"(?:delete|close|remove|erase|cancel|get rid of|deactivate|wipe|end|terminate|shut down"
        r"|quit)\b(?! (?:my |the |an |a )?(?:order|preorder|book|item))[^.?!]*(?:account\b|my profile"
        r"|profile altogether|my (?:data|details|stuff)|membership|everything)"),
        r"(?:erase|delete|remove|forget|unregister) me\b", r"leave the shop", r"account deletion",
        r"deleting an account", r"be forgotten", r"unregister", r"take me off", r"account gone",
        r"(?:after|when|if) i (?:leave|quit)\b", r"want to leave", r"(?:wipe|erase) everything",
    ),
    "chats": (
        r"chat(?:s)?\b", r"conversation\w*", r"messages? (?:to|with|here|i|you)", r"my messages", r"the messages",
        r"assistant", r"transcripts?", r"what i (?:write|type|say|tell|asked|wrote)",
        r"what i'?m (?:telling|typing|saying|writing)", r"this talk", r"our talk", r"hold on to my conv\w+",
        r"(?:being|is this|are you|you) (?:record(?:ed|ing)|logg(?:ed|ing))", r"\bbot\b", r"train on", r"this text",
        r"confidential", r"my questions", r"remember me next time", r"wrote to you",
    ),
    "sharing": (
        (r"(?:share|sell|pass|give|giving|hand|disclose|forward)\b[^.?!;]*(?:data\b|address with|my address"
        r"|details|information|my info|email\b|history|purchases|where i live|to (?:others|third|anyone|advertisers"
        r"|companies"
        r"|somebody|partners))"),
        r"third part\w+", r"advertis\w+",
        r"who (?:else )?(?:sees|gets|knows|has|do you tell)\b(?! (?:in|early|the money|what))", r"selling",
        (r"(?:anyone|anybody|someone|somebody|who|others|companies) (?:else )?(?:\w+ ){0,2}(?:gets?|sees?|knows?"
        r"|receives?|ha(?:s|ve)) (?:to (?:see|know) |access to |hold of )?(?:my|where i)\b"),
        r"privacy sharing", r"(?:pass(?:ed)?|hand(?:ed)?) (?:it |them )?on to",
        r"(?:given|sold) to (?:others|other|third|anyone|companies)", r"never sell", r"junk mail",
        r"other (?:firms|companies)", r"ad compan\w+", r"brokers?", r"(?:data|details)[^.?!]*trad(?:ed?|ing)",
        r"where i live", r"(?:driver|courier|google|facebook|postman)[^.?!]*\bknow",
        r"to (?:facebook|google|amazon|meta)\b", r"safe with you", r"which partners", r"outside your company",

    ),
}
# fmt: on
