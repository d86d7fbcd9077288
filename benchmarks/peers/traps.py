"""Prints the labelled pairs of questions that fow-cache carries."""

from __future__ import annotations

import importlib.resources
import json

if __name__ == "__main__":
    text = (importlib.resources.files("fow_cache") / "data" / "pairs.jsonl").read_text(encoding="utf-8")
    print(json.dumps({"lines": text.splitlines()}))
