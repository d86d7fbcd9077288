"""What a message asks for: a linear head on the shared embedding, trained on the tagged query log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

import parbake as pb
from parbake_semantic.embedder import Embedder
from retail_assistant.knowledge.embedding import query_embedding
from retail_assistant.knowledge.shop_views import LoggedQuery, QueryLog
from retail_assistant.understand.plain_words import bare

tasks = pb.Registry()
PER_CLASS = 110
LEAST_CLASS = 8


class Head(msgspec.Struct, frozen=True):
    """A softmax head: ``weights`` float32 bytes of shape (classes, dimensions), ``bias`` one per class."""

    classes: tuple[str, ...]
    weights: bytes
    bias: tuple[float, ...]
    model_hash: str


class Intent(msgspec.Struct, frozen=True):
    """The likeliest class with its probability."""

    name: str
    probability: float


@tasks.model(
    freshness_sla="26h",
    refresh=pb.every("24h", budget="2h", off_peak=True),
    invalidated_by=[],
    fallback_if_stale=pb.ServeStale(within="48h"),
    owner="support",
    why="What people ask for changes slowly",
)
def intent_head(*, log: pb.Source[QueryLog], embedder: pb.Resource[Embedder]) -> Head:
    """Train the head on distinct wordings, balanced over the classes."""
    texts, labels = _sample(log.wordings())
    return train(texts, labels, embedder)


@tasks.live(why="Must classify the actual message")
async def intent(
    text: pb.Live[str],  # noqa: ARG001  # what the embedding is of
    *,
    vector: Any = pb.Input(query_embedding),
    head: Head = pb.Model(intent_head),
) -> Intent:
    """Classify a question."""
    return likeliest(head, vector)


def likeliest(head: Head, vector: Any) -> Intent:
    """The likeliest class of an embedded text; of an empty head a frequent question, with no chance."""
    if not head.classes:
        return Intent("faq", 0.0)
    weights = np.frombuffer(head.weights, np.float32).reshape(len(head.classes), -1)
    scores = weights @ vector + np.array(head.bias, np.float32)
    shares = np.exp(scores - scores.max())
    best = int(scores.argmax())
    return Intent(head.classes[best], float(shares[best] / shares.sum()))


def train(texts: Sequence[str], labels: Sequence[str], embedder: Embedder) -> Head:
    """Fit a balanced multinomial logistic regression; an empty head when there is nothing to tell apart."""
    from sklearn.linear_model import LogisticRegression

    if len(set(labels)) < 2:  # noqa: PLR2004  # one class needs no head
        return Head((), b"", (), embedder.model_hash)
    vectors = embedder.embed(texts)
    fitted = LogisticRegression(C=20.0, max_iter=500, class_weight="balanced").fit(vectors, labels)
    weights, bias, classes = fitted.coef_, fitted.intercept_, tuple(str(c) for c in fitted.classes_)
    if len(classes) == 2:  # noqa: PLR2004  # scikit-learn keeps one row for two classes
        weights, bias = np.vstack([-weights, weights]) / 2, np.array([-bias[0], bias[0]]) / 2
    return Head(classes, weights.astype(np.float32).tobytes(), tuple(float(b) for b in bias), embedder.model_hash)


def _sample(log: Sequence[LoggedQuery]) -> tuple[list[str], list[str]]:
    """The most frequent wordings of each class; of FAQ wordings a few per question, so that all questions count."""
    chosen: dict[str, str] = {}
    per_group: dict[str, int] = defaultdict(int)
    for query in log:
        text = bare(query.text)
        group = f"{query.intent}/{query.question}" if query.question else query.intent
        limit = LEAST_CLASS if query.question else PER_CLASS
        if text and text not in chosen and per_group[group] < limit:
            per_group[group] += 1
            chosen[text] = query.intent
    return list(chosen), list(chosen.values())
