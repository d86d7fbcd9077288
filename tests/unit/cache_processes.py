"""Processes that share a semantic cache: each is an app of its own over one store."""

from tests.unit.embedders import Words

import parbake as pb
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.testing.item_suite import DictItems
from parbake_semantic import SemanticCache, fixed

QUESTION, NEAR = "how long may topicaa be returned", "how long may topicaa be returned please"


DETAILS = [f"{first}{rest}" for first in "bdfgklmnprst" for rest in ("ona", "eri", "ulo")]


class Processes:
    """Apps over one store, each with a cache."""

    def __init__(self, store, embedder=Words, **options):
        """Share a store; ``options`` are those of the caches."""
        self._store, self._embedder = store, embedder
        self._options = {"policy": lambda: fixed(0.8)} | options
        self.apps = []

    def start(self, **options):
        """Return the cache of another process."""
        app = pb.App(pb.Registry(), store=self._store, open=["policy"])
        self.apps.append(app)
        embedder = options.pop("embedder", self._embedder)
        return SemanticCache(embedder and embedder(), app=app, **(self._options | options))

    def touch(self, *tags):
        """Acknowledge a change."""
        app = self.apps[0]
        return app.sync.run(app.touch(*tags))

    def close(self):
        """End all of them."""
        for app in self.apps:
            app.sync.close()


def on_a_server():
    """Return a store behind a network: reads of it wait."""
    return OptimisticStore(DictItems())


def ask(cache, question, value, tags=("policy/returns",), **options):
    """Ask with a given answer."""
    return cache.ask(question, lambda _: value, tags=tags, **options)
