"""Common words of a question become the words that shops use."""

import pytest

from retail_assistant.understand.said.sayings import in_shop_words


@pytest.mark.parametrize(
    ("said", "put"),
    [
        ("can i get my money back?", "can i refund?"),
        ("can i get my money?", "can i refund?"),
        ("when is the money back on my card?", "when is the refund on my card?"),
        ("is there a money-back guarantee?", "is there a refund guarantee?"),
        ("will you reimburse me?", "will you refund me?"),
    ],
)
def test_money_that_comes_back_is_a_refund(said, put):
    """All words for money that comes back become one "refund", and nothing of them is left beside it."""
    assert in_shop_words(said) == put
