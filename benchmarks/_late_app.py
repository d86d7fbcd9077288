"""The assistant on a clock that the benchmark of starts moves."""

from __future__ import annotations

import os

from parbake.http import HttpApp
from parbake.testing import FileClock
from retail_assistant.compose import http_app
from retail_assistant.settings import from_environment


def app() -> HttpApp:
    """The app built from the environment."""
    return http_app(from_environment(), clock=FileClock(os.environ["BENCH_CLOCK"]))
