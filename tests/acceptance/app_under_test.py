"""The assistant as the acceptance tests serve it: the product's own composition with a clock that tests move."""

from __future__ import annotations

import os

from parbake.http import HttpApp
from parbake.testing import FileClock
from retail_assistant.compose import http_app
from retail_assistant.http import chat_routes
from retail_assistant.model import generation
from retail_assistant.settings import from_environment

# The tests do not measure how long a reply takes, and a busy machine is slower.
generation.TIMEOUT_S = generation.TIMEOUT_WITH_TOOLS_S = 300.0
chat_routes.TIMEOUT = "5m"


def app() -> HttpApp:
    """Return the app built from the environment, like the product's entry point."""
    return http_app(from_environment(), clock=FileClock(os.environ["TEST_CLOCK"]))
