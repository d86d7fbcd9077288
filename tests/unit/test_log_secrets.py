"""What lines of the log do not show, and how many lines clients can cause."""

import logging
import sys

import pytest

from parbake.cli.support.log_lines import JsonLines, Lines
from parbake.http.line_limit import LineLimit
from parbake.values.redaction import conceal_environment
from parbake.values.secret_settings import secret_of


def record_of(error):
    """Return the record of a caught error."""
    try:
        raise error
    except RuntimeError:
        return logging.LogRecord("app", logging.ERROR, __file__, 1, "it failed", (), sys.exc_info())


def fail():
    """Raise an error from a line that has a secret."""
    return dict(api_key="swordfish-in-a-line")["nothing"]  # noqa: C408  # the line is what the test is about


@pytest.mark.parametrize("formatter", [Lines(), JsonLines()], ids=["text", "json"])
@pytest.mark.parametrize(
    "text",
    [
        "401 for Bearer hidden-0123456789",
        "no such key sk-hidden-0123456789abcdef",
        "cannot reach postgresql://ana:hidden@db/shop",
        "redis://:hidden@cache:6379 is gone",
        "refused: api_key='hidden'",
        "first line\npassword: hidden\nlast line",
    ],
)
def test_a_secret_in_an_error_is_not_logged(formatter, text):
    """A line of the log hides each secret, and keeps the other words."""
    line = formatter.format(record_of(RuntimeError(text)))
    assert "hidden" not in line
    assert "RuntimeError" in line


def test_a_secret_in_a_source_line_of_a_traceback_is_not_logged():
    """The traceback names the function, without the value that its source line gives a key."""
    try:
        fail()
    except KeyError:
        record = logging.LogRecord("app", logging.ERROR, __file__, 1, "it failed", (), sys.exc_info())
    line = Lines().format(record)
    assert "in fail" in line
    assert "swordfish" not in line


def test_secrets_of_the_settings_are_not_logged_in_any_form(tmp_path):
    """What the environment or a file of a secret holds is hidden in each line, also in one without an error."""
    (tmp_path / "token").write_text("from-a-file-0815\n")
    secret_of({"SHOP_TOKEN_FILE": str(tmp_path / "token")}, "SHOP_TOKEN")
    conceal_environment({"SHOP_API_KEY": "of-the-environment", "SHOP_NAME": "corner shop"})
    text = "corner shop: from-a-file-0815, of-the-environment"
    assert Lines().format(logging.makeLogRecord({"msg": text})) == "corner shop: ***, ***"


def test_an_error_among_the_arguments_is_hidden_like_a_raised_one():
    """A message that quotes an error has no secret of it, and one that quotes none stays as it is."""
    words = {"msg": "it failed: %s", "args": (ValueError("password=hidden"),)}
    assert Lines().format(logging.makeLogRecord(words)) == "it failed: password=***"
    assert Lines().format(logging.makeLogRecord({"msg": "session: 12 h"})) == "session: 12 h"


def test_malformed_requests_are_logged_once_a_minute_with_their_number():
    """One line of a kind passes in a minute, the next one tells how many were left out, and errors all pass."""
    now = [0.0]
    limit = LineLimit(lambda: now[0])

    def passed(message, level=logging.WARNING):
        record = logging.makeLogRecord({"msg": message, "levelno": level})
        return record.getMessage() if limit.filter(record) else None

    told = [passed("Invalid HTTP request received.") for _ in range(1_000)]
    assert [line for line in told if line] == ["Invalid HTTP request received."]
    assert passed("Unsupported upgrade request.")
    assert passed("it broke", logging.ERROR) == passed("it broke", logging.ERROR) == "it broke"
    now[0] = 60.0
    assert passed("Invalid HTTP request received.").endswith("(999 more like it since the last such line)")
