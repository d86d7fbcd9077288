"""The names that the code of a test may use."""

import contextlib
import datetime as dt
import decimal
import io
import os
import threading
import time
import uuid

import asgiref.sync
from django.conf import settings
from django.core.cache import cache, caches
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import F
from django.test import AsyncClient, Client, override_settings
from tests.servers.django_shop import pages
from tests.servers.django_shop.models import Note, Policy, Topic

import parbake
from parbake.contrib.django import project, runtime
from parbake.errors import BadInput

__all__ = [
    "AsyncClient", "BadInput", "Client", "CommandError", "F", "Note", "Policy", "Topic", "acked", "asgiref", "cache",
    "caches", "call_command", "client", "connection", "contextlib", "decimal", "dt", "os", "override_settings", "pages",
    "parbake", "project", "runtime", "settings", "shown", "threading", "time", "told", "transaction", "uuid",
]  # fmt: skip
client = Client()


def acked():
    """Wait until all that is committed is acknowledged."""
    parbake.contrib.django.drain()


def told(*words, **named):
    """Return what a command of the project prints, or its error."""
    out = io.StringIO()
    try:
        call_command(*words, stdout=out, **named)
    except CommandError as error:
        return str(error)
    return out.getvalue()


def shown(slug="returns"):
    """Return what the page of a policy shows, and whether its row was read for that."""
    pages.rendered.clear()
    text = client.get(f"/policy/{slug}").content.decode()
    return [text, bool(pages.rendered)]
