"""Who asks: whatever may name a person keeps answers apart."""

import pytest
from tests.unit.test_proxy import KEY, front, fronted  # noqa: F401  # front is a fixture

IDENTITIES = [
    "x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-access-token",
    "x-forwarded-preferred-username", "x-auth-request-user", "x-auth-request-email", "x-amzn-oidc-identity",
    "x-amzn-oidc-data", "cf-access-authenticated-user-email", "cf-access-jwt-assertion", "remote-user", "x-remote-user",
    "x-user", "x-ms-client-principal", "x-ms-client-principal-id", "x-goog-authenticated-user-email", "x-tenant-id",
    "cookie", "proxy-authorization", "sec-user", "openai-organization", "openai-project", "anthropic-workspace",
]  # fmt: skip


@pytest.mark.parametrize("name", IDENTITIES)
async def test_a_header_with_an_identity_keeps_answers_apart(front, name):  # noqa: F811  # a fixture
    """Nobody gets the answer of another user whose name a gateway in front has put into a header."""
    outcomes = [
        (await front.chat(headers=KEY | {name: value})).headers["x-parbake-cache"] for value in ("ann", "bob", "ann")
    ]
    assert outcomes == ["miss", "miss", "hit"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("forwarded", ("for=192.0.2.1;proto=https", "for=192.0.2.1;user=ann", "for=192.0.2.1;user=bob")),
        ("baggage", ("sentry-trace_id=1,sentry-release=2", "user.id=ann,sentry-trace_id=1", "user.id=bob")),
    ],
)
async def test_a_header_of_lists_is_harmless_as_far_as_its_members_are(front, name, values):  # noqa: F811  # a fixture
    """Addresses and traces share answers; a further member, which may name a person, does not."""
    await front.chat()
    outcomes = [(await front.chat(headers=KEY | {name: value})).headers["x-parbake-cache"] for value in values]
    assert outcomes == ["hit", "miss", "miss"]


async def test_the_addresses_of_a_reverse_proxy_share_answers(front):  # noqa: F811  # a fixture
    """The four headers that a reverse proxy adds to each request do not cost hits."""
    await front.chat()
    added = {f"x-forwarded-{name}": "a" for name in ("for", "proto", "host", "port")}
    assert (await front.chat(headers=KEY | added | {"sec-fetch-mode": "cors"})).headers["x-parbake-cache"] == "hit"


FIELDS = [
    ("chat", "user", "ann", "bob"),
    ("chat", "metadata", {"user": "ann"}, {"user": "bob"}),
    ("chat", "safety_identifier", "ann", "bob"),
    ("chat", "prompt_cache_key", "ann", "bob"),
    ("message", "metadata", {"user_id": "ann"}, {"user_id": "bob"}),
]


@pytest.mark.parametrize(("way", "name", "ann", "bob"), FIELDS)
async def test_a_field_with_an_identity_keeps_answers_apart(front, way, name, ann, bob):  # noqa: F811  # a fixture
    """Nobody gets the answer of another user whose name stands in the body."""
    outcomes = [
        (await getattr(front, way)(**body)).headers["x-parbake-cache"]
        for body in ({name: ann}, {name: bob}, {}, {name: ann})
    ]
    assert outcomes == ["miss", "miss", "miss", "hit"]


@pytest.mark.parametrize(("way", "name", "ann", "bob"), FIELDS)
async def test_a_setting_lets_users_share_answers(way, name, ann, bob):
    """Whose users may share answers says so, by the name of the field."""
    async with fronted(shared_across=[name]) as found:
        outcomes = [(await getattr(found, way)(**{name: value})).headers["x-parbake-cache"] for value in (ann, bob)]
    assert outcomes == ["miss", "hit"]


async def test_the_tags_in_the_metadata_are_no_identity(front):  # noqa: F811  # a fixture
    """What the proxy takes out of the metadata does not keep answers apart by itself."""
    await front.chat(metadata={"parbake": {"tags": ["policy/returns"]}})
    assert (await front.chat()).headers["x-parbake-cache"] == "hit"
