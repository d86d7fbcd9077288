"""Holds running servers to the promise, from outside: after each acknowledged change every server is read."""

from parbake.audit.judge import Expectation

__all__ = ["Expectation"]
