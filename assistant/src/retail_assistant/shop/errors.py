"""The errors of the shop, each with its HTTP status.

::

    ShopError                422
    ├── BadValue             422  a value cannot be stored; nothing was written
    ├── NotFound             404  no row has that id
    │   ├── UnknownProduct
    │   ├── UnknownPolicy
    │   ├── UnknownPromotion
    │   └── UnknownOrder
    ├── NotSignedIn          403  the request names no shopper
    ├── OutOfStock           409  no copy is left to sell
    ├── OrderClosed          409  the order does not allow the change
    ├── KeyReused            422  an idempotency key was used for another request before
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
    """The request names no shopper, and what it asks for belongs to one."""

    status = 403


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
