"""Which queries django-cacheops still answers from its cache after Django has changed their rows."""

from __future__ import annotations

import json
import sys

import _valkey
from _capture.django_ways import django_ways, policy_model


def main(port: int) -> None:
    """Cache a query for each row, change the rows in each way, and print how many queries show an old value."""
    with _valkey.serving() as redis:
        policy = policy_model(
            port,
            INSTALLED_APPS=["cacheops"],
            CACHEOPS_REDIS=f"redis://127.0.0.1:{redis}/0",
            CACHEOPS={"shop.policy": {"ops": "all", "timeout": 3600}},
        )

        def shown(name: str) -> list[int]:
            return list(policy.objects.filter(id=name).values_list("days", flat=True))

        queries = missed = 0
        ways: dict[str, int] = {}
        for way, changed, write in django_ways(policy):
            for name in changed:
                shown(name)
            write()
            now = {name: list(policy.objects.nocache().filter(id=name).values_list("days", flat=True))
                   for name in changed}  # fmt: skip
            outdated = sum(shown(name) != now[name] for name in changed)
            ways[way] = outdated
            queries, missed = queries + len(changed), missed + outdated
            for name in changed:  # so that the next way is judged by itself
                policy.objects.filter(id=name).invalidated_update(days=100 + queries)
                shown(name)
    sys.stdout.write(json.dumps({"queries": queries, "missed": missed, "ways": ways}) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
