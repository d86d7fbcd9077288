"""Labelled questions with their embeddings, which are computed once and kept outside the repository."""

from __future__ import annotations

import csv
import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from parbake_semantic.embedder import Embedder

Vectors = NDArray[np.float32]
Places = NDArray[np.intp]
Flags = NDArray[np.bool_]
OUT_OF_SCOPE = "oos"
NO_LABEL = -1
_BLOCK = 512


class Unusable(Exception):
    """The file cannot be measured on; the message says what to do."""


@dataclass(frozen=True)
class Questions:
    """``vectors`` (n, d); ``labels`` (n,) as numbers, -1 out of scope; ``is_test`` (n,): never an alias."""

    name: str
    texts: list[str]
    vectors: Vectors
    labels: Places
    answers: list[str]
    is_test: Flags

    @property
    def has_split(self) -> bool:
        """Whether the data says itself which questions are for testing."""
        return bool(self.is_test.any())

    def sampled(self, count: int) -> Questions:
        """So many of the questions, drawn at random."""
        chosen = np.sort(np.random.default_rng(0).permutation(len(self.texts))[:count])
        texts = [self.texts[at] for at in chosen]
        return replace(
            self, texts=texts, vectors=self.vectors[chosen], labels=self.labels[chosen], is_test=self.is_test[chosen]
        )


class Known:
    """An embedder that has the vectors of questions, which were made before."""

    model_hash, dimensions = "minilm-known", 384

    def __init__(self, data: Questions) -> None:
        self._vectors = dict(zip(data.texts, data.vectors, strict=True))

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Rows of the questions."""
        return np.stack([self._vectors[text] for text in texts])


def banking77(folder: Path, embedder: Embedder) -> Questions:
    """BANKING77's ``train.csv`` and ``test.csv``.

    Raises:
        Unusable: the folder does not hold them.
    """
    if not (folder / "train.csv").is_file():
        raise Unusable(
            f"no BANKING77 at {folder}: name its folder with --banking77, the folder above it with PARBAKE_DATA,"
            " or measure other questions with --data FILE (columns text,label; label oos = out of scope)"
        )
    train, test = read_rows(folder / "train.csv"), read_rows(folder / "test.csv")
    return _made("BANKING77", train + test, len(train), embedder)


def labelled(path: Path, embedder: Embedder) -> Questions:
    """Any CSV file with the columns text and label; an optional column ``split`` marks test questions.

    Raises:
        Unusable: the file cannot be read, or lacks a column.
    """
    rows = read_rows(path)
    rows.sort(key=lambda row: row[2] == "test")
    return _made(path.stem, rows, sum(row[2] != "test" for row in rows), embedder)


def read_rows(path: Path) -> list[tuple[str, str, str]]:
    """Text, label and split of each row that has a text; the column of labels may be called ``category``."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Unusable(f"{path} cannot be read: {error}") from error
    label = "label" if rows and "label" in rows[0] else "category"
    if not rows or "text" not in rows[0] or label not in rows[0]:
        raise Unusable(f"{path} needs a header with the columns text and label")
    return [(r["text"], r[label], r.get("split") or "") for r in rows if (r["text"] or "").strip() and r[label]]


def _made(name: str, rows: list[tuple[str, str, str]], train: int, embedder: Embedder) -> Questions:
    answers = sorted({label for _, label, _ in rows} - {OUT_OF_SCOPE})
    if len(answers) < 2:
        raise Unusable(f"{name} has {len(answers)} labels; at least two are needed")
    at = {label: i for i, label in enumerate(answers)} | {OUT_OF_SCOPE: NO_LABEL}
    texts = [text for text, _, _ in rows]
    return Questions(
        name,
        texts,
        embedded(texts, embedder),
        np.array([at[label] for _, label, _ in rows], np.intp),
        answers,
        np.arange(len(rows)) >= train,
    )


def embedded(texts: Sequence[str], embedder: Embedder) -> Vectors:
    """The texts' vectors (n, d), from the cache of an earlier run where there is one."""
    digest = hashlib.sha256("\0".join([embedder.model_hash, *texts]).encode()).hexdigest()[:24]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "parbake-bench"
    kept = folder / f"{digest}.npy"
    if kept.is_file():
        found: Vectors = np.load(kept)
        return found
    blocks = []
    for start in range(0, len(texts), _BLOCK):
        print(f"\rembedding {start:,} of {len(texts):,}", end="", file=sys.stderr)
        blocks.append(embedder.embed(texts[start : start + _BLOCK]))
    print("\r", end="", file=sys.stderr)
    found = np.concatenate(blocks).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(f".{os.getpid()}.tmp")
    with partial.open("wb") as file:
        np.save(file, found)
    partial.replace(kept)
    return found
