"""Price examples that providers and others have published are reproduced to the cent.

Each test names its source and date. Figures of the providers themselves come from their pages; the others are worked
examples that somebody published from those prices.
"""

import datetime as dt

import pytest

from parbake.errors import BadInput
from parbake_planner.prices import Book, Rate, Tokens, call_cost

LAST_YEAR = dt.date(2025, 1, 1)
CLAUDE = {"provider": "anthropic", "since": LAST_YEAR, "batch": 0.5, "cache_read": 0.1, "cache_write": 1.25,
          "cache_write_hour": 2.0}  # fmt: skip
"""Anthropic's multipliers: its page on pricing, 2026."""
OPENAI = {"provider": "openai", "since": LAST_YEAR, "batch": 0.5, "flex": 0.5, "cache_read": 0.1, "cache_write": 1.25}
"""OpenAI's multipliers for gpt-5.6 and later: its pages on these models, 2026."""
MILLION = 1_000_000


def claude(model, price, **changed):
    """Return a rate of Anthropic: a price for input and output, and its multipliers."""
    return Rate(model=model, input=price[0], output=price[1], **{**CLAUDE, **changed})


def openai(model, price, **changed):
    """Return a rate of OpenAI."""
    return Rate(model=model, input=price[0], output=price[1], **{**OPENAI, **changed})


def cents(dollars):
    """Round dollars to cents, as bills do."""
    return round(dollars, 2)


OPUS_5 = claude("claude-opus-5", (5.0, 25.0))
OPUS_4_7 = claude("claude-opus-4-7", (5.0, 25.0))
SONNET_4_6 = claude("claude-sonnet-4-6", (3.0, 15.0))
HAIKU_3 = claude("claude-3-haiku", (0.25, 1.25), cache_read=0.12, cache_write=1.2, cache_write_hour=None)


@pytest.mark.parametrize(
    ("rate", "kinds", "batch"),
    [
        (OPUS_5, (5.0, 6.25, 10.0, 0.5, 25.0), (2.5, 12.5)),
        (claude("claude-opus-4-1", (15.0, 75.0)), (15.0, 18.75, 30.0, 1.5, 75.0), (7.5, 37.5)),
        (claude("claude-sonnet-5", (2.0, 10.0)), (2.0, 2.5, 4.0, 0.2, 10.0), (1.0, 5.0)),
        (SONNET_4_6, (3.0, 3.75, 6.0, 0.3, 15.0), (1.5, 7.5)),
        (claude("claude-haiku-4-5", (1.0, 5.0)), (1.0, 1.25, 2.0, 0.1, 5.0), (0.5, 2.5)),
        (claude("claude-3-5-haiku", (0.8, 4.0)), (0.8, 1.0, 1.6, 0.08, 4.0), (0.4, 2.0)),
        (claude("claude-fable-5-1", (10.0, 50.0), cache_read=0.025), (10.0, 12.5, 20.0, 0.25, 50.0), (5.0, 25.0)),
    ],
)
def test_a_million_tokens_of_each_kind(rate, kinds, batch):
    """Anthropic's table of prices by kind of token, and its table of batch prices (page on pricing, autumn 2026)."""
    names = ("input", "cache_write", "cache_write_hour", "cache_read", "output")
    found = [call_cost(rate, Tokens(**{name: MILLION})) for name in names]
    assert found == pytest.approx(kinds)
    found = [call_cost(rate, Tokens(**{name: MILLION}), processing="batch") for name in ("input", "output")]
    assert found == pytest.approx(batch)


def test_an_hour_of_coding_without_and_with_cached_input():
    """A session with Opus 5 costs $0.625, and $0.445 with 40,000 reads (Anthropic's page on pricing, autumn 2026).

    The page adds eight cents for the session's runtime, which has nothing to do with tokens.
    """
    runtime = 0.08
    without = call_cost(OPUS_5, Tokens(input=50_000, output=15_000))
    assert (without, without + runtime) == (pytest.approx(0.25 + 0.375), pytest.approx(0.705))
    cached = call_cost(OPUS_5, Tokens(input=10_000, cache_read=40_000, output=15_000))
    assert (cached, cached + runtime) == (pytest.approx(0.05 + 0.02 + 0.375), pytest.approx(0.525))


