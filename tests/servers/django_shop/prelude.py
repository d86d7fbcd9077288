"""The names that the code of a test may use."""

import contextlib
import datetime
import decimal
import threading
import time
import uuid

from django.core.cache import cache, caches
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from tests.servers.django_shop import pages
from tests.servers.django_shop.models import Note, Policy, Topic

from parbake.contrib.django import runtime

__all__ = [
    "Client", "Note", "Policy", "Topic", "acked", "cache", "caches", "call_command", "client", "connection",
    "contextlib", "datetime", "decimal", "pages", "runtime", "shown", "threading", "time", "transaction", "uuid",
]  # fmt: skip
client = Client()


def acked():
    """Wait until all that is committed is acknowledged."""
    app = runtime.app()
    app.sync.run(app.drain())


def shown(slug="returns"):
    """Return what the page of a policy shows, and whether its row was read for that."""
    pages.rendered.clear()
    text = client.get(f"/policy/{slug}").content.decode()
    return [text, bool(pages.rendered)]
