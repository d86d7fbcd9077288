"""Which stored answer may a question get? A cache that fills with use, questions compiled ahead, rules for matches.

The guard of replies is :mod:`parbake_semantic.guard`, which needs none of the numeric packages.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from parbake.errors import MissingDependency
from parbake_semantic.vocabulary import Vocabulary

if TYPE_CHECKING:
    from parbake_semantic.bank.compiled import Bank, Matcher, compile_bank
    from parbake_semantic.bank.explorations import Explorations
    from parbake_semantic.bank.questions import compile_questions
    from parbake_semantic.bank.reader import BankReader
    from parbake_semantic.bank.snapshot import BankReply, BankSnapshot, Explanation
    from parbake_semantic.cache.asked import Asked, Handling, Reply
    from parbake_semantic.cache.seeding import Known
    from parbake_semantic.cache.semantic_cache import SemanticCache, Statistics
    from parbake_semantic.cache.streaming import Form, Stream
    from parbake_semantic.policies.adaptive import AdaptivePolicy
    from parbake_semantic.policies.calibrate import Bound, Calibration, calibrate
    from parbake_semantic.policies.policy import CalibratedPolicy, FixedPolicy, Match, Policy, fixed
    from parbake_semantic.text.audience import Scope, Verifier
    from parbake_semantic.text.normalize import unusable
    from parbake_semantic.text.veto import VETOES, Screened, Veto, is_personal, screen, veto, vetoes_for

_LAZY = {
    "AdaptivePolicy": "parbake_semantic.policies.adaptive",
    "Asked": "parbake_semantic.cache.asked",
    "Bank": "parbake_semantic.bank.compiled",
    "BankReader": "parbake_semantic.bank.reader",
    "BankReply": "parbake_semantic.bank.snapshot",
    "BankSnapshot": "parbake_semantic.bank.snapshot",
    "Bound": "parbake_semantic.policies.calibrate",
    "CalibratedPolicy": "parbake_semantic.policies.policy",
    "Calibration": "parbake_semantic.policies.calibrate",
    "Explanation": "parbake_semantic.bank.snapshot",
    "Explorations": "parbake_semantic.bank.explorations",
    "FixedPolicy": "parbake_semantic.policies.policy",
    "Form": "parbake_semantic.cache.streaming",
    "Handling": "parbake_semantic.cache.asked",
    "Known": "parbake_semantic.cache.seeding",
    "Match": "parbake_semantic.policies.policy",
    "Matcher": "parbake_semantic.bank.compiled",
    "Policy": "parbake_semantic.policies.policy",
    "Reply": "parbake_semantic.cache.asked",
    "Scope": "parbake_semantic.text.audience",
    "Screened": "parbake_semantic.text.veto",
    "SemanticCache": "parbake_semantic.cache.semantic_cache",
    "Statistics": "parbake_semantic.cache.semantic_cache",
    "Stream": "parbake_semantic.cache.streaming",
    "VETOES": "parbake_semantic.text.veto",
    "Verifier": "parbake_semantic.text.audience",
    "Veto": "parbake_semantic.text.veto",
    "calibrate": "parbake_semantic.policies.calibrate",
    "compile_bank": "parbake_semantic.bank.compiled",
    "compile_questions": "parbake_semantic.bank.questions",
    "fixed": "parbake_semantic.policies.policy",
    "is_personal": "parbake_semantic.text.veto",
    "screen": "parbake_semantic.text.veto",
    "unusable": "parbake_semantic.text.normalize",
    "veto": "parbake_semantic.text.veto",
    "vetoes_for": "parbake_semantic.text.veto",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'parbake_semantic' has no attribute {name!r}")
    if missing := [package for package in ("numpy", "scipy") if find_spec(package) is None]:
        raise MissingDependency.of(f"parbake_semantic.{name}", "semantic", field=missing[0])
    found = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
    return found


__all__ = [
    "VETOES",
    "AdaptivePolicy",
    "Asked",
    "Bank",
    "BankReader",
    "BankReply",
    "BankSnapshot",
    "Bound",
    "CalibratedPolicy",
    "Calibration",
    "Explanation",
    "Explorations",
    "FixedPolicy",
    "Form",
    "Handling",
    "Known",
    "Match",
    "Matcher",
    "Policy",
    "Reply",
    "Scope",
    "Screened",
    "SemanticCache",
    "Statistics",
    "Stream",
    "Verifier",
    "Veto",
    "Vocabulary",
    "calibrate",
    "compile_bank",
    "compile_questions",
    "fixed",
    "is_personal",
    "screen",
    "unusable",
    "veto",
    "vetoes_for",
]  # fmt: skip
