"""``{% load parbake %}``: a part of a template that is cached until a change of one of its tags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from hashlib import blake2b
from typing import Any
from uuid import UUID

from django.core.cache import caches
from django.template import Library, Node, TemplateSyntaxError, Variable, VariableDoesNotExist
from django.template.defaulttags import CsrfTokenNode
from django.utils.safestring import SafeData, SafeString

register = Library()
_BRACES = re.compile(r"\{([^{}]+)\}")


class FencedNode(Node):
    """The node of ``{% fenced %}``."""

    def __init__(
        self, nodes: Any, timeout: Any, name: Any, *, tags: Sequence[Any], by: Sequence[Any], cache: Any
    ) -> None:
        """Keep the parts of the tag.

        Args:
            nodes: What is rendered.
            timeout: The timeout in seconds, or ``None``.
            name: The name of the fragment.
            tags: What outdates it.
            by: What it varies by, besides its tags.
            cache: The alias of the cache.
        """
        self.nodelist = nodes
        self._timeout, self._name, self._tags, self._by, self._cache = timeout, name, tags, by, cache

    def render(self, context: Any) -> Any:
        """Return the cached fragment, or render it."""
        timeout = self._timeout.resolve(context)
        if timeout is not None:
            timeout = float(timeout)
        cache = caches[self._cache.resolve(context) if self._cache else "default"]
        tags = [_filled(str(tag.resolve(context)), context) for tag in self._tags]
        if not all(tags):  # nothing could outdate the fragment
            return self.nodelist.render(context)
        by = [_told_apart(each, context) for each in self._by]
        name = str(self._name.resolve(context))
        digest = blake2b(repr((tags, by)).encode(), digest_size=16).hexdigest()
        found = cache.get_or_set(
            f"template.fenced.{name}.{digest}",
            lambda: self.nodelist.render(context),
            timeout,
            tags=tags,
        )
        return SafeString(found)


@register.tag
def fenced(parser: Any, token: Any) -> FencedNode:
    """Cache a fragment: ``{% fenced 600 "policy" "policy/{policy.id}" by LANGUAGE_CODE %} ... {% endfenced %}``.

    After the timeout and a name stand the tags. ``{policy.id}`` in a tag is a variable of the template. What stands
    behind ``by`` tells fragments apart, and ``using="alias"`` at the end names another cache than ``default``.

    Args:
        parser: The parser.
        token: The tag.

    Raises:
        TemplateSyntaxError: There is no timeout or no name, a tag has blanks, or the fragment has a user's token.
    """
    nodes = parser.parse(("endfenced",))
    parser.delete_first_token()
    if nodes.get_nodes_by_type(CsrfTokenNode):
        raise TemplateSyntaxError(
            "{% csrf_token %} is a user's own: put it outside of {% fenced %}, which all users see"
        )
    words = token.split_contents()[1:]
    cache = None
    if words and words[-1].startswith("using="):
        cache = parser.compile_filter(words.pop()[len("using=") :])
    end = words.index("by") if "by" in words else len(words)
    if end < 2:  # noqa: PLR2004  # a timeout and a name
        raise TemplateSyntaxError('{% fenced %} needs a timeout and a name: {% fenced 600 "policy" "policy/{id}" %}')
    for word in words[2:end]:
        if re.search(r"\s", _BRACES.sub("", word)):
            raise TemplateSyntaxError(f"{{% fenced %}}: {word} has a blank: write each tag in quotes of its own")
    timeout, name, *tags = map(parser.compile_filter, words[:end])
    by = [parser.compile_filter(word) for word in words[end + 1 :]]
    return FencedNode(nodes, timeout, name, tags=tags, by=by, cache=cache)


def _filled(tag: str, context: Any) -> str:
    """Return a tag with the values of its variables; empty if one of them is.

    Raises :class:`TemplateSyntaxError` for a variable that is missing, or whose text no trigger would tell.
    """
    values = {name: _value(tag, name, context) for name in _BRACES.findall(tag)}
    return _BRACES.sub(lambda found: values[found[1]], tag) if all(values.values()) else ""


def _value(tag: str, name: str, context: Any) -> str:
    try:
        value = Variable(name).resolve(context)
    except VariableDoesNotExist as error:
        raise TemplateSyntaxError(f"{{% fenced %}}: the tag {tag!r} names {name!r}: {error}") from error
    if value is None:
        return ""
    if not isinstance(value, str | int | UUID | date):
        raise TemplateSyntaxError(
            f"{{% fenced %}}: the tag {tag!r} names {name!r}, a {type(value).__name__}: name the field that "
            f"PARBAKE names, such as {{{name}.pk}}, or {{{name}_id}} for the column of a foreign key"
        )
    return str(value)


def _told_apart(by: Any, context: Any) -> tuple[bool, str]:
    """Return what tells fragments apart; raises :class:`TemplateSyntaxError` for a variable that is missing."""
    if isinstance(by.var, Variable):
        try:
            by.var.resolve(context)
        except VariableDoesNotExist as error:
            raise TemplateSyntaxError(
                f"{{% fenced %}}: 'by {by.token}' would show one fragment to all: {error}"
            ) from error
    value = by.resolve(context)
    return isinstance(value, SafeData), str(value)
