"""What ``parbake prove`` found, as a table for people and as JSON."""

from __future__ import annotations

import msgspec
from rich.table import Table

from parbake_lab.prove.proof import Proof


def tables(proof: Proof) -> list[Table]:
    """The omissions, what depends on what contracts ignore, and what could not be judged."""
    found = Table("where", "what changes", "value", "served on", "would be", "add", title="left out", show_lines=True)
    for one in proof.findings:
        what = f"{one.what}\n{one.row}" if one.row else one.what
        found.add_row(one.where or one.task, what, f"{one.task}({one.key})", one.old, one.new, one.fix)
    ignored = Table("task", "ignores", "because", "what changes", "value", "served on", "would be",
                    title="ignored, and the value changes", show_lines=True)  # fmt: skip
    for it in proof.ignored:
        ignored.add_row(it.task, it.family, it.reason, f"{it.what}\n{it.row}", f"{it.task}({it.key})", it.old, it.new)
    unproved = Table("what", "why", title="not provable")
    for name, why in proof.unproved.items():
        unproved.add_row(name, why)
    return [table for table in (found, ignored, unproved) if table.row_count]


def summary(proof: Proof) -> str:
    """One line."""
    left_out = len(proof.findings)
    found = f"{proof.values} values, {proof.changes} changes, {left_out} omission{'' if left_out == 1 else 's'}"
    return f"{found}, {len(proof.ignored)} ignored" if proof.ignored else found


def as_json(proof: Proof) -> bytes:
    """All of it."""
    return msgspec.json.format(msgspec.json.encode(proof), indent=2)
