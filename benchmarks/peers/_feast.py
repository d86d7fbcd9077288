"""Feast as its documentation sets it up for local use: one view of one feature, a list of 50 strings, by one entity."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

os.environ["FEAST_USAGE"] = "False"  # read when feast is imported: nothing is reported to anyone

import _valkey
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Array, String

ITEMS = 50
STORES = ("sqlite", "redis")


def titles(shelf: str) -> list[str]:
    """The value that parbake's side of the benchmark stores under the same key."""
    return [f"{shelf} title {n:03d}" for n in range(ITEMS)]


def frame(rows: int, start: int = 0) -> pd.DataFrame:
    """So many rows with their event time."""
    shelves = [f"s{n}" for n in range(start, start + rows)]
    now = datetime.now(UTC)
    return pd.DataFrame({"shelf": shelves, "titles": [titles(s) for s in shelves], "at": [now] * rows})


@contextlib.contextmanager
def opened(kind: str) -> Iterator[FeatureStore]:
    """A store with the view applied: a local registry in a file, and the online store of that kind."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        online: dict[str, Any] = {"type": "sqlite", "path": str(folder / "online.db")}
        if kind == "redis":
            port = stack.enter_context(_valkey.serving())
            online = {"type": "redis", "connection_string": f"127.0.0.1:{port}"}
        store = FeatureStore(
            config=RepoConfig(
                project="bench",
                provider="local",
                registry=str(folder / "registry.db"),
                online_store=online,
                offline_store={"type": "file"},
                entity_key_serialization_version=3,
            )
        )
        shelf = Entity(name="shelf", join_keys=["shelf"], value_type=ValueType.STRING)
        source = FileSource(path=str(folder / "none.parquet"), timestamp_field="at")
        frame(1).to_parquet(folder / "none.parquet")
        schema = [Field(name="shelf", dtype=String), Field(name="titles", dtype=Array(String))]
        view = FeatureView(name="shelves", entities=[shelf], ttl=timedelta(days=1), schema=schema, source=source)
        store.apply([shelf, view])
        yield store
