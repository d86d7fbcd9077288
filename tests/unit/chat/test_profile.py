"""What a model is told of a shopper's purchases: a fenced artifact, named in the prompt behind what all share."""

from retail_assistant.model.profile import Bought, profile, shopper_profile
from retail_assistant.shop import records

NOW = 1_790_000_000.0


def test_a_profile_names_what_was_bought_and_what_is_liked():
    """The newest purchases are named, and only genres and authors that occur more than once count as liked."""
    bought = [Bought("A", "Fork", "Copse", "tools"), Bought("B", "Spade", "", "tools"), Bought("C", "Fig", "", "fruit")]
    assert profile(bought) == (
        "They bought, the newest first: Fork by Copse (tools); Spade (tools); Fig (fruit).\n"
        "Genres that they buy most: tools."
    )


async def test_a_purchase_is_in_the_next_profile(desk):
    """After a purchase no old profile is served; a shopper without purchases has none."""
    app, product = desk.http.app, desk.product()
    assert (await app.serve(shopper_profile, "nobody-knows")).value is None
    before = (await app.serve(shopper_profile, "u00003")).value
    records.add_purchase(desk.conn, shopper="u00003", asin=product.asin, now=NOW + 60)
    await app.drain()
    served = await app.serve(shopper_profile, "u00003")
    assert served.value != before
    assert served.value.startswith(f"They bought, the newest first: {product.title}")
    again = await app.serve(shopper_profile, "u00003")
    assert (again.lane, again.value) != ("realtime", None)
