"""What signs sessions: where the secret comes from, who shares it, and what a copy of the file of keys is worth."""

import hmac
import stat
import subprocess
import sys

import pytest

import parbake as pb
from parbake.http.access.callers import SESSION, SESSION_S, Callers
from parbake.http.access.key_file import KeyFile
from parbake.http.access.session_secrets import read_secret, share_secret
from parbake.testing import FakeClock

TOKEN = "correct-horse-battery"
READ = "import os; from parbake.http.access.session_secrets import read_secret; print(read_secret(os.environ).hex())"


@pytest.fixture
def clock():
    """Return the clock of the server."""
    return FakeClock()


def forged(secret, identity, until, key_hash):
    """Return the cookies that somebody could make who has a secret, in the forms that were ever signed."""
    for text in (f"{SESSION} {identity} {until}", f"{SESSION} {identity} {until} {key_hash}"):
        yield f"{identity}.{until}.{hmac.digest(secret, text.encode(), 'sha256').hex()}"


def test_a_copy_of_the_file_of_keys_signs_no_session(tmp_path, clock):
    """What the file of keys holds opens nothing, neither until an hour from now nor until 2058."""
    keys = KeyFile(tmp_path / "keys.json", clock.now)
    keys.add("lead", ["operate"])
    (key,) = keys.read()
    callers = Callers(None, str(keys.path), now=clock.now, session_secret=lambda: b"s" * 32)
    for until in (int(clock.now()) + 3600, 2_800_000_000):
        for cookie in forged(bytes.fromhex(key.sha256), key.id, until, key.sha256):
            assert not callers.of({"cookie": f"{SESSION}={cookie}"}).may("operate")


def test_a_session_that_would_last_longer_than_one_lasts_is_refused(tmp_path, clock):
    """Also a cookie with a right signature opens nothing if it ends later than any that a server gives now."""
    early = Callers(TOKEN, now=clock.now, session_secret=lambda: b"s" * 32)
    late = Callers(TOKEN, now=lambda: clock.now() + 120, session_secret=lambda: b"s" * 32)
    cookie = early.sign_in(TOKEN)
    assert int(cookie.split(".")[1]) == int(clock.now()) + SESSION_S
    assert late.of({"cookie": f"{SESSION}={cookie}"}).may("operate")
    assert not early.of({"cookie": f"{SESSION}={late.sign_in(TOKEN)}"}).may("operate")


def test_servers_with_one_secret_accept_sessions_of_each_other(clock):
    """A session opens the same at another server with the secret, and nothing at one with another secret."""
    first, second, stranger = (
        Callers(TOKEN, now=clock.now, session_secret=lambda secret=secret: secret) for secret in (b"a", b"a", b"b")
    )
    session = {"cookie": f"{SESSION}={first.sign_in(TOKEN)}"}
    assert second.of(session).may("operate")
    assert not stranger.of(session).may("operate")


def test_processes_that_start_together_agree_on_the_file_that_they_make(tmp_path):
    """Eight processes without a secret all read the same one, and nobody else can read its file."""
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path), "XDG_STATE_HOME": str(tmp_path / "state")}
    started = [
        subprocess.Popen([sys.executable, "-c", READ], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(8)
    ]
    secrets = {process.communicate(timeout=60)[0].strip() for process in started}
    path = tmp_path / "state" / "parbake" / "session.key"
    assert secrets == {path.read_bytes().hex()}
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    assert [file.name for file in path.parent.iterdir()] == ["session.key"]


def test_the_environment_brings_the_secret_or_names_its_file(tmp_path):
    """The variable wins over the file of the user; a file that is named is made; a service has its own folder."""
    home = {"XDG_STATE_HOME": str(tmp_path)}
    assert read_secret({**home, "PARBAKE_SESSION_SECRET": "x" * 16}) == b"x" * 16
    named = tmp_path / "of" / "sessions.key"
    assert read_secret({**home, "PARBAKE_SESSION_SECRET_FILE": str(named)}) == named.read_bytes()
    service = tmp_path / "service"
    assert read_secret({**home, "STATE_DIRECTORY": f"{service}:/other"}) == (service / "session.key").read_bytes()
    assert not (tmp_path / "parbake").exists()


@pytest.mark.parametrize(
    "environment",
    [
        {"PARBAKE_SESSION_SECRET": "short"},
        {"PARBAKE_SESSION_SECRET": ""},
        {"PARBAKE_SESSION_SECRET": "x" * 16, "PARBAKE_SESSION_SECRET_FILE": "/etc/hostname"},
        {"PARBAKE_SESSION_SECRET_FILE": "/dev/null/secret"},
        {"PARBAKE_SESSION_SECRET_FILE": "/dev/null"},
    ],
    ids=["short", "empty", "two", "cannot be made", "empty file"],
)
def test_a_secret_that_cannot_be_used_is_refused(environment):
    """A secret that is short, doubly set or in a place where no file can be is an error."""
    with pytest.raises(pb.BadInput):
        read_secret(environment)


def test_a_server_without_a_place_for_the_secret_says_what_that_means(caplog):
    """It signs with a secret of its own, and the log names the setting; one for all its processes is shared."""
    environment = {"XDG_STATE_HOME": "/dev/null"}
    assert read_secret(environment) != read_secret(environment)
    assert "set PARBAKE_SESSION_SECRET_FILE" in caplog.text
    share_secret(environment)
    assert read_secret(environment) == read_secret(environment)
