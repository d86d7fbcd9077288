"""Reading a log as text: packed with gzip or not, in parts, and with errors that name the file."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from parbake.errors import BadInput

_GZIP = b"\x1f\x8b"


class LogFile:
    """An open log.

    Args:
        raw: The file as it is stored.
        content: The same, unpacked.
    """

    def __init__(self, raw: BinaryIO, content: BinaryIO) -> None:
        self._raw, self._content = raw, content
        self._text: io.TextIOWrapper | None = None
        self.size = os.fstat(raw.fileno()).st_size

    def done(self) -> int:
        """The stored bytes that have been read."""
        return self._raw.tell()

    def head(self, size: int) -> bytes:
        """The first bytes without a byte order mark, before anything else is read."""
        found = self._content.read(size)
        self._content.seek(0)
        return found.removeprefix(codecs.BOM_UTF8)

    def text(self) -> TextIO:
        """The text, in UTF-8, with line ends as they are."""
        self._text = io.TextIOWrapper(self._content, encoding="utf-8-sig", newline="")
        return self._text

    def release(self) -> None:
        """Leave the closing to who has opened the file."""
        if self._text is not None:
            self._text.detach()

    def lines(self, longest: int) -> Iterator[bytes | None]:
        """Yield each line; ``None`` stands for a line of more bytes than ``longest``."""
        while line := self._content.readline(longest):
            if len(line) < longest or line.endswith(b"\n"):
                yield line
                continue
            while (rest := self._content.readline(longest)) and not rest.endswith(b"\n"):
                pass
            yield None


@contextmanager
def opened(path: Path, *, field: str) -> Iterator[LogFile]:
    """Open a log for the time of a ``with``.

    Args:
        path: The file; it may be packed with gzip.
        field: What the file is, for errors.

    Raises:
        BadInput: The file cannot be opened, unpacked or read as text, also later on.
    """
    try:
        with path.open("rb") as raw:
            if not raw.seekable():
                raise BadInput(f"{path}: a pipe cannot be read twice; write it to a file first", field=field)
            is_packed = raw.peek(2).startswith(_GZIP)
            file = LogFile(raw, io.BufferedReader(gzip.GzipFile(fileobj=raw)) if is_packed else raw)
            try:
                yield file
            finally:
                file.release()
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: {getattr(error, 'strerror', None) or error}", field=field) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: not a text file of rows in UTF-8 ({error})", field=field) from error
