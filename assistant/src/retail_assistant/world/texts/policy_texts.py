"""The generated shop's twelve policies: (id, title, facts, body). Amounts are in euros."""

from __future__ import annotations

from typing import NamedTuple

from retail_assistant.shop.policies import Fact


class PolicyText(NamedTuple):
    """One policy as written, before it is stored."""

    id: str
    title: str
    facts: dict[str, Fact]
    body: str


RETURNS = PolicyText(
    "returns",
    "Returns",
    {
        "window_days": 30,
        "opened_window_days": 14,
        "label_fee_eur": 2.9,
        "holiday_first_day": "15 November",
        "holiday_return_by": "31 January",
    },
    """## Return window
You can return a book within {window_days} days of delivery. The day the parcel arrives counts as day zero.

## Opened items
Opened items, box sets included, can be returned within {opened_window_days} days of delivery. They must still look
unread: no creased spine, no marks, no missing slipcase.

## How to return
Open the order page, choose the items and print the label. Hand the parcel in at any pick-up point; we confirm by
email when it reaches us.

## Return shipping cost
A return label costs €{label_fee_eur}, taken off the refund. It is free when we sent the wrong item or a faulty one.

## Items that cannot be returned
Digital editions, gift cards and signed copies made out to a name cannot be returned.

## Holiday gifts
Gifts bought from {holiday_first_day} on can be returned until {holiday_return_by}, even when the usual time is over.
""",
)

SHIPPING = PolicyText(
    "shipping",
    "Shipping",
    {
        "free_over_eur": 35,
        "standard_fee_eur": 3.9,
        "standard_days": "2 to 4",
        "express_fee_eur": 7.5,
        "express_cutoff_hour": 15,
        "pickup_hold_days": 10,
    },
    """## Standard delivery
Standard delivery takes {standard_days} working days. You get a tracking link as soon as the parcel leaves us.

## Delivery cost
Standard delivery costs €{standard_fee_eur} and is free for orders over €{free_over_eur}.

## Express delivery
Express costs €{express_fee_eur}. Orders placed before {express_cutoff_hour}:00 on a working day arrive the next
working day.

## Pick-up points
You can send a parcel to a pick-up point instead of your door. It is kept there for {pickup_hold_days} days.

## Change of address
The address can be changed on the order page until the parcel is packed. After that the carrier's link lets you
redirect it.

## Lost parcels
When tracking stands still for five working days, write to us: we send a new copy or give the money back, as you
prefer.
""",
)

REFUNDS = PolicyText(
    "refunds",
    "Refunds",
    {"processing_days": 5, "bank_days": 3, "credit_bonus_percent": 5},
    """## When the money arrives
We pay a refund within {processing_days} working days after the parcel reaches us. Banks take up to {bank_days} more
days to show it.

## Where the money goes
A refund goes to the payment method that was used. Money paid with a gift card goes back to the card.

## Store credit instead
If you choose store credit, it is there at once and we add {credit_bonus_percent} percent on top.

## Partial refunds
An item that comes back damaged or incomplete is refunded in part. We send a photo and a reason before we do so.

## Delivery fees
The delivery fee is refunded when the whole order goes back. Express fees are not refunded unless we were late.
""",
)

EXCHANGES = PolicyText(
    "exchanges",
    "Exchanges",
    {"reserve_days": 7, "free_exchanges": 1},
    """## How an exchange works
Choose exchange instead of refund when you start the return. The new copy leaves as soon as the old one is scanned
by the carrier.

## Another format or edition
A paperback can be exchanged for a hardcover, or the other way round. You pay or get back the difference.

## Reserved copies
We set the new copy aside for {reserve_days} days while yours is on its way back.

## Cost of an exchange
The first {free_exchanges} exchange per order is free. Further ones cost the price of a return label.

## Gifts
Whoever received a gift can exchange it with the gift receipt; the buyer is not told.
""",
)

PREORDERS = PolicyText(
    "preorders",
    "Preorders",
    {"charge_days_before": 2, "limit_per_title": 3},
    """## When you are charged
We charge a preorder {charge_days_before} days before it ships, never when you place it.

## Release day
Preorders are packed so that they arrive on the release day wherever the carrier allows it.

## Price guarantee
If the price drops before the release you pay the lowest price that we asked for in the meantime.

## Delayed releases
When a publisher moves a date we tell you the new one by email. The preorder stays valid unless you cancel it.

## Limits
You can preorder up to {limit_per_title} copies of a title. Shops and libraries can ask us for more.
""",
)

GIFT_CARDS = PolicyText(
    "giftcards",
    "Gift cards",
    {"minimum_eur": 10, "maximum_eur": 250, "valid_years": 3},
    """## Amounts
Gift cards come in any whole amount from €{minimum_eur} to €{maximum_eur}.

## How long they last
A gift card is valid for {valid_years} years from the day it was bought.

## How to use one
Type the code at checkout. What is left stays on the card, and several cards can be used in one order.

## Checking the balance
The balance is shown under Account, Gift cards, once the code was added.

## Lost codes
With the order number we can block a lost code and issue a new one for the remaining balance.
""",
)

