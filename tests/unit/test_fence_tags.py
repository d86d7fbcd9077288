"""Tags: what an event raises and what a read is bound by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parbake.errors import BadInput, ContractError
from parbake.fence.tags import check_tag, family, key_from_tag, placeholders, raised_by, read_entity, read_set

words = st.text("abcdefghij0123456789", min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("subject", "kind", "raised"),
    [
        ("policy/returns", "policy.changed", ("policy/returns", "policy/*")),
        ("policy/returns", "com.shop.policy.deleted", ("policy/returns", "policy/*")),
        ("policy/returns", "created", ("policy/returns", "policy/*")),
        ("policy/returns", "policy.bulk", ("policy", "policy/*")),
        ("policy", "policy.changed", ("policy", "policy/*")),
        ("policy/*", "policy.changed", ("policy", "policy/*")),
    ],
)
def test_an_event_raises_the_tags_of_its_kind(subject, kind, raised):
    """One entity raises its tag and the any-change tag; a bulk load the bulk tag and the any-change tag."""
    assert raised_by(subject, kind) == raised


@given(words, words)
def test_every_event_reaches_the_readers_it_concerns(name, other):
    """A bulk load reaches every reader; an entity's event its readers and the set's, and no other entity's (I9)."""
    entity, bystander = f"policy/a{name}", f"policy/b{other}"
    bulk, one = set(raised_by("policy", "x.bulk")), set(raised_by(entity, "x.changed"))
    assert bulk & set(read_entity(entity))
    assert bulk & set(read_set("policy"))
    assert one & set(read_entity(entity))
    assert one & set(read_set("policy"))
    assert not one & set(read_entity(bystander))


@pytest.mark.parametrize(
    "wrong", ["", "/x", "Policy/x", "policy/", "policy/a b", "policy/a\n", "policy/" + "x" * 250, "é"]
)
def test_a_malformed_tag_is_refused(wrong):
    """What is no tag is named with the field it came from."""
    with pytest.raises(BadInput) as caught:
        check_tag(wrong, field="subject")
    assert caught.value.field == "subject"


def test_an_unknown_kind_of_event_is_refused():
    """A type that says nothing about the change names the attribute."""
    with pytest.raises(BadInput) as caught:
        raised_by("policy/returns", "policy.touched")
    assert caught.value.field == "type"


@given(words)
def test_a_template_gives_back_its_key(key):
    """The key that filled a template is found in the tag; the set's tag and other families name none."""
    assert key_from_tag("user/{user}", f"user/{key}") == key
    assert key_from_tag("user/{user}", "user/*") is None
    assert key_from_tag("user/{user}", f"policy/{key}") is None
    assert key_from_tag("user/fixed", f"user/{key}") is None
    assert family(f"user/{key}") == "user"


def test_a_malformed_template_is_refused():
    """Braces must match."""
    assert placeholders("user/{user}") == ["user"]
    with pytest.raises(ContractError):
        placeholders("user/{user")
