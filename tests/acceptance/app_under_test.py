"""The assistant as the acceptance tests serve it: the product's own composition, on a clock that tests move."""

from __future__ import annotations

import os

from parbake.http import HttpApp
from parbake.testing import FileClock
from retail_assistant.chat import generation
from retail_assistant.compose import http_app
from retail_assistant.http import chat
from retail_assistant.settings import from_environment

# How long a person waits for a reply is not what these tests are about; a busy machine takes longer.
generation.TIMEOUT_S, chat.TIMEOUT = 300.0, "5m"


def app() -> HttpApp:
    """Built from the environment, like the product's own entry point."""
    return http_app(from_environment(), clock=FileClock(os.environ["TEST_CLOCK"]))
