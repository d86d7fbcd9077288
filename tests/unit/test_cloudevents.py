"""CloudEvents: the three content modes, and which events are refused."""

import msgspec
import pytest

from parbake.errors import BadInput
from parbake.ports.cloudevents import BATCH, MAX_BATCH, STRUCTURED, parse

EVENT = {"specversion": "1.0", "id": "1", "source": "shop", "type": "policy.changed", "subject": "policy/returns"}


def structured(content=STRUCTURED, **changes):
    """Parse a structured event with some attributes changed; ``None`` removes an attribute."""
    event = {k: v for k, v in (EVENT | changes).items() if v is not None}
    return parse({"content-type": content}, msgspec.json.encode(event))


@pytest.mark.parametrize("content", [STRUCTURED, "application/json", STRUCTURED + "; charset=utf-8", ""])
def test_a_structured_event_is_read(content):
    """The body is the event; its data and extensions are ignored."""
    (event,) = structured(content, data={"days": 14}, traceparent="x", time="2026-01-01T00:00:00Z")
    assert (event.id, event.source) == ("1", "shop")
    assert event.tags == ("policy/returns", "policy/*")


def test_a_batch_is_read_in_order():
    """A batch of events is read in the order of the body."""
    body = msgspec.json.encode([EVENT | {"id": "1"}, EVENT | {"id": "2"}])
    assert [e.id for e in parse({"content-type": BATCH}, body)] == ["1", "2"]


def test_a_binary_event_is_read():
    """In binary mode the attributes are percent-encoded headers, and the body is the data."""
    headers = {f"ce-{name}": value for name, value in EVENT.items()} | {"ce-subject": "policy/caf%C3%A9"}
    (event,) = parse(headers | {"content-type": "text/plain"}, b"anything")
    assert event.subject == "policy/café"


@pytest.mark.parametrize("sent", ["policy/café".encode(), b"policy/caf%C3%A9", b"policy/caf%c3\xa9"])
def test_letters_beyond_ascii_in_a_binary_event_are_utf8(sent):
    """However a client has sent the bytes of a tag, they name the tag that a structured event names."""
    headers = {f"ce-{name}": value for name, value in EVENT.items()} | {"ce-subject": sent.decode("latin-1")}
    (event,) = parse(headers, b"")
    assert event.subject == "policy/café"


@pytest.mark.parametrize("sent", ["policy/café", "policy/caf%E9", "policy/caf%C3"])
def test_a_binary_event_of_another_encoding_is_refused(sent):
    """Bytes that are not UTF-8 would raise a tag that nothing has, so they are refused by their attribute."""
    headers = {f"ce-{name}": value for name, value in EVENT.items()} | {"ce-subject": sent}
    with pytest.raises(BadInput) as caught:
        parse(headers, b"")
    assert caught.value.field == "subject"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": "x" * 1025}, "id"),
        ({"id": 7}, "id"),
        ({"source": None}, "source"),
        ({"source": ""}, "source"),
        ({"type": None}, "type"),
        ({"type": "policy.touched"}, "type"),
        ({"subject": None}, "subject"),
        ({"subject": "Policy Returns"}, "subject"),
        ({"specversion": "0.3"}, "specversion"),
    ],
)
def test_an_invalid_event_names_its_attribute(changes, field):
    """A missing or invalid attribute is refused by its name."""
    with pytest.raises(BadInput) as caught:
        structured(**changes)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"7", "body"),
        (b"[]", "body"),
        (b'[{"id":"1"}]', "[0].source"),
        (b"\xff", "body"),
    ],
)
def test_a_body_that_is_no_batch_is_refused(body, field):
    """Malformed JSON, an empty batch and an incomplete member are refused, with the place of the error."""
    with pytest.raises(BadInput) as caught:
        parse({"content-type": BATCH}, body)
    assert caught.value.field == field


def test_a_batch_is_bounded():
    """A batch with more events than the limit is refused as a whole."""
    body = msgspec.json.encode([EVENT] * (MAX_BATCH + 1))
    with pytest.raises(BadInput, match="1 to 1000"):
        parse({"content-type": BATCH}, body)


def test_a_binary_event_without_an_attribute_names_it():
    """A missing header is named as its attribute."""
    headers = {f"ce-{name}": value for name, value in EVENT.items() if name != "subject"}
    with pytest.raises(BadInput) as caught:
        parse(headers, b"")
    assert caught.value.field == "subject"
