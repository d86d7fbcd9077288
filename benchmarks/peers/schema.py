"""Runs Schemathesis against a server's OpenAPI document: ``schema.py ADDRESS TOKEN FOLDER SEED EXAMPLES``."""

import json
import subprocess
import sys
from pathlib import Path

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
)
KNOWN = {"path.asin": "B000001", "path.task": "product_facts", "path.id": "returns", "path.user": "u00001"}
"""Values that the shop has, so that requests get past the question whether there is such a thing."""


def main() -> None:
    """Run once and print what was found."""
    address, token, folder, seed, examples = sys.argv[1:]
    where = Path(folder)
    settings = [f'"{name}" = "{value}"' for name, value in KNOWN.items()]
    (where / "schemathesis.toml").write_text("\n".join(["[parameters]", *settings, ""]))
    told = where / f"found-{seed}.json"
    command = [
        Path(sys.executable).with_name("schemathesis"), "run", f"{address}/v1/openapi.json",
        "--header", f"Authorization: Bearer {token}",
        "--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--max-examples", examples, "--seed", seed,
        "--no-shrink", "--continue-on-failure", "--suppress-health-check", "all",
        "--report", "json", "--report-json-path", told,
    ]  # fmt: skip
    subprocess.run(command, cwd=where, check=False, stdout=sys.stderr)
    found = json.loads(told.read_text())
    failures = [one["check"] if "check" in one else str(one)[:200] for one in found["failures"]]
    print(
        json.dumps(
            {
                "cases": found["test_cases"]["generated"],
                "errored": found["test_cases"]["errored"],
                "operations": found["operations"]["tested"],
                "failures": failures,
            }
        )
    )


if __name__ == "__main__":
    main()
