"""Each parameter of a task has exactly one role."""

from typing import Annotated

import pytest

import parbake as pb
from parbake.tasks.parameters import inspect_roles
from parbake.tasks.roles import Role


def test_roles_are_read_from_the_signature():
    """Roles follow from markers, defaults and the first position; types come without their markers."""

    def fn(key: str, *, view: pb.Source[pb.View], word: pb.Live[int] = 3, llm: pb.Resource[bytes] = pb.GIVEN) -> float:
        return 0.0

    parameters, returned = inspect_roles(fn, first=Role.KEY)
    assert [(p.name, p.role, p.type, p.optional) for p in parameters] == [
        ("key", Role.KEY, str, False),
        ("view", Role.SOURCE, pb.View, False),
        ("word", Role.LIVE, int, True),
        ("llm", Role.RESOURCE, bytes, True),
    ]
    assert returned is float


def no_role(key: str, *, other: str) -> str:
    """A parameter without a role."""


def no_hint(key: str, *, other) -> str:
    """A parameter without an annotation."""


def two_roles(key: str, *, other: Annotated[str, Role.LIVE, Role.SOURCE]) -> str:
    """A parameter with two roles."""


def no_return(key: str, *, other: pb.Live[str]):
    """A function without a return type."""


@pytest.mark.parametrize(
    ("fn", "field", "words"),
    [
        (no_role, "other", "no role"),
        (no_hint, "other", "no annotation"),
        (two_roles, "other", "two roles"),
        (no_return, "return", "return type"),
    ],
)
def test_a_parameter_without_exactly_one_role_is_refused(fn, field, words):
    """The error names the parameter."""
    with pytest.raises(pb.errors.RoleError, match=words) as caught:
        inspect_roles(fn, first=Role.KEY)
    assert caught.value.field == field


def test_unresolvable_annotations_are_refused():
    """An annotation that cannot be resolved at run time is refused."""

    def fn(key: "Nowhere") -> str:  # noqa: F821 - the name is missing on purpose
        return key

    with pytest.raises(pb.errors.RoleError, match="Nowhere"):
        inspect_roles(fn, first=Role.KEY)


def test_an_artifact_begins_with_its_key():
    """An artifact without a key is refused."""
    tasks = pb.Registry()
    decorate = tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Refuse(), owner="t")

    def keyless() -> str:
        return ""

    with pytest.raises(pb.errors.RoleError) as caught:
        decorate(keyless)
    assert caught.value.field == "key"
