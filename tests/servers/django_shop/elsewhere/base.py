"""A database of a kind that parbake does not know."""

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    """SQLite under another name."""

    vendor = "elsewhere"
