"""How customers reach people of the shop: in replies, in the prompt, and on the page."""

from retail_assistant.live import LiveShop
from retail_assistant.shop import trade


async def test_a_shop_with_an_address_names_it_where_people_are_asked_for(desk):
    """Who asks for a person, or how to reach the shop, is told the address that the shop states."""
    assert "help@inkwell.example" in (await desk.ask("let me talk to a human"))[0]
    assert "help@inkwell.example" in (await desk.ask("What is your e-mail address?"))[0]


async def test_a_shop_without_an_address_invents_none(desk):
    """Without one the support team is named alone, and the policies are said not to state it."""
    trade.save(desk.conn, trade.Trade("book", "books", "book shop"))
    desk.conn.commit()
    vars(desk.http.app.settings.resources[LiveShop]).pop("trade", None)  # read once in a process
    text, _ = await desk.ask("let me talk to a human")
    assert "our support team;" in text
    assert "@" not in (await desk.ask("What is your e-mail address?"))[0]
