"""Translation of a view's statement parameters for psycopg."""

import builtins
import re

import pytest

import parbake as pb
from parbake.adapters.postgresql import OUTBOX_DDL, PostgresqlSource, translate


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("SELECT :a, :b", "SELECT %(a)s, %(b)s"),
        ("SELECT :a::int", "SELECT %(a)s::int"),
        ("SELECT x::text, ':a'", "SELECT x::text, ':a'"),
        ("SELECT 'it''s :a' || :a", "SELECT 'it''s :a' || %(a)s"),
        (r"SELECT E'\':a' || :a", r"SELECT E'\':a' || %(a)s"),
        ('SELECT ":a"', 'SELECT ":a"'),
        ("SELECT 1 -- :a\n, :a", "SELECT 1 -- :a\n, %(a)s"),
        ("SELECT /* :a */ :a", "SELECT /* :a */ %(a)s"),
        ("SELECT $x$ :a $x$, :a", "SELECT $x$ :a $x$, %(a)s"),
        ("SELECT 5 % 2, '100%'", "SELECT 5 %% 2, '100%%'"),
        ("SELECT list[1:n]", "SELECT list[1:n]"),
    ],
)
def test_only_parameters_are_rewritten(written, sent):
    """Casts, literals, comments, slices and percent signs keep their meaning."""
    assert translate(written, {"a", "b"}) == sent


def test_a_missing_client_says_what_to_install(monkeypatch):
    """Without psycopg the first poll raises ``MissingDependency``, which names the extra."""
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name == "psycopg":
            raise ModuleNotFoundError(name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    source = PostgresqlSource("postgresql://", families=["fact"], views=[])
    with pytest.raises(pb.errors.MissingDependency, match=r"\.\[postgresql\]"):
        source.read(b"", 1)


def test_the_schema_of_the_outbox_is_put_once_and_into_no_literal():
    """A schema of any name is put into a body by one replacement, and never between quotes, which it could end."""
    replaced = re.findall(r"replace\([^()]*, '([A-Z]\w*\.?)', ([^()]*\([^()]*\))\)", OUTBOX_DDL)
    assert replaced == [("OWN.", "format('%I.', own)")] * 4
    blocks = [found[2] for found in re.finditer(r"\$(\w+)\$(.*?)\$\1\$", OUTBOX_DDL, re.DOTALL)]
    bodies = [found[2] for block in blocks for found in re.finditer(r"\$(\w+)\$(.*?)\$\1\$", block, re.DOTALL)]
    assert sum("OWN." in body for body in bodies) >= 5
    for body in bodies:
        without_comments = re.sub(r"--[^\n]*", "", body)
        assert [literal for literal in re.findall(r"'(?:[^']|'')*'", without_comments) if "OWN" in literal] == []
