"""The llama.cpp engine in this process: chat, tokens, and the files of its slots.

The engine always listens on a socket or port. It gets a socket in a folder that only this user can open, and a random
key. Slots and tokens can be reached only there; replies are streamed in process.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import json
import os
import platform
import secrets
import shutil
import socket
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from parbake.errors import MissingDependency, ProviderError

_LOOPBACK = "127.0.0.1"
_LOCAL_CALL_S = 30.0
"""Time limit of a call that tokenizes, saves or restores, in seconds."""
_LONGEST_SOCKET = 100
"""Limit of a socket's path in bytes; systems allow 104 or 108."""
Put = Callable[[Any], bool]
"""Called with each chunk of a reply; returns whether to stop."""


class LlamaEngine:
    """A loaded model with a number of slots. Every method blocks; one thread at a time may call them.

    ``folder`` is private to this user, and is deleted with the engine.
    """

    def __init__(self, model: Path, *, threads: int, context: int, slots: int) -> None:
        """Load the model.

        Args:
            model: The GGUF file.
            threads: How many cores the model may use.
            context: The greatest number of tokens of one slot.
            slots: How many conversations the engine holds at once.

        Raises:
            MissingDependency: The engine is not installed, or the processor cannot run it.
        """
        check_cpu()
        try:
            xllamacpp: Any = importlib.import_module("xllamacpp")
        except ModuleNotFoundError as error:
            raise MissingDependency.of("the local model", "llama", field="xllamacpp") from error
        self.version = str(getattr(xllamacpp, "__version__", ""))
        self._key = secrets.token_urlsafe(32)
        self.folder = Path(tempfile.mkdtemp(prefix="parbake-"))  # only this user can open it
        self._close = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_ctx, params.n_parallel, params.verbosity = context * slots, slots, -1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.warmup = False
        params.cache_ram_mib = 0  # no copies of old prompts (4.5 MB a conversation); the slots keep theirs
        params.endpoint_slots, params.slot_save_path = True, f"{self.folder}/"
        params.api_keys = [self._key]
        params.hostnames = [listening_at(str(self.folder))]
        self._server: Any = xllamacpp.Server(params)
        self._address = str(self._server.listening_address).removeprefix("unix://")

    def chat(self, body: Mapping[str, Any], put: Put) -> None:
        """Answer a chat; ``put`` gets each chunk, and ends the reply by returning ``True``."""
        self._server.handle_chat_completions(dict(body), put)

    def prefill(self, tokens: Sequence[int], slot: int) -> None:
        """Compute some tokens in a slot, without generating any."""
        body = {"prompt": list(tokens), "n_predict": 0, "id_slot": slot, "cache_prompt": True}
        self._server.handle_completions(body, lambda _: False)

    def tokens(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The tokens of a chat, as the model's own template writes it."""
        prompt = self._call("/apply-template", {"messages": list(messages)})["prompt"]
        return self.tokens_of_text(prompt)

    def tokens_of_text(self, text: str, *, begins: bool = True) -> list[int]:
        """The tokens of a text that the template or the model has written; ``begins`` says whether a prompt does so."""
        body = {"content": text, "parse_special": begins, "add_special": begins}
        found: list[int] = self._call("/tokenize", body)["tokens"]
        return found

    def save(self, slot: int, path: Path) -> None:
        """Write what a slot holds to a file."""
        name = secrets.token_hex(8)
        self._call(f"/slots/{slot}?action=save", {"filename": name})
        shutil.move(self.folder / name, path)

    def restore(self, slot: int, path: Path) -> int:
        """Load a slot from a file; returns the number of tokens. Raises :class:`ProviderError` for another's file."""
        link = self.folder / secrets.token_hex(8)
        link.symlink_to(path.resolve())
        try:
            return int(self._call(f"/slots/{slot}?action=restore", {"filename": link.name})["n_restored"])
        finally:
            link.unlink()

    def close(self) -> None:
        """Remove the engine's socket and end it."""
        self._server = None
        self._close()

    def _call(self, path: str, body: Mapping[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        with contextlib.closing(self._connection()) as connection:
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            document = json.loads(answer.read() or b"null")
        if answer.status != http.HTTPStatus.OK:
            raise ProviderError(f"the local model refused {path.partition('?')[0]}: {said(document)}", field="llama")
        return document

    def _connection(self) -> http.client.HTTPConnection:
        if not self._address.startswith("/"):
            host, _, port = self._address.removeprefix("http://").rpartition(":")
            return http.client.HTTPConnection(host, int(port), timeout=_LOCAL_CALL_S)
        connection = http.client.HTTPConnection("localhost", timeout=_LOCAL_CALL_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(_LOCAL_CALL_S)
        connection.sock.connect(self._address)
        return connection


def listening_at(folder: str, system: str = os.name) -> str:
    """Choose where the engine listens: a socket in a folder, or a free loopback port if that is impossible.

    Args:
        folder: The folder for the socket.
        system: The kind of operating system, as in :data:`os.name`.

    Returns:
        The path of a Unix socket, or the loopback address if the system has none or the path is too long.
    """
    path = f"{folder}/engine.sock"
    return path if system == "posix" and len(os.fsencode(path)) <= _LONGEST_SOCKET else _LOOPBACK


def check_cpu() -> None:
    """Raise :class:`MissingDependency` on a processor without AVX2, which the prebuilt engine needs on x86_64."""
    info = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and info.is_file() and " avx2" not in info.read_text():
        raise MissingDependency("this processor has no AVX2, which the local model engine needs", field="cpu")


def said(error: Any) -> Any:
    """The message of an error that the engine reports."""
    inner = error.get("error", error) if isinstance(error, dict) else error
    return (inner.get("message") if isinstance(inner, dict) else None) or inner
