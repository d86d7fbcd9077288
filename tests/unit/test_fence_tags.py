"""Which tags an event raises, and which tags a read is bound by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parbake.errors import BadInput, ContractError
from parbake.protocol.tags import check_tag, family, key_from_tag, placeholders, raised_by, read_entity, read_set

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
    """An entity's event raises its tag and the any-change tag; a bulk event raises the bulk and any-change tags."""
    assert raised_by(subject, kind) == raised


@given(words, words)
def test_every_event_reaches_the_readers_it_concerns(name, other):
    """I9: a bulk event reaches every reader; an entity's event reaches readers of it and of the set only."""
    entity, bystander = f"policy/a{name}", f"policy/b{other}"
    bulk, one = set(raised_by("policy", "x.bulk")), set(raised_by(entity, "x.changed"))
    assert bulk & set(read_entity(entity))
    assert bulk & set(read_set("policy"))
    assert one & set(read_entity(entity))
    assert one & set(read_set("policy"))
    assert not one & set(read_entity(bystander))


@pytest.mark.parametrize("wrong", ["", "/x", "Policy/x", "policy/", "my policy/a", "p" * 60 + "/" + "x" * 199, "é"])
def test_a_malformed_tag_is_refused(wrong):
    """A malformed tag is refused, and the error names the field."""
    with pytest.raises(BadInput) as caught:
        check_tag(wrong, field="subject")
    assert caught.value.field == "subject"


def test_an_unknown_kind_of_event_is_refused():
    """An event type that names no known kind of change is refused."""
    with pytest.raises(BadInput) as caught:
        raised_by("policy/returns", "policy.touched")
    assert caught.value.field == "type"


@given(words)
def test_a_template_gives_back_its_key(key):
    """The key is read back from a tag that its template made; other tags give no key."""
    assert key_from_tag("user/{user}", f"user/{key}") == key
    assert key_from_tag("user/{user}", "user/*") is None
    assert key_from_tag("user/{user}", f"policy/{key}") is None
    assert key_from_tag("user/fixed", f"user/{key}") is None
    assert family(f"user/{key}") == "user"


def test_a_malformed_template_is_refused():
    """A template with an unmatched brace is refused."""
    assert placeholders("user/{user}") == ["user"]
    with pytest.raises(ContractError):
        placeholders("user/{user")
