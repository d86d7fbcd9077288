"""The settings of jobs at a provider's batch interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

from parbake.errors import ContractError
from parbake.values.checks import check_whole
from parbake.values.duration import Duration, seconds
from parbake_llm.ports.provider_jobs import BatchProvider

METHODS = ("submit", "state", "results", "recent", "cancel")


@dataclass(frozen=True)
class JobSettings:
    """How the jobs of a provider's batch interface are submitted and waited for.

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


def is_provider(value: object) -> bool:
    """Whether an object has the methods of a batch interface; a class has not."""
    return not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in METHODS)
