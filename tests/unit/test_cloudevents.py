"""CloudEvents: the three content modes, and what is refused."""

import msgspec
import pytest

from parbake.errors import BadInput
from parbake.ports.cloudevents import BATCH, MAX_BATCH, STRUCTURED, parse

EVENT = {"specversion": "1.0", "id": "1", "source": "shop", "type": "policy.changed", "subject": "policy/returns"}


def structured(content=STRUCTURED, **changes):
    """Parse one structured event with some attributes changed; ``None`` leaves one out."""
    event = {k: v for k, v in (EVENT | changes).items() if v is not None}
    return parse({"content-type": content}, msgspec.json.encode(event))


@pytest.mark.parametrize("content", [STRUCTURED, "application/json", STRUCTURED + "; charset=utf-8", ""])
def test_a_structured_event_is_read(content):
    """The event is the body; data and extensions are ignored."""
    (event,) = structured(content, data={"days": 14}, traceparent="x", time="2026-01-01T00:00:00Z")
    assert (event.id, event.source) == ("1", "shop")
    assert event.tags == ("policy/returns", "policy/*")


def test_a_batch_is_read_in_order():
    """The batch mode holds many events."""
    body = msgspec.json.encode([EVENT | {"id": "1"}, EVENT | {"id": "2"}])
    assert [e.id for e in parse({"content-type": BATCH}, body)] == ["1", "2"]


def test_a_binary_event_is_read():
    """In the binary mode the attributes are headers, percent-encoded, and the body is the data."""
    headers = {f"ce-{name}": value for name, value in EVENT.items()} | {"ce-subject": "policy/caf%C3%A9"}
    (event,) = parse(headers | {"content-type": "text/plain"}, b"anything")
    assert event.subject == "policy/café"


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
    """Whatever is wrong, the error says where."""
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
    """Malformed JSON, an empty batch and an incomplete member are told apart."""
    with pytest.raises(BadInput) as caught:
        parse({"content-type": BATCH}, body)
    assert caught.value.field == field


def test_a_batch_is_bounded():
    """More events than the limit are refused as a whole."""
    body = msgspec.json.encode([EVENT] * (MAX_BATCH + 1))
    with pytest.raises(BadInput, match="1 to 1000"):
        parse({"content-type": BATCH}, body)


def test_a_binary_event_without_an_attribute_names_it():
    """A missing header is named as its attribute."""
    headers = {f"ce-{name}": value for name, value in EVENT.items() if name != "subject"}
    with pytest.raises(BadInput) as caught:
        parse(headers, b"")
    assert caught.value.field == "subject"
