"""What is served during the soak: values of a database, directly, through a chain, in a model's words, and by a batch.

``SOAK_HOME`` is the folder, ``SOAK_STORE`` the store's URL, ``SOAK_PROVIDER`` the address of a provider, and
``SOAK_KEY`` its key. With ``SOAK_DEAF`` no change invalidates anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
from pathlib import Path
from typing import Any

import msgspec

import parbake as pb
from parbake.adapters.sqlite import SqliteSource, emit
from parbake.http import HttpApp, HttpRequest, Response, json_response
from parbake_llm.generators.chain import Breakers, chain
from parbake_llm.generators.extractive import Extractive
from parbake_llm.generators.openai import OpenAIGenerator
from parbake_llm.ports.generator import Generator
from parbake_llm.ports.limits import Limits
from parbake_llm.ports.prompts import Prompt

HOME = Path(os.environ["SOAK_HOME"])
FACTS = HOME / "facts.sqlite"
NAMES = tuple(f"n{number}" for number in range(50))
USERS = tuple(f"u{number}" for number in range(500))
LOCK_S = 0.3
TOLD: list[Any] = (
    [pb.ignore("fact", "so that stale values must be found")] if os.environ.get("SOAK_DEAF") else [pb.fence("fact")]
)
CONTRACT: dict[str, Any] = {"freshness_sla": "1h", "fallback_if_stale": pb.Recompute(), "owner": "bench"}


class Facts(pb.View):
    """Versions by name."""

    families = ("fact",)

    def version(self, name: str) -> int:
        """One version."""
        self.entity(f"fact/{name}")
        return int(self.rows("SELECT version FROM fact WHERE name = :name", name=name)[0][0])


class Said(msgspec.Struct):
    """The version of a fact, with text around it that makes the values fill pages of the store."""

    name: str
    version: int
    filler: str


tasks = pb.Registry()


def said(name: str, version: int) -> Said:
    """A value of some length."""
    return Said(name, version, f"filler-{name}-" * 60)


@tasks.artifact(**CONTRACT, invalidated_by=TOLD)
def note(name: str, *, facts: pb.Source[Facts]) -> Said:
    """What the database says."""
    return said(name, facts.version(name))


@tasks.artifact(**CONTRACT, invalidated_by=TOLD)
async def digest(name: str, *, of: pb.Reader[str, Said] = pb.Input(note)) -> Said:
    """What the note says."""
    return said(name, (await of.get(name)).unwrap().version)


@tasks.artifact(**CONTRACT, invalidated_by=TOLD)
async def worded(
    name: str, *, of: pb.Reader[str, Said] = pb.Input(note), llm: pb.Resource[Generator] = pb.GIVEN
) -> Said:
    """What a model says of the note; the next of the chain says it if the provider does not."""
    version = (await of.get(name)).unwrap().version
    prompt = Prompt(evidence=(f"The version is {version}.",), question="Which version is it?")
    text = "".join([piece.text async for piece in llm.stream(prompt, max_tokens=50, timeout_s=0.8)])
    found = re.search(r"\d+", text)
    return said(name, int(found[0]) if found else -1)


@tasks.model(**CONTRACT, invalidated_by=[], refresh=pb.every("45s"))
def taste() -> dict[str, float]:
    """A model that is trained again and again."""
    return {user: len(user) / 10 for user in USERS}


def everybody() -> list[str]:
    """All users."""
    return list(USERS)


@tasks.artifact(**CONTRACT, invalidated_by=[], refresh=pb.every("45s"), keys=everybody, chunk=50)
def suggestion(users: pb.Keys[str], *, model: dict[str, float] = pb.Model(taste)) -> dict[str, Said]:
    """What the model makes of each user, computed ahead."""
    return {user: said(user, int(10 * model[user])) for user in users}


def provided() -> Generator:
    """The provider, and behind it what quotes the evidence."""
    model = OpenAIGenerator(model="small", api_key=os.environ["SOAK_KEY"], base_url=os.environ["SOAK_PROVIDER"])
    return chain(
        "openai -> extractive",
        available={"openai": model.limited(Limits(first_s=0.3, total_s=0.5, tries=1)), "extractive": Extractive},
        breakers=Breakers(after=3, cooldown_s=2.0),
    )


source = SqliteSource(FACTS, families=["fact"], views=[Facts])
app = pb.App(
    tasks,
    store=os.environ["SOAK_STORE"],
    sources=[source],
    resources={Generator: provided()},
    durability=pb.Durability(journal=HOME / "journal", replayable=True),
)


class Change(msgspec.Struct):
    """A change of one fact; whoever sends it again under the same ``id`` changes nothing more."""

    id: str
    name: str


def commit(change: Change) -> int:
    """Change a fact in one transaction with its effect and its outbox row; returns the fact's version."""
    with contextlib.closing(sqlite3.connect(FACTS, timeout=LOCK_S, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            done = connection.execute("SELECT version FROM effect WHERE id = ?", (change.id,)).fetchone()
            if done is not None:
                return int(done[0])
            changed = "UPDATE fact SET version = version + 1 WHERE name = ? RETURNING version"
            version = int(connection.execute(changed, (change.name,)).fetchone()[0])
            connection.execute("INSERT INTO effect VALUES (?, ?, ?)", (change.id, change.name, version))
            emit(connection, f"fact/{change.name}", "fact.changed")
            return version


async def write(request: HttpRequest) -> Response:
    """Commit a change, and answer once it is acknowledged."""
    try:
        version = await asyncio.to_thread(commit, request.json(Change))
    except sqlite3.OperationalError as error:
        raise pb.errors.NotAcknowledged(f"the database does not take it: {error}") from error
    ack = await app.drain()
    if ack is not None and not ack.trusted:
        raise pb.errors.NotAcknowledged("the store is being recovered")
    return json_response({"version": version})


serving = HttpApp(app, [("POST", "/write", write)])
