"""What a ledger keeps about people: answers that they received, events about them, and reads of their keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from parbake.errors import RequestError
from parbake.ports.offers import Mentions
from parbake.serving.bound import BoundTask, key_text
from parbake.values.words import Words
from parbake_planner.ledger.answer_table import PATIENT_S, settled
from parbake_planner.ledger.database import Connection
from parbake_planner.ledger.ledger_writer import LedgerWriter, hashed
from parbake_planner.ledger.told import forget_told, told_to


class LedgerOfPeople:
    """The rows of a ledger by the person that they are about; see :class:`parbake.ports.offers.PersonalData`."""

    name = "ledger"

    def __init__(self, ledger: LedgerWriter, bound_tasks: Mapping[str, BoundTask]) -> None:
        """Know the tasks, whose keys are hashes in some tables."""
        self._ledger, self._bound_tasks = ledger, bound_tasks

    def export(self, subject: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        with settled(self._ledger, PATIENT_S) as connection:
            answers, words = self._answers(connection, (subject,)), Words((subject,))
            reads = connection.execute("SELECT task, key, minute, count FROM serves").fetchall()
        theirs = [(task, minute, count) for task, key, minute, count in reads if words.in_value(key_text(bytes(key)))]
        return {
            "answers": [msgspec.json.decode(document) for _, document in answers],
            "serves": [{"task": task, "at": minute * 60, "count": count} for task, minute, count in theirs],
        }

    def mentions(self, subject: str) -> Mentions:
        del subject
        return Mentions()

    def erase(self, subject: str, mentions: Mentions) -> Mapping[str, int]:
        words = (subject, *mentions.ids, *mentions.texts)
        with settled(self._ledger, PATIENT_S) as connection:
            self._ledger.database.overwrite_deleted(connection)  # type: ignore[arg-type]  # a connection of this database
            with connection:
                connection.execute(self._ledger.database.alone)
                rows = self._erase(connection, subject, words)
            if any(rows.values()):
                self._ledger.database.compact(connection)  # type: ignore[arg-type]  # (the same)
        return rows

    def _erase(self, connection: Connection, subject: str, words: Sequence[str]) -> dict[str, int]:
        ids, named = [answer for answer, _ in self._answers(connection, words)], Words(words)
        told = told_to(connection, words, ids)
        forget_told(connection, [(number, tags) for _, number, tags in told])
        for statement in ("DELETE FROM answers WHERE id = ?", "DELETE FROM complaints WHERE answer = ?"):
            connection.executemany(statement, [(answer,) for answer in ids])
        texts = connection.execute("SELECT rowid, task, outcome FROM spending").fetchall()
        spent = [(row,) for row, *some in texts if named.in_value(some)]
        connection.executemany("DELETE FROM spending WHERE rowid = ?", spent)
        connection.executemany("DELETE FROM prompts WHERE session = ?", [(hashed(word.encode()),) for word in words])
        rows = {"answers": len(ids), "told": len(told), "spending": len(spent), "serves": 0}
        read = connection.execute("SELECT DISTINCT task, key FROM serves").fetchall()
        theirs = [key for key in read if named.in_value(key_text(bytes(key[1])))]
        for table, keys in (("serves", theirs), ("spending", self._keys(subject))):
            statement = f"DELETE FROM {table} WHERE task = ? AND key = ?"  # noqa: S608  # one of the two above
            rows[table] += sum(connection.execute(statement, key).rowcount for key in keys)
        return rows

    def _answers(self, connection: Connection, words: Sequence[str]) -> list[tuple[str, bytes]]:
        """The answers that name somebody, or that went to them: their ids and documents."""
        named, raw = Words(words), [msgspec.json.encode(word)[1:-1] for word in words]
        received = {answer for answer, _, _ in told_to(connection, words, ())}
        rows = connection.execute("SELECT id, document FROM answers")
        documents = ((answer, bytes(document)) for answer, document in rows)
        return [
            (answer, document)
            for answer, document in documents
            if answer in received
            # Few documents have the bytes at all, so few have to be decoded.
            or (any(word in document for word in raw) and named.in_value(msgspec.json.decode(document)))
        ]

    def _keys(self, subject: str) -> Iterator[tuple[str, bytes]]:
        """The hash of the person's key in each task that the id alone is a key of."""
        for name, bound in self._bound_tasks.items():
            try:
                yield name, hashed(bound.keys.encode(bound.keys.check(subject)))
            except RequestError:
                continue
