"""What holds for every test: in CI, a skipped test is a failed one."""

import os

import pytest

NO_SKIPS = os.environ.get("PARBAKE_NO_SKIPS") == "1"


def _fail_if_skipped(report):
    """Turn a skip into a failure that quotes the reason; an expected failure is none."""
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
