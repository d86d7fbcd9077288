"""A trouble that lasts is one line of the log when it begins and one when it is over, however often it is met."""

from __future__ import annotations

import logging


class Trouble:
    """Logs the begin and the end of one trouble."""

    def __init__(self, what: str, log: logging.Logger) -> None:
        """Log nothing yet; ``what`` is what fails: "the sweep"."""
        self._what, self._log = what, log
        self._lasts = False

    def met(self, why: str) -> None:
        """Note a failure; only the first is logged as an error, with the reason."""
        self._log.log(logging.DEBUG if self._lasts else logging.ERROR, "%s failed, will retry: %s", self._what, why)
        self._lasts = True

    def is_over(self) -> None:
        """Note a success."""
        if self._lasts:
            self._log.warning("%s works again", self._what)
        self._lasts = False
