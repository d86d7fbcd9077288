"""Rules for every test: how tests are grouped for two processes, and that in CI a skipped test fails."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

NO_SKIPS = os.environ.get("PARBAKE_NO_SKIPS") == "1"
TIERS = Path(__file__).parent
FIRST = ("simulation", "acceptance", "servers", "browser")
"""The tiers that take longest, longest first."""

# No test makes a secret in the home of whoever runs it.
os.environ.setdefault("PARBAKE_SESSION_SECRET", "a secret of tests, which signs their sessions")

# Its limits on the time of an example hold for no machine that is busy.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in a hook of its own
def pytest_collection_modifyitems(items):
    """Group tests for two processes: tests that share a prepared shop stay together, the rest by file.

    The long ones begin first, so that neither process waits for the other at the end.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=lambda item: (not _is_slowest(item), not _is_long_search(item), _rank(_tier(item))))


def _group(item):
    tier = _tier(item)
    if _is_long_search(item):
        return item.callspec.id
    if tier == "acceptance":  # a shop is prepared on each kind of store
        return f"{tier} on {item.callspec.params.get('store', 'lmdb') if hasattr(item, 'callspec') else 'lmdb'}"
    if tier == "installed":  # tests of one demo stay together; each other test makes its own environment
        return f"demo {item.callspec.params['demo']}" if "demo" in item.fixturenames else item.nodeid
    return tier if tier == "browser" else item.nodeid.partition("::")[0]


def _tier(item):
    return item.path.relative_to(TIERS).parts[0] if item.path.is_relative_to(TIERS) else ""


def _rank(tier):
    return FIRST.index(tier) if tier in FIRST else len(FIRST)


def _is_slowest(item):
    """The stand-in for DynamoDB answers one request at a time, and one process waits for it."""
    return _group(item) == "acceptance on dynamodb"


def _is_long_search(item):
    return _tier(item) == "simulation" and "fresh_histories" in item.name


def _fail_if_skipped(report):
    """Turn a skip into a failure with its reason; an expected failure is not a skip."""
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, and PARBAKE_NO_SKIPS=1 allows no skip. {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Apply the rule to a test and to its fixtures."""
    return _fail_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    """Apply the rule to a module that skips itself."""
    return _fail_if_skipped((yield))
