"""The assistant as the acceptance tests serve it: the product's own composition, on a clock that tests move."""

from __future__ import annotations

import os

import parbake as pb
from parbake.testing import FileClock
from retail_assistant.compose import http_app
from retail_assistant.settings import from_environment


def app() -> pb.HttpApp:
    """Built from the environment, like the product's own entry point."""
    return http_app(from_environment(), clock=FileClock(os.environ["TEST_CLOCK"]))
