"""Reads the CDNOW purchases that the ``lifetimes`` package carries; prints customers and days as one line of JSON."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path


def main() -> None:
    """Print the rows; the package itself is not imported."""
    spec = importlib.util.find_spec("lifetimes")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("lifetimes is not installed")
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "CDNOW_master.txt"
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    print(json.dumps({"customer": [row[0] for row in rows], "day": [row[1] for row in rows]}))


if __name__ == "__main__":
    main()
