"""The intent head on hand-written messages that are not in the generator or the log."""

from __future__ import annotations

import sqlite3

from cluster import Cluster, Server

MESSAGES = {
    "faq": (
        "What happens if my package shows up broken?",
        "Can somebody in Norway order from you?",
        "Do you take American Express?",
        "When exactly will you charge my card?",
        "What do loyalty points get me?",
        "My grandma gave me a voucher, how can I spend it?",
        "How soon does the money come back after I return something?",
        "Can I swap a book for a different one?",
        "Is it possible to cancel after I paid?",
        "Which personal details do you store about me?",
    ),
    "recommendation": (
        "I need something new to read this weekend, any ideas?",
        "Suggest a few titles that match my taste",
        "What should I pick up next?",
        "Got any suggestions for me?",
        "Pick something for me please",
    ),
    "product_search": (
        "I'm after a story about time travel",
        "Do you carry books on cooking in medieval Japan?",
        "Find me horror manga with ghosts",
        "Looking for a romance that plays in a school",
        "Have you got anything with detectives?",
    ),
    "price_stock": (
        "How much would I pay for this volume?",
        "Is that one still in stock?",
        "What's the price of this book?",
        "Are there any copies of it left?",
        "Could you tell me what this costs?",
    ),
    "promotion": (
        "Any discounts going on at the moment?",
        "Is there a sale on fantasy this week?",
        "Do you have coupon codes?",
        "What deals are there today?",
    ),
    "order_status": (
        "Where's the stuff I ordered last week?",
        "Has my parcel been shipped yet?",
        "My delivery still hasn't arrived",
        "Can you check on my latest order?",
    ),
    "reviews": (
        "What do other readers think of this one?",
        "Is this book well rated?",
        "What are people saying about it in reviews?",
    ),
    "trending": (
        "What's everybody reading right now?",
        "Show me this week's bestsellers",
        "Which books are hot at the moment?",
    ),
    "out_of_scope": (
        "At what temperature does copper melt?",
        "Write me a python function that sorts a list",
        "Will it rain tomorrow in Lisbon?",
        "Who should I vote for?",
    ),
    "smalltalk": ("Hey, how are you doing?", "Thanks a lot, you were great", "Good morning to you"),
}


def test_at_least_85_percent_of_hand_written_messages_are_classified_right(cluster: Cluster, server: Server) -> None:
    """At least 85 % of the hand-written messages get the intent that a person assigned."""
    with sqlite3.connect(cluster.home / "shop.db") as shop:
        logged = {row[0].lower() for row in shop.execute("SELECT text FROM queries")}
    wrong = []
    for expected, messages in MESSAGES.items():
        for message in messages:
            assert message.lower() not in logged
            live = {"text": message.lower().rstrip("?.! ")}
            found = server.client.post("/v1/serve/intent", json={"live": live}).json()["value"]["name"]
            if found != expected:
                wrong.append((message, expected, found))
    total = sum(len(m) for m in MESSAGES.values())
    assert total - len(wrong) >= 0.85 * total, wrong