PAYMENT = PolicyText(
    "payment",
    "Payment",
    {"invoice_days": 21, "invoice_limit_eur": 150, "instalment_minimum_eur": 60, "instalments": 3},
    """## Ways to pay
We take credit and debit cards, PayPal, bank transfer and gift cards.

## Pay by invoice
Regular customers can pay by invoice up to €{invoice_limit_eur}. It is due {invoice_days} days after dispatch.

## Instalments
Orders from €{instalment_minimum_eur} can be split into {instalments} monthly payments without interest.

## When cards are charged
Your card is charged when the parcel leaves us. Until then the amount is only reserved.

## Failed payments
A payment that fails can be tried again from the order page. We hold the items for one day.

## Invoices and receipts
Every order has a receipt as a PDF on its page. A company name and VAT number can be added before dispatch.
""",
)

PRIVACY = PolicyText(
    "privacy",
    "Privacy",
    {"export_days": 8, "log_months": 6},
    """## What we keep
We keep your orders, your wish list and which pages you looked at, so that suggestions fit you.

## Switching off suggestions
Personal suggestions can be switched off under Account, Privacy. You then see what is popular with everybody.

## Getting your data
You can ask for a copy of your data; it is ready within {export_days} days.

## Deleting an account
An account can be deleted under Account, Privacy. Invoices are kept as long as tax law asks for.

## Chat messages
Messages to the assistant are kept for {log_months} months to improve its answers, then deleted.

## Sharing
We share your address with the carrier and nobody else. We never sell data.
""",
)

CANCELLATIONS = PolicyText(
    "cancellations",
    "Cancellations",
    {"free_minutes": 45},
    """## Cancelling an order
An order can be cancelled on its page for {free_minutes} minutes after it was placed, or later as long as it is not
packed.

## Cancelling part of an order
Single items can be taken out in the same way. If the rest falls below the free delivery threshold, the fee is added.

## Orders already sent
A parcel that has left us cannot be cancelled. Refuse it at the door, or send it back once it arrives.

## Cancelling a preorder
A preorder can be cancelled free of charge until it is charged.

## Orders that we cancel
If an item turns out to be unavailable we cancel it, tell you the same day and charge nothing.
""",
)

DAMAGED = PolicyText(
    "damaged",
    "Damaged and faulty items",
    {"report_hours": 72, "print_fault_months": 24},
    """## Damaged on arrival
Tell us within {report_hours} hours when a book arrives damaged, and attach a photo. We send a new copy without
asking for the old one.

## Printing faults
Missing, upside-down or blank pages are covered for {print_fault_months} months, whether the book was read or not.

## Wrong item
If you received something else than you ordered, we collect it for free and send the right book by express.

## Dented boxes
Small dents in a slipcase are no fault, but we offer a discount when they bother you.

## Faulty digital files
If a digital edition does not open, remove it from the device and load it again. If that fails we replace the file.
""",
)

LOYALTY = PolicyText(
    "loyalty",
    "Loyalty programme",
    {"points_per_eur": 2, "points_for_voucher": 500, "voucher_eur": 5, "vip_spend_eur": 300, "expiry_months": 18},
    """## Earning points
You earn {points_per_eur} points for every euro spent on books, not on delivery or gift cards.

## Spending points
{points_for_voucher} points become a voucher of €{voucher_eur}. Choose it at checkout.

## Expiry
Points expire {expiry_months} months after they were earned.

## VIP level
Whoever spends €{vip_spend_eur} within a year becomes VIP: free express delivery and early access to sales.

## Points on returned books
When a book goes back, the points it earned are taken off again.

## Birthday gift
Members who tell us their birthday get double points for that whole week.
""",
)

INTERNATIONAL = PolicyText(
    "international",
    "International orders",
    {"eu_fee_eur": 8.9, "eu_days": "4 to 7", "world_fee_eur": 19, "world_days": "8 to 15", "countries": 42},
    """## Where we deliver
We deliver to {countries} countries. The list is shown when you enter an address.

## Delivery within Europe
A parcel to another European country costs €{eu_fee_eur} and takes {eu_days} working days.

## Delivery outside Europe
A parcel outside Europe costs €{world_fee_eur} and takes {world_days} working days.

## Customs and taxes
Outside Europe the receiver pays customs and import tax. We state the value on the parcel as the law asks.

## Returns from abroad
Parcels from abroad can be sent back by any tracked service. Keep the receipt: we pay postage back if we were at fault.

## Languages
Most titles are in English. The language is stated on every product page.
""",
)

POLICIES = (
    RETURNS,
    SHIPPING,
    REFUNDS,
    EXCHANGES,
    PREORDERS,
    GIFT_CARDS,
    PAYMENT,
    PRIVACY,
    CANCELLATIONS,
    DAMAGED,
    LOYALTY,
    INTERNATIONAL,
)
