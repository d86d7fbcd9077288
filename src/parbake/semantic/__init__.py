"""Semantic matching: a bank of questions, when a match may be served, and when it must not be."""

from parbake.semantic.bank import Bank, Matcher, compile_bank
from parbake.semantic.policy import FixedPolicy, Match
from parbake.semantic.veto import veto

__all__ = ["Bank", "FixedPolicy", "Match", "Matcher", "compile_bank", "veto"]
