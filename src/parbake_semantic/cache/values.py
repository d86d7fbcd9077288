"""How the answers of a cache are stored: as msgpack, of a declared type or of those that msgpack knows."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from parbake.values.codecs.value_types import check_value_type, form_of
from parbake.values.codecs.wire_shape import wire_text

_log = logging.getLogger(__name__)


class Values:
    """Encodes and decodes the answers of a cache."""

    def __init__(self, kind: Any = None) -> None:
        """Store values of a type; ``None`` stands for everything that msgpack returns as it was.

        Raises:
            DeclarationError: Values of the type cannot be stored.
        """
        self._is_typed = kind is not None
        if self._is_typed:
            check_value_type("answers", kind)
        self.shape = wire_text(kind) if self._is_typed else ""
        """Describes the stored form. Values of another one are kept apart."""
        self._form = form_of(kind if self._is_typed else Any)
        self._has_warned = False

    def decode(self, raw: bytes) -> Any:
        """Decode a value; raises :class:`msgspec.DecodeError` for bytes that do not fit."""
        return self._form.decode(raw)

    def encode(self, value: Any) -> msgspec.Raw | None:
        """Encode a value; ``None``, and once a line in the log, for one that would not come back as it was."""
        try:
            raw = self._form.encode(value)
            if self._is_typed or _is_same(self._form.decode(raw), value):
                return msgspec.Raw(raw)
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is returned and not stored
            self._warn(value, error)
            return None
        self._warn(value, "it would come back as another type")
        return None

    def _warn(self, value: Any, why: object) -> None:
        if not self._has_warned:
            self._has_warned = True
            kind = type(value).__name__
            _log.warning("an answer of type %s cannot be stored (%s): give the cache answers=%s", kind, why, kind)


def _is_same(back: Any, value: Any) -> bool:
    return type(back) is type(value) and bool(back == value)
