"""Wrong uses of the public interface: both type checkers report exactly the marked lines."""

from __future__ import annotations

from typing import NewType

import parbake as pb
from parbake.values.codecs import Codec

UserId = NewType("UserId", str)
Asin = NewType("Asin", str)
tasks = pb.Registry()


class Factors:
    """A trained model."""


class Other:
    """Not the model."""


@tasks.model(
    freshness_sla="48h", refresh=pb.every("24h"), invalidated_by=[], fallback_if_stale=pb.Refuse(), owner="recs"
)
def factors() -> Factors:
    return Factors()


@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="recs")
def candidates(users: pb.Keys[UserId]) -> dict[UserId, list[Asin]]:
    return {user: [] for user in users}


@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="support")
async def answer(question: int) -> pb.Value[str] | pb.Absent:
    return pb.Value(str(question))


@tasks.refine(candidates, budget="150ms")
async def recommendations(base: pb.Served[list[Asin]], *, page: pb.Live[Asin]) -> list[Asin]:
    return base.unwrap()


@tasks.live(why="must classify the actual message")
async def intent(message: pb.Live[str]) -> int:
    return len(message)


# Every part of the contract is required.
@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute())  # E: no owner
def unowned(key: str) -> str:
    return key


@tasks.artifact(invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="a")  # E: no SLA
def unbounded(key: str) -> str:
    return key


@tasks.artifact(freshness_sla="1h", fallback_if_stale=pb.Recompute(), owner="a")  # E: no invalidated_by
def deaf(key: str) -> str:
    return key


@tasks.artifact(freshness_sla="1h", invalidated_by=[], owner="a")  # E: no fallback
def undecided(key: str) -> str:
    return key


@tasks.model(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Refuse(), owner="a")  # E: no schedule
def unscheduled() -> Factors:
    return Factors()


@tasks.artifact(
    freshness_sla="1h",
    invalidated_by=["policy"],  # E: a bare tag
    fallback_if_stale=pb.Refuse(),
    owner="a",
)
def untyped(key: str) -> str:
    return key


@tasks.live()  # E: no rationale
async def unexplained(message: pb.Live[str]) -> str:
    return message


# Inputs keep the types of the tasks that they come from.
@tasks.live(why="uses a model")
def wrong_model(message: pb.Live[str], model: Other = pb.Model(factors)) -> str:  # E: another model's type
    return message


@tasks.live(why="uses a live task")
def wrong_input(message: pb.Live[str], kind: str = pb.Input(intent)) -> str:  # E: an int
    return message


@tasks.live(why="reads an artifact")
def wrong_reader(message: pb.Live[str], rows: pb.Reader[str, str] = pb.Input(answer)) -> str:  # E: its keys are int
    return message


@tasks.live(why="takes a model for an input")
def model_as_input(message: pb.Live[str], model: Factors = pb.Input(factors)) -> str:  # E: a model is read by Model
    return message


@tasks.live(why="takes an input for a model")
def input_as_model(message: pb.Live[str], rows: str = pb.Model(answer)) -> str:  # E: an artifact is read by Input
    return message


@tasks.refine(candidates, budget="1s")  # E: the base is a list of Asin
async def wrong_base(base: pb.Served[list[int]], *, page: pb.Live[Asin]) -> list[int]:
    return base.unwrap()


@tasks.refine(intent, budget="1s")  # E: only an artifact can be refined
async def live_base(base: pb.Served[int]) -> int:
    return base.unwrap()


async def serve(app: pb.App, user: UserId, asin: Asin) -> None:
    await app.serve(candidates)  # E: no key
    await app.serve(candidates, 7)  # E: a user id is a string
    await app.serve(candidates, asin)  # E: not a user id
    await app.serve(answer, "returns")  # E: its keys are int
    await app.serve(candidates, user, page=asin)  # E: an artifact has no live input
    await app.serve(recommendations, user)  # E: no page
    await app.serve(recommendations, user, page=7)  # E: a page is an Asin
    await app.serve(recommendations, user, pge=asin)  # E: misspelled
    await app.serve(recommendations, 7, page=asin)  # E: a user id is a string
    await app.serve(intent)  # E: no message
    await app.serve(intent, 7)  # E: a message is a string
    await app.serve(factors)  # E: a model is not served
    app.sync.serve(candidates, 7)  # E: as above, in sync code
    pb.App(tasks, stroe="memory://")  # E: misspelled
    await app.touch(7)  # E: a tag is a string


async def use(app: pb.App) -> int:
    served = await app.serve(answer, 7)
    text: int = (await app.serve(answer, 7)).unwrap()  # E: a string
    return len(served.value) + text  # E: may be None


def contracts() -> None:
    pb.ServeStale()  # E: how long?
    pb.Use("candidates")  # E: a task, not its name
    pb.every(refresh="1h")  # E: misspelled
    pb.fence("policy", debounce="1s")  # E: a fence waits for nothing
    pb.Served("t", 1)  # E: no verdict and no lane
    pb.Registry(codecs=[Factors()])  # E: not a codec
    pb.Registry(codecs=Codec)  # E: a list of them
