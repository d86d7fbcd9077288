"""What a provider reports against what was expected of its prefix cache."""

from __future__ import annotations

import msgspec

from parbake.ports.usage import Usage
from parbake_llm.ports.prompts import Miss, MissCause, Prediction

_SENTENCES = {
    MissCause.COLD: "nobody has sent this prefix before",
    MissCause.TTL_LAPSED: "the cached prefix reached the end of its time to live",
    MissCause.PREFIX_CHANGED: "the prompt differs from the session's last one",
    MissCause.EVICTED: "the cache needed the place of the cached prefix",
    MissCause.BELOW_MINIMUM: "the prefix is shorter than the provider caches",
    MissCause.BEYOND_LOOKBACK: "the cached prefix ends further before a breakpoint than the provider looks back",
    MissCause.PROVIDER_SAYS_OTHERWISE: "the provider read less than was expected of its rules",
}


class Reconciliation(msgspec.Struct, frozen=True):
    """One request's expected and reported reads.

    Attributes:
        expected: The tokens that were expected to be read, in the provider's own tokens where it reports their number.
        reported: The tokens that it read; ``None`` if it does not report them.
        drift: Reported less expected; ``None`` if nothing was reported.
        miss: Why the request was not read as far as it could have been; ``None`` if it was.
    """

    expected: int
    reported: int | None
    drift: int | None
    miss: Miss | None


def reconcile(prediction: Prediction, usage: Usage, *, tolerance: int = 0) -> Reconciliation:
    """Compare a prediction with what the provider reports.

    The expected tokens are scaled by the reported length of the prompt, since the provider's tokenizer may count
    differently.

    Args:
        prediction: What was expected.
        usage: What the provider reports.
        tolerance: The tokens by which it may read less before its report contradicts the prediction.
    """
    total, expected = usage.input, prediction.read
    if total and prediction.input and usage.cache_read is not None:
        expected = round(expected * total / prediction.input)
    reported = usage.cache_read
    if reported is None:
        return Reconciliation(expected, None, None, prediction.miss)
    drift = reported - expected
    return Reconciliation(expected, reported, drift, _miss(prediction, drift, tolerance))


def _miss(prediction: Prediction, drift: int, tolerance: int) -> Miss | None:
    if drift < -tolerance:
        return Miss(MissCause.PROVIDER_SAYS_OTHERWISE)
    return None if drift > tolerance else prediction.miss


def explained(miss: Miss) -> str:
    """A miss in words, for people."""
    where = f" ({miss.name or f'position {miss.at}'})" if miss.cause is MissCause.PREFIX_CHANGED else ""
    return _SENTENCES[miss.cause] + where
