"""Recurring questions about payment, gift cards, loyalty points and privacy."""

from __future__ import annotations

from retail_assistant.world.texts.grammar import Question

QUESTIONS = (
    Question(
        "payment-methods",
        "payment",
        "ways-to-pay",
        "How can I pay?",
        (
            "how can I pay (here|for an order|for my books|)?",
            "(which|what) (payment methods|ways to pay|cards) (do you take|do you accept|are there)?",
            "(can I|is it possible to) pay (with PayPal|by bank transfer|with a debit card|by credit card)?",
            "do you (take|accept) (PayPal|credit cards|bank transfer|Apple Pay)?",
        ),
    ),
    Question(
        "payment-invoice",
        "payment",
        "pay-by-invoice",
        "Can I pay by invoice?",
        (
            "can I (pay|buy|order) (by|on|against) invoice?",
            "do you (offer|have) (payment|buying) by invoice?",
            "when is (an|the|my) invoice due?",
            "can I (pay later|pay after delivery|get the books first and pay later)?",
            "up to (what|which) amount can I pay by invoice?",
        ),
    ),
    Question(
        "payment-instalments",
        "payment",
        "instalments",
        "Can I pay in instalments?",
        (
            "can I pay in (instalments|parts|monthly payments)?",
            "(is it possible|do you allow|is there a way) to (split|spread) the (payment|price)?",
            "from (what|which) amount can I pay in instalments?",
            "do instalments cost (interest|extra|anything)?",
        ),
    ),
    Question(
        "payment-charged",
        "payment",
        "when-cards-are-charged",
        "When is my card charged?",
        (
            "when (is|will) my (card|account) (charged|be charged|debited)?",
            "(do|will) you charge (my card|me) (at once|right away|when I order|before shipping)?",
            "(there is|I see) a (reserved|pending) amount on my card, (why|what is it)?",
            "(has|was) my card (been|) charged when (the order is placed|I order)?",
        ),
    ),
    Question(
        "payment-failed",
        "payment",
        "failed-payments",
        "My payment failed, what now?",
        (
            "my (payment|card) (failed|was declined|did not go through|was rejected), what (now|can I do)?",
            "(can I|how do I) (try again|retry) (a failed payment|after a failed payment)?",
            "the (payment|checkout) (does not work|keeps failing), is my order (lost|kept)?",
            "what happens (if|when) a payment fails?",
        ),
    ),
    Question(
        "payment-receipt",
        "payment",
        "invoices-and-receipts",
        "Where do I find my receipt?",
        (
            "where (do I find|is|can I download) (my|the|a) (receipt|invoice|bill) (as a PDF|for my order|)?",
            "(can I|how do I) get (a receipt|an invoice) (for my company|with a VAT number|)?",
            "I need (a receipt|an invoice) for (my taxes|work|my company)",
            "can you add (a company name|a VAT number) to (the|my) (invoice|receipt)?",
        ),
    ),
    Question(
        "gift-amount",
        "giftcards",
        "amounts",
        "Which amounts do gift cards come in?",
        (
            "(which|what) amounts (do gift cards come in|are there for gift cards)?",
            "(do you|does the shop) (sell|have) gift (cards|vouchers)?",
            "what is the (smallest|largest|highest|lowest) gift card?",
            "can I buy a gift card (for 20 euros|for any amount|of 75 euros)?",
        ),
    ),
    Question(
        "gift-validity",
        "giftcards",
        "how-long-they-last",
        "How long is a gift card valid?",
        (
            "how long (is|are) (a gift card|gift cards|my gift card) (valid|good)?",
            "(do|when do) gift (cards|vouchers) expire?",
            "I have an old gift card, (is it still valid|does it still work)?",
            "(does|will) (my|a) gift card (expire|run out)?",
        ),
    ),
    Question(
        "gift-use",
        "giftcards",
        "how-to-use-one",
        "How do I use a gift card?",
        (
            "how (do|can) I (use|redeem) (a|my) gift card?",
            "where do I (type|enter|put) the (gift card|voucher) code?",
            "can I (use|combine) (two|several) gift cards (in one order|at once)?",
            "what happens to the (rest|remaining money) on (a|my) gift card?",
        ),
    ),
    Question(
        "gift-balance",
        "giftcards",
        "checking-the-balance",
        "How do I check the balance of my gift card?",
        (
            "how (do|can) I (check|see) (the balance of|what is left on) my gift card?",
            "how much (is left|money is) on my gift card?",
            "where (do I see|is) (the|my) gift card balance?",
        ),
    ),
    Question(
        "gift-lost",
        "giftcards",
        "lost-codes",
        "I lost my gift card code, what now?",
        (
            "I (lost|can't find|deleted) (my|the) gift card (code|), (what now|can I get a new one)?",
            "can (you|I) (block|replace) a lost gift card?",
            "what (if|happens when) (I lose|somebody loses) (a|the) gift card?",
        ),
    ),
    Question(
        "points-earn",
        "loyalty",
        "earning-points",
        "How do I earn points?",
        (
            "how (do|can) I (earn|collect|get) (loyalty|) points?",
            "how many points do I (get|earn) (per euro|for an order|for a book)?",
            "do I (get|earn) points (on delivery|for gift cards|for everything)?",
            "how does the (loyalty|points) (programme|program) work?",
        ),
    ),
    Question(
        "points-spend",
        "loyalty",
        "spending-points",
        "How do I spend my points?",
        (
            "how (do|can) I (spend|use|redeem) (my|) (loyalty|) points?",
            "what (are my points|is a point|are 500 points) worth?",
            "how many points (do I need for|make) a voucher?",
            "where can I (turn points into|change points for) a voucher?",
        ),
    ),
    Question(
        "points-expiry",
        "loyalty",
        "expiry",
        "Do my points expire?",
        (
            "(do|will|when do) (my|) (loyalty|) points (expire|run out)?",
            "how long (are|do) (my|loyalty) points (valid|last)?",
            "I (haven't ordered|was away) for a while, are my points (gone|still there)?",
        ),
    ),
    Question(
        "points-vip",
        "loyalty",
        "vip-level",
        "How do I become a VIP?",
        (
            "how (do|can) I (become|get to be) (a|) VIP (customer|member|)?",
            "what (are the advantages|do I get|is the benefit) (of|as) (a|being a) VIP?",
            "how much (must|do) I spend (to become|to be|for) VIP?",
        ),
    ),
    Question(
        "points-birthday",
        "loyalty",
        "birthday-gift",
        "Do I get something for my birthday?",
        (
            "do I get (something|a gift|points|anything) (for|on) my birthday?",
            "is there a birthday (gift|bonus|discount|surprise)?",
            "what (happens|do members get) (on|for) (my|their) birthday?",
        ),
    ),
    Question(
        "privacy-kept",
        "privacy",
        "what-we-keep",
        "What data do you keep about me?",
        (
            "(what|which) (data|information) do you (keep|store|collect) (about me|on me|on customers)?",
            "do you (track|store|remember) (what I look at|which pages I visit|what I buy)?",
            "what do you know about me?",
        ),
    ),
    Question(
        "privacy-suggestions",
        "privacy",
        "switching-off-suggestions",
        "Can I switch off personal suggestions?",
        (
            "(can I|how do I) (switch|turn) off (personal|personalised|) (suggestions|recommendations)?",
            "I don't want (personal|tailored) (suggestions|recommendations), (can I stop them|how do I stop that)?",
            "where can I (disable|stop) (personal suggestions|personalisation)?",
        ),
    ),
    Question(
        "privacy-export",
        "privacy",
        "getting-your-data",
        "How do I get a copy of my data?",
        (
            "(how do|can) I (get|download|request) (a copy of|) my (data|personal data)?",
            "I want (a copy|an export) of (all|) (my|the) data (you have about me|)",
            "how long does (a data export|it take to get my data) (take|)?",
        ),
    ),
    Question(
        "privacy-delete",
        "privacy",
        "deleting-an-account",
        "How do I delete my account?",
        (
            "(how do|can) I (delete|close|remove) my account?",
            "I want (to delete|to close) my account (for good|completely|)",
            "(please|can you) (delete|erase) (my account|all my data)",
            "what happens to my (invoices|data) when I delete (the|my) account?",
        ),
    ),
    Question(
        "privacy-chat",
        "privacy",
        "chat-messages",
        "How long do you keep chat messages?",
        (
            "how long (do you keep|are) (chat messages|my chats|this conversation) (kept|stored|)?",
            "(is|are) (this chat|my messages) (stored|saved|recorded)?",
            "who (reads|can see) (this chat|what I write here)?",
        ),
    ),
)
