"""The words of a bookshop, which the guard and the vetoes are given."""

from __future__ import annotations

from pathlib import Path

from parbake_semantic import Vocabulary, vetoes_for

VOCABULARY = Vocabulary.read(Path(__file__).with_name("words.toml"))
VETOES = vetoes_for(VOCABULARY)
