"""The OpenAPI document describes the assistant's answers, and what is sent is what it describes."""

import msgspec

from retail_assistant.chat.turn import Forgotten
from retail_assistant.http import replies
from retail_assistant.shop.queries import Cart, Stock

SHOPPER = "u00003"
UNDESCRIBED = {
    ("get", "/v1/openapi.json"),
    ("post", "/v1/feedback"),  # about an answer or about a task
    ("post", "/v1/chat/completions"),  # a whole reply or a stream
}


async def test_every_json_answer_is_described(desk):
    """Each route that answers with JSON has a schema, save for those that answer in several shapes."""
    document = (await desk.client.get("/v1/openapi.json")).json()
    bare = {
        (method, path)
        for path, operations in document["paths"].items()
        for method, one in operations.items()
        for code, answer in one["responses"].items()
        if code != "default" and "schema" not in answer["content"].get("application/json", {"schema": {}})
    }
    assert bare == UNDESCRIBED
    assert "/shop/carts/{user}/checkout" in document["paths"]


async def test_what_is_sent_is_what_is_described(desk):
    """Real answers, read into their types and written again, are the same bytes: no member is lost, added or moved."""
    asin = desk.product().asin
    added = await desk.client.post(f"/shop/carts/{SHOPPER}/lines", json={"asin": asin})
    total = {"total_cents": added.json()["cents"]}
    answers = [
        (replies.CartSummary, added),
        (replies.CheckedOut, await desk.client.post(f"/shop/carts/{SHOPPER}/checkout", json=total)),
        (replies.Written, await desk.client.put("/shop/policies/returns", json={"title": "Returns"})),
        (replies.Written, await desk.client.put(f"/shop/inventory/{asin}", json={"quantity": 7})),
        (replies.SessionStarted, await desk.client.post("/shop/sessions", json={"shopper": SHOPPER})),
        (Forgotten, await desk.client.delete(f"/v1/chat/shoppers/{SHOPPER}")),
    ]
    reads = {
        "/shop/policies": replies.PolicyList,
        "/shop/policies/returns": replies.PolicyInFull,
        f"/shop/products/{asin}": replies.LiveProduct,
        f"/shop/products/{asin}/page": replies.ProductPage,
        f"/shop/products/{asin}/suggestions": replies.Suggestions,
        "/shop/products?size=3": replies.ItemPage,
        "/shop/genres": replies.Shelves,
        "/shop/promotions": replies.PromotionList,
        "/shop/complaints": replies.ComplaintList,
        "/shop/changes/1": replies.ChangeState,
        f"/shop/inventory/{asin}": Stock,
        f"/shop/carts/{SHOPPER}": Cart,
        f"/shop/orders/{SHOPPER}": replies.OrderList,
    }
    answers += [(kind, await desk.client.get(path)) for path, kind in reads.items()]
    for kind, answer in answers:
        assert answer.status_code < 300, answer.text
        assert msgspec.json.encode(msgspec.json.decode(answer.content, type=kind)) == answer.content, kind
