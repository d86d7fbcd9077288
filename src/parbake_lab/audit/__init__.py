"""Audits running servers from outside: after each acknowledged change, every server is read."""

from parbake_lab.audit.read_judge import Expectation

__all__ = ["Expectation"]
