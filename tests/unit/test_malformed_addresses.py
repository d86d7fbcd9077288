"""No message shows a part of a password, however the address that has it is malformed."""

import contextlib
from pathlib import Path

import pytest
from tests.unit.commands import invoke

from parbake.adapters.postgresql import PostgresqlSource, migration
from parbake.errors import BadInput, ParbakeError
from parbake.stores import STORES
from parbake.values.redaction import one_line, without_credentials, without_secrets
from parbake_capture.opening import open_capture
from parbake_lab.audit.audit_client import Client
from parbake_planner.ledger.database import checked_address, database_at

S = "S3CRETpw"
BEHIND_SCHEMES = [
    f"u:{S}/y@127.0.0.1/x", f"u:y/{S}@127.0.0.1/x", f"u:1/{S}@127.0.0.1/x", f"u:{S}@[bad/x", f"u:{S}@h:port/x",
    f"u:{S}@@h/x", f"u:y@{S}@h/x", f"u:y@h/{S}@h/x", f"u:{S}?y@h/x", f"u:y?{S}@h/x", f"u:{S}?y=1@h/x", f"u:{S}#y@h/x",
    f"u:{S}%zz@h/x", f"u:{S}\n@h/x", f"u:y\n{S}@h/x", f"u:{S} y@h/x", f"u:{S}\0@h/x", f"u:[{S}@h/x",
    f"h/x?password={S}%zz", f"h/x?passwrd={S}", f"h/x?sslpassword={S}&zz=1", f"u:{S}@h:99999/x",
]  # fmt: skip
MALFORMED = [
    *(f"{scheme}://{rest}" for scheme in ("postgresql", "redis", "mysql", "https") for rest in BEHIND_SCHEMES),
    f"redis:/u:{S}@h", f"postgresql:/u:{S}@h/x", f"redis:u:{S}@h", f"u:{S}@h/x", f"u:{S}/y@h/x", f"//u:{S}@h/x",
    f" redis://u:{S}@[bad/0", f"postgresql+psycopg://u:{S}@h/x", f"host=h port=1 password = '{S}' x",
    f"host=h password='{S}", f"host=h password='y {S}", f"host=h password='y\\'{S}'x", f"password=y\\ {S} hots=1",
    f"password=y,{S} hots=1", f"password=y;{S} hots=1", f"host=h port=y password={S} x=1", f"lmdb://u:{S}@[h/x",
    f"dynamodb://u:{S}@[eu/t", f"sqlite://u:{S}@[bad/x.db", f"dbname=postgresql://u:{S}@h/x",
]  # fmt: skip


def opened_by_all(url):
    """Yield the name of whatever takes an address, and a function that opens one."""
    yield "store", lambda: STORES.open(url)
    yield "capture", lambda: open_capture(url)
    yield "migrate", lambda: migration(url)
    yield "ledger", lambda: database_at(checked_address(url))
    yield "audit", lambda: Client(url, 1.0)
    yield "source", lambda: PostgresqlSource(url, families=["f"], views=[]).read(b"", 1)


def shown_by(opened):
    """Return the text of the error that opening an address raises, or what is shown of what was opened."""
    try:
        found = opened()
    except ParbakeError as error:
        return f"{error} {one_line(error)}" if error.field else f"{S}: names no setting"
    link = getattr(getattr(found, "items", None), "_link", None)
    return str(link.address.shown if link else getattr(found, "name", ""))


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    """Let nothing connect, as nothing listens."""
    import psycopg

    def refuse(*_, **__):
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(psycopg, "connect", refuse)
    monkeypatch.setattr(psycopg.Connection, "connect", refuse)


@pytest.mark.parametrize("url", MALFORMED)
def test_no_message_shows_a_part_of_a_password(url, tmp_path, monkeypatch):
    """An address is masked, and whatever refuses it raises an error of parbake that does not quote the password."""
    monkeypatch.chdir(tmp_path)
    assert S not in without_credentials(url)
    for name, opened in opened_by_all(url):
        with contextlib.suppress(ModuleNotFoundError):
            assert S not in shown_by(opened), name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [f"cannot reach redis:/u:{S}@h", f"postgresql://u:y/{S}@h/x is gone"])
def test_no_line_shows_a_password_of_a_malformed_address(text):
    """A line of the log that quotes such an address hides the password."""
    assert S not in without_secrets(text)
    assert without_secrets("redis://u:pw@h is gone") == "redis://***@h is gone"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:pa/ss@h/db", "postgresql://***@h/db"),
        ("redis:/u:pw@h", "redis:/***@h"),
        ("u:pw@h/x", "***@h/x"),
        ("redis://h:6379?prefix=shop", "redis://h:6379?prefix=shop"),
        ("host=h password='a b' dbname=x", "host=h password=*** dbname=x"),
        ("sqlite:///shop.db", "sqlite:///shop.db"),
    ],
)
def test_an_address_keeps_what_is_no_secret(url, shown):
    """What stands before the last sign is masked, and the rest is shown."""
    assert without_credentials(url) == shown


@pytest.mark.parametrize("url", ["redis://u:pw@[bad/0", "sqlite://[bad/0", "postgresql://[bad/0"])
def test_capture_refuses_an_address_that_cannot_be_split(url):
    """The command raises an error that names the setting, and not the one of the standard library."""
    error = invoke("capture", "capture", "show", url).exception
    assert isinstance(error, ParbakeError)
    assert error.field == "DATABASE"


@pytest.mark.parametrize(
    "url", ["postgresql://u%40corp:p%40s@h:1,h2:2/a%40b", "postgresql://h/x?user=u@corp", "host=h dbname=a@b", ""]
)
def test_a_right_address_with_the_sign_is_read(url):
    """A percent-encoded sign, and one in a parameter, are no malformed password."""
    from parbake.adapters._postgresql.conninfo import parameters

    assert isinstance(parameters(url, field="x", kind=BadInput), dict)


def test_a_path_with_the_sign_is_a_path_of_a_ledger():
    """The ledger takes a path with an ``@`` for a file."""
    for path in ("data/a@b.db", "C:/Users/a@b.db", "ledger.db"):
        assert checked_address(path) == Path(path)
