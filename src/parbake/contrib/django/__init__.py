"""Fenced caching for Django: an app that captures models, a cache backend, a middleware and a template tag."""

from __future__ import annotations

from parbake.errors import MissingDependency

try:
    import django as _django  # noqa: F401  # only whether it is there
except ModuleNotFoundError as error:
    raise MissingDependency.of("parbake.contrib.django", "django", field="django") from error


def drain() -> None:
    """Wait until all that is committed is acknowledged, such as in a test that has written and reads a page next."""
    from parbake.contrib.django import runtime

    app = runtime.app()
    app.sync.run(app.drain())


def touch(*tags: str) -> None:
    """Raise tags of ``PARBAKE["families"]`` after a change outside of the database; durable when it returns.

    Args:
        tags: The tags, such as ``rate/EUR``.

    Raises:
        BadInput: Nothing of this project declares the family of a tag.
    """
    from parbake.contrib.django import runtime

    app = runtime.app()
    app.sync.run(app.touch(*tags))
