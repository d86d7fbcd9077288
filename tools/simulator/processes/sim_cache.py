"""The semantic cache of a simulated server. Only this module needs numpy, and only in histories with caches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from parbake.app.application import App
from simulator.world.sim_tasks import FENCED, SERVED

if TYPE_CHECKING:
    from parbake_semantic.cache.semantic_cache import SemanticCache

SURE = 0.99
"""The lowest cosine of a hit."""
WORDINGS = ("What does the {task} say about {key}?", "Tell me what the {task} says about {key}.")
TOPICS = [(task, key) for task, keys in SERVED.items() if FENCED[task] for key in keys]
_topic_of = {w.format(task=task, key=key): n for n, (task, key) in enumerate(TOPICS) for w in WORDINGS}


class _Topics:
    """An embedder without a model: all wordings of a question have one vector, and any two questions differ."""

    model_hash = "topics"
    dimensions = len(TOPICS)

    def embed(self, texts: Sequence[str]) -> Any:
        """Return one row of float32 for each text."""
        import numpy as np

        return np.eye(self.dimensions, dtype=np.float32)[[_topic_of[text] for text in texts]]


def cache_for(app: App) -> SemanticCache[str]:
    """Create an empty cache that is fenced by an app."""
    from parbake_semantic.cache.semantic_cache import SemanticCache
    from parbake_semantic.policies.policy import fixed

    return SemanticCache(_Topics(), app=app, policy=lambda: fixed(SURE))
