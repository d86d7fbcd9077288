"""Products and words as vectors of one space, learned from the catalog's own texts: near means alike in what they say.

Latent semantic analysis (Deerwester and others, Indexing by Latent Semantic Analysis, 1990): the singular vectors of
the matrix of rare words by products. It costs a request some microseconds and no model of a language, so whoever sends
words gets the same order as the chat.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]

DIMS = 128
MOST_WORDS = 8_000
_COMMON, _FEW = 0.3, 5
"""A word in a larger share of the texts than this tells nothing, unless it is in only a few."""
_SEED = 7
_WORD = re.compile(r"[^\W\d_]{3,}")
_PLURAL = re.compile(r"(?<=\w{3})s$")


class TextSpace(msgspec.Struct, frozen=True, dict=True):
    """The vectors of a catalog's words and products.

    ``word_vectors`` are float16 bytes of (words, dims), weighted by how rare each word is; ``item_vectors`` are float16
    bytes of (items + 1, dims) of unit length, or zero for a product without words. The last row is for unknown
    products.
    """

    words: list[str]
    dims: int
    word_vectors: bytes
    item_vectors: bytes

    @cached_property
    def items(self) -> Rows:
        """The vectors of the products, decoded once."""
        return self._decoded(self.item_vectors)

    def of(self, text: str) -> Rows | None:
        """Return the unit vector of a text; ``None`` if the space knows none of its words."""
        known = [self._at[word] for word in _words(text) if word in self._at]
        if not known:
            return None
        found = self._word_rows[known].sum(axis=0)
        length = float(np.sqrt(found @ found))
        return found / np.float32(length) if length else None

    @cached_property
    def _at(self) -> dict[str, int]:
        return {word: n for n, word in enumerate(self.words)}

    @cached_property
    def _word_rows(self) -> Rows:
        return self._decoded(self.word_vectors)

    def _decoded(self, raw: bytes) -> Rows:
        return np.frombuffer(raw, dtype=np.float16).reshape(-1, max(1, self.dims)).astype(np.float32)


def learn(texts: Sequence[str]) -> TextSpace:
    """Learn the space of some products' texts; an empty one if they have too few different words."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    most = max(_FEW, int(_COMMON * len(texts)))
    weigher: Any = TfidfVectorizer()
    weigher.set_params(analyzer=_words, max_df=most, max_features=MOST_WORDS, sublinear_tf=True)
    try:
        matrix: Any = weigher.fit_transform(texts)
    except ValueError:  # no words at all
        return TextSpace([], 0, b"", np.zeros((len(texts) + 1, 1), np.float16).tobytes())
    dims = min(DIMS, *(side - 1 for side in matrix.shape))
    if dims < 1:
        return TextSpace([], 0, b"", np.zeros((len(texts) + 1, 1), np.float16).tobytes())
    found: Any = TruncatedSVD(dims, random_state=_SEED).fit(matrix)
    axes = found.components_.T
    words = [str(word) for word in weigher.get_feature_names_out()]
    return TextSpace(words, dims, _packed(axes * weigher.idf_[:, None]), _packed(_unit(matrix @ axes)))


def _words(text: str) -> list[str]:
    """The words of a text in lower case, of at least three letters, without the "s" of plurals."""
    return [_PLURAL.sub("", word) for word in _WORD.findall(text.lower())]


def _unit(rows: Any) -> Any:
    """Rows of unit length, and a row of zeros for unknown products."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return np.vstack((rows, np.zeros((1, rows.shape[1]))))


def _packed(rows: Any) -> bytes:
    return bytes(rows.astype(np.float16).tobytes())
