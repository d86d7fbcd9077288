"""A deterministic embedder for tests of matching, and the topic words that tests embed."""

import hashlib

import numpy as np


class Words:
    """A test embedder: each word is a pseudo-random vector, a text is their sum, and topic words weigh more."""

    dimensions = 48

    def __init__(self, model_hash="words"):
        self.model_hash = model_hash
        self.broken = None

    def embed(self, texts):
        """Return unit rows, or rows filled with ``broken`` if that is set."""
        if self.broken is not None:
            return np.array([self.broken for _ in texts], np.float32)
        rows = np.array([sum((self._of(w) for w in t.lower().split()), np.full(48, 1e-3)) for t in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def _of(self, word):
        seed = int.from_bytes(hashlib.sha256(f"{self.model_hash} {word}".encode()).digest()[:4])
        return np.random.default_rng(seed).normal(size=48) * (4.0 if word.startswith("topic") else 1.0)


TOPICS = [f"topic{chr(97 + i)}{chr(97 + i)}" for i in range(20)]
