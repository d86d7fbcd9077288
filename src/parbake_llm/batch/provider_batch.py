"""The setting ``via=``: the batch lane asks a provider's batch interface instead of the generator itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from parbake.errors import ContractError, RoleError
from parbake.lanes.batch.rows import RowParts
from parbake.tasks.roles import Role
from parbake.tasks.task_types import Artifact
from parbake.values.duration import humanize
from parbake_llm.batch.job_settings import JobSettings
from parbake_llm.batch.provided import ProvidedRuns
from parbake_llm.ports.generator import Generator


@dataclass(frozen=True)
class ProviderBatch(JobSettings):
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
