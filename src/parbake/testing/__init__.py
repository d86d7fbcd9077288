"""Public test helpers: clocks that tests move, and conformance suites per port."""

from parbake.testing.clocks import FakeClock, FileClock
from parbake.testing.events import EventBackend, EventSourceSuite
from parbake.testing.executors import ExecutorSuite
from parbake.testing.items import DictItems, ItemsSuite
from parbake.testing.sources import Backend, SourceSuite
from parbake.testing.stores import StoreSuite, make_record

__all__ = [
    "Backend", "DictItems", "EventBackend", "EventSourceSuite", "ExecutorSuite", "FakeClock", "FileClock", "ItemsSuite",
    "SourceSuite", "StoreSuite", "make_record",
]  # fmt: skip
