"""Each parameter of a task has exactly one role; legality and classification follow from the roles.

====================  =========================================  ===========================================
role                  how it is written                          what it is
====================  =========================================  ===========================================
key, keys             the first parameter; ``Keys[K]``           what the artifact is for
source                ``history: Source[History]``               a versioned view, known ahead
live                  ``message: Live[str]``                     exists only at request time
resource              ``llm: Resource[Generator]``               a stateless client
input                 ``blocks=Input(evidence)``                 another task's value, through the fence
model                 ``factors=Model(train)``                   a trained model, itself an artifact
base                  ``base: Served[T]``                        the precomputed base of a refine task
====================  =========================================  ===========================================

``Input`` and ``Model`` are defaults rather than annotations because a task is an object, not a type: this way both
mypy and pyright check the parameter against the task's own types.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, TypeVar

T = TypeVar("T")


class Role(Enum):
    """The role of a parameter: what parbake passes for it, and when that is known."""

    KEY = "key"
    KEYS = "keys"
    BASE = "base"
    SOURCE = "source"
    LIVE = "live"
    RESOURCE = "resource"
    INPUT = "input"
    MODEL = "model"


Keys = Annotated[Sequence[T], Role.KEYS]
Source = Annotated[T, Role.SOURCE]
Live = Annotated[T, Role.LIVE]
Resource = Annotated[T, Role.RESOURCE]

GIVEN: Any = None
"""The default of a ``Source`` or ``Resource`` of a live or refine task: parbake passes it, so callers need not."""