def test_the_context_of_a_million_document_tokens():
    """Anthropic's article on contextual retrieval (September 2024): $1.02 per million document tokens.

    A document of 8,000 tokens is written to the cache of Claude 3 Haiku once, and read for each of its ten chunks; each
    request also has the chunk of 800 tokens and an instruction of 50, and its answer has 100 tokens. The article states
    the sizes and the sum; the prices are those of that month ($0.25, $0.30 written, $0.03 read, $1.25 out).
    """
    document = call_cost(HAIKU_3, Tokens(cache_write=8_000))
    chunk = call_cost(HAIKU_3, Tokens(cache_read=8_000, input=850, output=100))
    assert cents((document + 10 * chunk) * MILLION / 8_000) == 1.02


def test_a_batch_request_costs_half():
    """A request with 5,000 tokens in and 800 out to Opus 5.5: 3.6 cents, 1.8 in a batch; $360 and $180 for 10,000.

    NeverPayTwice, "Claude Batch API", 2026, from Anthropic's page on batches, by which half the price holds for reads
    and writes of the cache as well.
    """
    rate = claude("claude-opus-5-5", (4.0, 20.0), cache_read=0.05)
    tokens = Tokens(input=5_000, output=800)
    assert call_cost(rate, tokens) == pytest.approx(0.036)
    assert call_cost(rate, tokens, processing="batch") == pytest.approx(0.018)
    assert cents(10_000 * call_cost(rate, tokens, processing="batch")) == 180.00


def test_batch_and_cache_multiply():
    """10,000 requests to Opus 4.7 that share 80,000 tokens: $4,000, in a batch $2,000, in a batch with a cache $200.23.

    Claude Code Guides, "Combining caching with Batch API", 2026: one request writes for $0.25, and 9,999 read for
    $199.98.
    """
    shared, requests = 80_000, 10_000
    assert cents(requests * call_cost(OPUS_4_7, Tokens(input=shared))) == 4_000.00
    assert cents(requests * call_cost(OPUS_4_7, Tokens(input=shared), processing="batch")) == 2_000.00
    written = call_cost(OPUS_4_7, Tokens(cache_write=shared), processing="batch")
    read = (requests - 1) * call_cost(OPUS_4_7, Tokens(cache_read=shared), processing="batch")
    assert (cents(written), cents(read), cents(written + read)) == (0.25, 199.98, 200.23)


def test_a_prefix_that_is_held_for_an_hour():
    """2,000 tokens for Sonnet 4.6, written once for an hour and read 99 times: $0.012 + $0.0594, and $0.60 uncached.

    AI Prompts Hub, "Claude API cost", 2026.
    """
    written = call_cost(SONNET_4_6, Tokens(cache_write_hour=2_000))
    read = 99 * call_cost(SONNET_4_6, Tokens(cache_read=2_000))
    assert (written, read) == (pytest.approx(0.012), pytest.approx(0.0594))
    assert 100 * call_cost(SONNET_4_6, Tokens(input=2_000)) == pytest.approx(0.60)


def test_a_request_with_every_kind_of_token():
    """Opus 5.5 with 2,000 new tokens, 140,000 read, 8,000 written for an hour and 1,500 out: 13 cents.

    The wiki of claude-telemetry-widget, page "Cost", October 2026: $0.008 + $0.028 + $0.064 + $0.030. A read of this
    model costs a twentieth of its input.
    """
    rate = claude("claude-opus-5-5", (4.0, 20.0), cache_read=0.05)
    parts = {"input": (2_000, 0.008), "cache_read": (140_000, 0.028), "cache_write_hour": (8_000, 0.064),
             "output": (1_500, 0.030)}  # fmt: skip
    for name, (count, dollars) in parts.items():
        assert call_cost(rate, Tokens(**{name: count})) == pytest.approx(dollars)
    assert cents(call_cost(rate, Tokens(**{name: count for name, (count, _) in parts.items()}))) == 0.13


def test_writes_at_bedrock_are_priced_by_their_life():
    """8,882 tokens written by Opus 4.6 at Bedrock: $0.0555125 for five minutes, $0.08882 for an hour.

    Issue 9457 of earendil-works/pi, September 2026, whose program had charged the hour at the price of five minutes.
    """
    rate = claude("anthropic.claude-opus-4-6", (5.0, 25.0), provider="bedrock")
    assert call_cost(rate, Tokens(cache_write=8_882)) == pytest.approx(0.0555125)
    assert call_cost(rate, Tokens(cache_write_hour=8_882)) == pytest.approx(0.08882)


def test_a_cache_that_breaks_at_bedrock():
    """100,000 requests a month with 10,000 tokens of Sonnet 4.6 that are not read any more cost $2,700 more.

    CacheCanary's page on PyPI, 2026, at Anthropic's list price.
    """
    requests = 100_000
    uncached, read = (requests * call_cost(SONNET_4_6, Tokens(**{kind: 10_000})) for kind in ("input", "cache_read"))
    assert cents(uncached - read) == 2_700.00


