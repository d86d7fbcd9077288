"""Test helpers for users: clocks that a test controls, and in separate modules a conformance suite for each port.

Importing the clocks needs only parbake. The suites are ``stores.StoreSuite``, ``items.ItemsSuite``,
``sources.SourceSuite``, ``events.EventSourceSuite`` and ``executors.ExecutorSuite``; running them needs the extra
``testing``.
"""

from parbake.testing.clocks import FakeClock, FileClock

__all__ = ["FakeClock", "FileClock"]
