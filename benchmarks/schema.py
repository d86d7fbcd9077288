"""The OpenAPI document against the server: random requests, also wrong ones, must find no error and no surprise.

Schemathesis makes the requests out of the document and holds each answer against it: its status, type, headers and
schema, a refusal of what the schema forbids, and ``Allow`` with what a path does not answer. The server is the
assistant's own over a generated shop, with an operator token that each request carries. Runs with further seeds follow
until there were enough cases.
"""

from __future__ import annotations

import argparse
import os
import secrets
import tempfile
from collections import Counter

import _peers
from _report import Goal, report
from _shop import prepare, serving

CASES, EXAMPLES = 20_000, 200
SERVER_ERROR = "not_a_server_error"


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=CASES, help=f"how many requests at least ({CASES:,})")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (1)")
    options = parser.parse_args()
    cases, operations, seed = 0, 0, options.seed
    found: Counter[str] = Counter()
    os.environ["PARBAKE_TOKEN"] = token = secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory() as home:
        prepare(home)
        with serving(home) as (_, address):
            while cases < options.cases:
                seen = _peers.run("schema.py", address, token, home, str(seed), str(EXAMPLES), timeout_s=1200.0)
                cases, operations, seed = cases + seen["cases"], seen["operations"], seed + 1
                found.update(seen["failures"])
                found["errored"] += seen["errored"]
    errors = found.pop(SERVER_ERROR, 0)
    report(
        "schema",
        ("what", "count"),
        [("operations", operations), ("requests", cases), ("server errors", errors), *found.items()],
        figures={"operations": operations, "requests": cases, "server_errors": errors, "others": found.total()},
        goals=[
            Goal("requests", cases, "", f">= {CASES}", cases >= CASES),
            Goal("server errors", errors, "", "0", errors == 0),
            Goal("undocumented answers", found.total(), "", "0", found.total() == 0),
        ],
    )


if __name__ == "__main__":
    main()