def test_the_first_example_of_bedrock():
    """11,000 tokens in and 4,000 out of Claude at $8 and $24 cost $0.088 + $0.096.

    Amazon's page on Bedrock's prices, of the years 2023 and 2024, when this model had these prices.
    """
    rate = Rate(provider="bedrock", model="anthropic.claude-v2", since=LAST_YEAR, input=8.0, output=24.0)
    assert cents(1000 * call_cost(rate, Tokens(input=11_000, output=4_000))) == 184.00


def test_a_session_of_thirty_turns_without_a_cache():
    """gpt-5.6 Terra at $2.50 and $15: thirty turns of 25,000 tokens in and 4,000 out cost $1.875 + $1.80 = $3.675.

    AI Cost Estimator, "The 30-minute minimum cache life", June 2026.
    """
    rate = openai("gpt-5.6-terra", (2.5, 15.0))
    turn = Tokens(input=25_000, output=4_000)
    assert 30 * call_cost(rate, turn) == pytest.approx(3.675)


@pytest.mark.parametrize(
    ("context", "price", "kinds"),
    [("standard", (2.0, 12.0), (2.0, 0.2, 2.5, 12.0)), ("long", (4.0, 18.0), (4.0, 0.4, 5.0, 18.0))],
)
def test_the_tiers_of_terra(context, price, kinds):
    """OpenAI's rows for gpt-5.6 Terra (page on pricing, late 2026): input, cached input, cache writes and output.

    Above 272,000 tokens of input, input and cache cost twice as much and output one and a half times as much.
    """
    rate = openai("gpt-5.6-terra", price, context=context)
    names = ("input", "cache_read", "cache_write", "output")
    assert [call_cost(rate, Tokens(**{name: MILLION})) for name in names] == pytest.approx(kinds)


def test_a_write_of_sol_costs_a_quarter_more():
    """A million written tokens of gpt-5.6 Sol at $5 cost $1.25 more than uncached ones.

    Issue 3705 of coder/mux, July 2026.
    """
    rate = openai("gpt-5.6-sol", (5.0, 30.0))
    more = call_cost(rate, Tokens(cache_write=MILLION)) - call_cost(rate, Tokens(input=MILLION))
    assert cents(more) == 1.25


def test_a_long_prompt_is_priced_as_a_whole():
    """272,000 tokens of gpt-5.5 cost $1.36, and with one token more, the whole prompt costs twice as much.

    OpenAI's page on the model, July 2026: above 272,000 tokens the whole request costs twice the input price. A book
    has a rate for each tier, and a tier that it does not have gets no price of another one.
    """
    standard = openai("gpt-5.5", (5.0, 30.0))
    long = openai("gpt-5.5", (10.0, 45.0), context="long")
    book = Book(as_of=dt.date(2026, 11, 1), rates=(standard, long))
    day = dt.date(2026, 7, 26)
    assert call_cost(book.rate("openai", "gpt-5.5", on=day), Tokens(input=272_000)) == pytest.approx(1.36)
    found = call_cost(book.rate("openai", "gpt-5.5", on=day, context="long"), Tokens(input=272_001))
    assert cents(found) == 2.72
    with pytest.raises(BadInput, match="no price for context 'huge'"):
        book.rate("openai", "gpt-5.5", on=day, context="huge")


@pytest.mark.parametrize("processing", ["batch", "flex"])
def test_half_price_holds_for_the_long_tier_and_its_cache(processing):
    """GPT-6 Astra above 272,000 tokens at half price: $10 and $37.50 per million, $1 read and $12.50 written.

    LiteLLM's note on the model (discussion 39633, 2026): $10 and $50, $1 read, $12.50 written. For a whole long request
    input and cache cost twice and output one and a half times as much; batch and flex halve whichever rate applies.
    """
    names = ("input", "output", "cache_read", "cache_write")
    short = openai("gpt-6-astra", (10.0, 50.0))
    assert [call_cost(short, Tokens(**{n: MILLION})) for n in names] == pytest.approx([10.0, 50.0, 1.0, 12.5])
    long = openai("gpt-6-astra", (20.0, 75.0), context="long")
    assert [call_cost(long, Tokens(**{n: MILLION})) for n in names] == pytest.approx([20.0, 75.0, 2.0, 25.0])
    halved = [call_cost(long, Tokens(**{n: MILLION}), processing=processing) for n in names]
    assert halved == pytest.approx([10.0, 37.5, 1.0, 12.5])
