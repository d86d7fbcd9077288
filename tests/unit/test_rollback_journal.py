"""A rollback and the journal outside the store, which repeats it if the store is lost."""

import pytest

import parbake as pb


async def test_a_rollback_whose_journal_cannot_be_written_is_not_made(tmp_path):
    """If the journal outside the store cannot be written, the current generation stays, and the error says why."""
    tasks = pb.Registry()

    @tasks.artifact(freshness_sla="2h", invalidated_by=[], fallback_if_stale=pb.Refuse(), owner="desk")
    def word(key: str) -> str:
        return key

    journal = tmp_path / "gone" / "journal.jsonl"
    app = pb.App(tasks, durability=pb.Durability(journal=journal, replayable=True))
    for _ in range(2):
        run = await app.materialize(word, keys=["a"])
    with pytest.raises(pb.errors.StoreError) as caught:
        await app.ops.rollback(word)
    assert caught.value.field == "journal"
    assert await app.ops.generation(word) == run.built[0].generation
    await app.close()
