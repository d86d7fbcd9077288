"""Policy texts: sections, placeholders and facts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assistant.shop import policies, queries, records
from retail_assistant.shop.bills import EXPRESS_FREE
from retail_assistant.shop.errors import BadValue
from retail_assistant.shop.policies import Policy, render_policy


def test_facts_are_filled_in(shop):
    """Rendering fills the facts into the text, amounts with two decimals unless whole."""
    sections = {s.id: s.text for s in render_policy(queries.get_policy(shop, "returns"))}
    assert sections["return-window"].startswith("You can return a book within 30 days of delivery.")
    assert "€2.90" in sections["return-shipping-cost"]


def test_slots_stay_typed(shop):
    """With ``slots=True`` each fact stays a slot with its policy and name."""
    section = render_policy(queries.get_policy(shop, "returns"), slots=True)[0]
    assert "within {{policy:returns.window_days}} days" in section.text


def test_a_changed_fact_and_clause_show(shop, now):
    """The rendered text has the new facts and words only."""
    policy = queries.get_policy(shop, "returns")
    body = policy.body.replace("counts as day zero", "is not counted")
    records.put_policy(shop, "returns", facts={"window_days": 21}, body=body, now=now)
    text = render_policy(queries.get_policy(shop, "returns"))[0].text
    assert "21 days" in text
    assert "is not counted" in text
    assert "30" not in text


def test_a_policy_reads_as_it_stands_however_often_it_was_read(shop, now):
    """A policy's text follows each change of a fact, also back to an earlier value."""
    texts = []
    for days in (45, 30, 45):
        records.put_policy(shop, "returns", facts={"window_days": days}, now=now)
        texts.append(queries.get_policy(shop, "returns").text)
    assert "within 45 days" in texts[0]
    assert "within 30 days" in texts[1]
    assert texts[2] == texts[0]


@pytest.mark.parametrize(
    ("facts", "found"),
    [({"days": 30}, 30), ({"days": 2.5}, 2.5), ({"days": 0}, 0), ({"days": "30"}, None), ({"days": True}, None),
     ({}, None)],
)  # fmt: skip
def test_a_number_is_only_what_is_stated_as_one(facts, found):
    """A fact that is text, a yes or a no, or is not stated, is not a number."""
    assert Policy("p", "P", "", facts, 0.0).number("days") == found


def test_a_fact_is_found_in_the_first_policy_that_states_it(shop, now):
    """Of several policies the first by id counts, and for a fact that nobody states there is none."""
    assert queries.stating(shop, "window_days").id == "returns"
    shop.execute("INSERT INTO policies VALUES ('a', 'A', '{window_days}', '{\"window_days\": 3}', ?)", (now,))
    assert queries.stating(shop, "window_days").number("window_days") == 3
    assert queries.stating(shop, "nosuch") is None


def test_every_policy_is_well_formed(shop):
    """All twelve policies have 4 to 7 sections, and placeholders and facts match."""
    every = queries.list_policies(shop)
    assert len(every) == 12
    for policy in every:
        sections = render_policy(policy)
        assert 4 <= len(sections) <= 7
        assert all(s.text and "{" not in s.text for s in sections)
        assert set(re.findall(r"\{(\w+)\}", policy.body)) == set(policy.facts) - {EXPRESS_FREE}


def test_the_return_time_is_stated_once(shop):
    """Only the policy on returns states its 30 or 14 days."""
    for policy in queries.list_policies(shop):
        text = " ".join(s.text for s in render_policy(policy))
        if policy.id != "returns":
            assert not re.search(r"\b(30|14) days", text)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("within {nosuch} days", "{nosuch}"),
        ("within { window_days } days", "window_days"),
        ("a stray { brace", "brace"),
        ("a slot {{price:B000001}}", "price:B000001"),
        ("## Twice\na\n## Twice\nb", "'twice'"),
        ("## Only a heading", "section"),
    ],
)
def test_bad_body_is_named(body, message):
    """A body that cannot be rendered is refused, and the error names the reason."""
    with pytest.raises(BadValue) as caught:
        policies.check_body("Returns", body, {"window_days": 30})
    assert message in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1], "a{b", "x" * 201])
def test_bad_fact_is_named(value):
    """A fact that is not a scalar, not finite, too long or has braces is refused by name."""
    with pytest.raises(BadValue) as caught:
        policies.check_facts({"window_days": value})
    assert caught.value.field == "facts.window_days"


def test_literal_numbers_are_allowed():
    """A body may have literal numbers, and text before the first heading is under the policy's title."""
    policy = Policy("x", "My policy", "Wait 3 days.\n## More\nThen {n}.", {"n": True}, 0.0)
    policies.check_body(policy.title, policy.body, policy.facts)
    assert [(s.id, s.text) for s in render_policy(policy)] == [("my-policy", "Wait 3 days."), ("more", "Then yes.")]


@given(
    st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), st.integers() | st.booleans(), max_size=4),
    st.text(max_size=80),
)
def test_what_is_accepted_can_be_rendered(facts, noise):
    """Every body that passes the checks renders with and without slots, without a brace left."""
    body = "## Facts\n" + " ".join(f"{{{name}}}" for name in facts) + "\n" + noise
    try:
        policies.check_body("T", body, policies.check_facts(facts))
    except BadValue:
        return
    policy = Policy("p", "T", body, facts, 0.0)
    assert all("{" not in s.text for s in render_policy(policy))
    assert len(render_policy(policy, slots=True)) == len(render_policy(policy))
