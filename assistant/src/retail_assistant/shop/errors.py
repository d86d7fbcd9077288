"""The errors of the shop, each with its HTTP status.

::

    ShopError                422
    ├── BadValue             422  a value cannot be stored; nothing was written
    ├── NotFound             404  no row has that id
    │   ├── UnknownProduct
    │   ├── UnknownPolicy
    │   ├── UnknownPromotion
    │   └── UnknownOrder
    ├── NotSignedIn          401  nobody vouches for a shopper
    ├── WrongPassphrase      401  a name and a passphrase do not belong together
    ├── NotYours             403  it belongs to another shopper
    ├── NotBought            403  a shopper reviews what was not bought
    ├── NotProposed          409  a yes to something that was not proposed
    ├── PriceChanged         409  what was proposed costs something else by now
    ├── OutOfStock           409  no copy is left to sell
    ├── OrderClosed          409  the order does not allow the change
    ├── KeyReused            422  an idempotency key was used for another request before
    ├── TooOften             429  a client or a shopper has sent too many requests
    ├── TooManyComplaints    429  a shopper has reached the daily limit of complaints
    ├── ShopBusy             503  the file is locked, or cannot be used for a while
    └── NotAShop             500  the file is not a shop database, or of another schema version
"""

from __future__ import annotations

from parbake import ParbakeError


class ShopError(ParbakeError):
    """Base of the shop's errors: ``field`` names the invalid value, ``status`` is the HTTP status."""

    status = 422
    title = "The shop refused"


class BadValue(ShopError):
    """A value cannot be stored; nothing was written."""


class NotFound(ShopError):
    """No row has that id."""

    status = 404


class UnknownProduct(NotFound):
    """No product has that asin, or the shop has stopped selling it."""


class UnknownPolicy(NotFound):
    """No policy has that id."""


class UnknownPromotion(NotFound):
    """No promotion has that id."""


class UnknownOrder(NotFound):
    """The shopper has no order of that number."""


class OrderClosed(ShopError):
    """The order cannot be changed like that, by its state, its age or its books; nothing was changed."""

    status = 409


class NotSignedIn(ShopError):
    """Nobody vouches for a shopper, and what the request asks for belongs to one (RFC 9110, 15.5.2)."""

    status = 401
    headers = (("www-authenticate", 'Bearer realm="shop"'),)


class WrongPassphrase(ShopError):
    """The name and the passphrase do not belong together; which of them is wrong is not told."""

    status = 401
    headers = (("www-authenticate", 'Bearer realm="shop"'),)


class NotYours(ShopError):
    """What the request names belongs to another shopper than the one who is signed in."""

    status = 403


class NotBought(ShopError):
    """A shopper reviews a product without having bought it; nothing was written."""

    status = 403


class NotProposed(ShopError):
    """A shopper agrees to what was not proposed, or was proposed too long ago; nothing was done."""

    status = 409


class PriceChanged(ShopError):
    """What was proposed costs something else by now; nothing was done."""

    status = 409


class OutOfStock(ShopError):
    """No copy is left to sell; nothing was bought."""

    status = 409


class EmptyCart(ShopError):
    """The cart holds nothing to order; nothing was written."""

    status = 409


class TotalChanged(ShopError):
    """The cart costs something else than the client saw; nothing was written. Both totals are in cents."""

    status = 409

    def __init__(self, sent_cents: int, total_cents: int) -> None:
        super().__init__(
            f"the cart costs {total_cents} cents now, not {sent_cents}; look at it again, and send its present total",
            field="total_cents",
        )
        self.sent_cents, self.total_cents = sent_cents, total_cents


class KeyReused(ShopError):
    """An idempotency key was used for another request before; nothing was written."""


class TooOften(ShopError):
    """A client or a shopper has sent too many requests lately (RFC 6585, 4); nothing was done."""

    status = 429

    def __init__(self, what: str, *, retry_s: int) -> None:
        super().__init__(f"too many {what}: try again in {retry_s} s", field="rate")
        self.headers = (("retry-after", str(retry_s)),)


class TooManyComplaints(ShopError):
    """A shopper has reached the daily limit of complaints; nothing was recorded."""

    status = 429


class ShopBusy(ShopError):
    """The shop's file is locked by another program, or cannot be used for a while; nothing was written."""

    status = 503
    headers = (("retry-after", "1"),)


class NotAShop(ShopError):
    """The file is not a shop database, or it was written by another version."""

    status = 500
    title = "Not a shop database"
