"""Semantic matching: a question bank, a cache that fills with use, and rules for when a match may be served."""

from importlib.util import find_spec

from parbake.errors import MissingDependency

if missing := [name for name in ("numpy", "scipy") if find_spec(name) is None]:
    raise MissingDependency.of("parbake.semantic", "semantic", field=missing[0])

from parbake.semantic.bank.compiled import Bank, Matcher, compile_bank
from parbake.semantic.bank.explorations import Explorations
from parbake.semantic.bank.question_bank import QuestionBank
from parbake.semantic.bank.snapshot import BankReply, BankSnapshot, Explanation
from parbake.semantic.cache.semantic_cache import Reply, SemanticCache
from parbake.semantic.policies.adaptive import AdaptivePolicy
from parbake.semantic.policies.calibrate import Bound, Calibration, calibrate
from parbake.semantic.policies.policy import CalibratedPolicy, FixedPolicy, Match, Policy, fixed
from parbake.semantic.text.audience import Scope, Verifier
from parbake.semantic.text.normalize import unusable
from parbake.semantic.text.veto import VETOES, Screened, Veto, is_personal, screen, veto

__all__ = [
    "VETOES",
    "AdaptivePolicy",
    "Bank",
    "BankReply",
    "BankSnapshot",
    "Bound",
    "CalibratedPolicy",
    "Calibration",
    "Explanation",
    "Explorations",
    "FixedPolicy",
    "Match",
    "Matcher",
    "Policy",
    "QuestionBank",
    "Reply",
    "Scope",
    "Screened",
    "SemanticCache",
    "Verifier",
    "Veto",
    "calibrate",
    "compile_bank",
    "fixed",
    "is_personal",
    "screen",
    "unusable",
    "veto",
]  # fmt: skip
