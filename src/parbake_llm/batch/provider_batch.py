"""The setting ``via=``: the batch lane asks a provider's batch interface instead of the generator itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from parbake.errors import ContractError, RoleError
from parbake.lanes.batch.rows import RowParts
from parbake.tasks.roles import Role
from parbake.tasks.task_types import Artifact
from parbake.values.checks import check_whole
from parbake.values.duration import Duration, humanize, seconds
from parbake_llm.batch.provided import ProvidedRuns
from parbake_llm.ports.generator import Generator
from parbake_llm.ports.provider_jobs import BatchProvider

METHODS = ("submit", "state", "results", "recent", "cancel")


@dataclass(frozen=True)
class ProviderBatch:
    """Lets batch runs of a task send their prompts through a provider's batch interface.

    Attributes:
        provider: The batch interface, or a function without arguments that opens it when a run first needs it, such as
            ``AnthropicBatches.from_environment``.
        within: How long a run waits for the answers. Then it cancels the jobs and asks the generator directly.
        least: If a run has less time than this, it asks the generator directly at once.
        poll: The pause before the first look at a job. Later pauses are longer, up to ten times.
        grace: How long a job whose submission broke off is looked for in the provider's listing, before it is
            submitted again.
        most: The most requests of one job; the provider's own limit counts as well.

    Raises:
        ContractError: A setting cannot work; the error names the field.
    """

    provider: BatchProvider | Callable[[], BatchProvider]
    within: Duration = "24h"
    least: Duration = "1m"
    poll: Duration = "1m"
    grace: Duration = "2m"
    most: int = 10_000
    within_s: float = field(init=False, default=0.0, repr=False)
    least_s: float = field(init=False, default=0.0, repr=False)
    poll_s: float = field(init=False, default=0.0, repr=False)
    grace_s: float = field(init=False, default=0.0, repr=False)

    def __post_init__(self) -> None:
        """Check the settings."""
        if not callable(self.provider) and not is_provider(self.provider):
            raise ContractError(
                f"via.provider={self.provider!r}: expected a batch interface, or a function that opens one, such as "
                "AnthropicBatches.from_environment",
                field="via.provider",
            )
        for name in ("within", "least", "poll", "grace"):
            object.__setattr__(self, f"{name}_s", seconds(getattr(self, name), field=f"via.{name}"))
        check_whole(self.most, field="via.most", error=ContractError)

    @cached_property
    def opened(self) -> BatchProvider:
        """The batch interface; the first use opens it. Raises :class:`ContractError` for anything else."""
        found = self.provider
        if not is_provider(found):
            found = cast("Callable[[], BatchProvider]", found)()
        if not is_provider(found):
            raise ContractError(
                f"via.provider returned {found!r}, which is not a batch interface", field="via.provider"
            )
        return cast("BatchProvider", found)

    def check(self, task: Artifact[Any, Any]) -> None:
        """Raise an error unless a task's batch runs can go through a batch interface.

        Raises:
            ContractError: The task has no schedule, or the wait is longer than its SLA leaves.
            RoleError: Its function is not an ``async def`` that takes a generator.
        """
        if task.schedule is None:
            raise ContractError(
                f"{task.name}: via=ProviderBatch(...) needs refresh=, such as pb.every('1d'): only batch runs use it",
                field="refresh",
            )
        if not task.is_async or not any(p.type is Generator for p in task.of(Role.RESOURCE)):
            raise RoleError(
                f"{task.name}: via=ProviderBatch(...) needs an async def that takes a generator, such as "
                "llm: pb.Resource[Generator]",
                field="via",
            )
        spare = task.contract.freshness_sla_s - task.schedule.period_s
        if self.within_s > spare:
            raise ContractError(
                f"{task.name}: via.within={humanize(self.within_s)} is longer than freshness_sla less the period "
                f"({humanize(spare)}), so that runs would be late: wait for a shorter time, or lengthen the SLA",
                field="via.within",
            )

    def open(self, parts: RowParts) -> ProvidedRuns:
        """Return what computes rows; see :class:`parbake.tasks.task_types.RowComputer`."""
        return ProvidedRuns(self, parts)


def is_provider(value: object) -> bool:
    """Whether an object has the methods of a batch interface; a class has not."""
    return not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in METHODS)
