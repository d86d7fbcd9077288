"""Public test helpers: clocks that tests move, and conformance suites per port."""

from parbake.testing.clocks import FakeClock, FileClock

__all__ = ["FakeClock", "FileClock"]
