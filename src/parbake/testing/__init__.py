"""Test helpers for users: clocks that a test moves, and in modules of their own a conformance suite for each port.

Importing the clocks needs nothing but parbake. The suites are ``stores.StoreSuite``, ``items.ItemsSuite``,
``sources.SourceSuite``, ``events.EventSourceSuite`` and ``executors.ExecutorSuite``; running them needs the extra
``testing``.
"""

from parbake.testing.clocks import FakeClock, FileClock

__all__ = ["FakeClock", "FileClock"]
