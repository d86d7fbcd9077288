"""The provider's address: what it may consist of, and what of it is shown."""

import pytest
from typer.testing import CliRunner

from parbake.errors import BadInput
from parbake_proxy import Proxy
from parbake_proxy.cli.proxy_command import command


@pytest.mark.parametrize(
    "upstream",
    ["http://ann:hidden-word@provider/v1", "https://hidden-word@provider", "ann:hidden-word@provider",
     "ftp://ann:hidden-word@provider", "http://ann:hidden/word@provider/v1", "https://provider/v1?key=hidden-word",
     "https://provider/v1#hidden-word", "https://[hidden-word/v1", "https://"],
)  # fmt: skip
def test_an_address_with_credentials_is_refused_without_showing_them(upstream):
    """Callers send their own keys, and an address is shown in logs, so that it may hold no secret."""
    with pytest.raises(BadInput) as caught:
        Proxy(upstream)
    assert caught.value.field == "upstream"
    assert "hidden" not in str(caught.value)
    shown = CliRunner().invoke(command, ["--upstream", upstream, "--embedder", "none", "--port", "0"])
    assert shown.exit_code
    assert "hidden" not in shown.output


@pytest.mark.parametrize("upstream", ["http://127.0.0.1:9/v1", "https://provider.example/base/v1/", "http://[::1]:80"])
def test_a_plain_address_is_taken(upstream):
    """An address needs a host, and may have a port and a path."""
    assert Proxy(upstream)
