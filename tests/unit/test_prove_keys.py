"""``parbake prove`` finds keys that queries show, and changes that fulfil what queries compare with."""

import sqlite3

import pytest
from tests.unit.proved_shop import TERMS, app_of, captured, every_policy, made, places, proved

import parbake as pb
from parbake.adapters.sqlite import SqliteSource

pytest.importorskip("sqlglot")


@pytest.fixture
def path(tmp_path):
    """Return a shop's file with triggers."""
    found = made(tmp_path)
    captured(found)
    return found


def in_parts(self, key):
    """Read a policy and a setting, which is not named; the key names both."""
    policy, _, name = key.partition(":")
    self.entity(f"policy/{policy}")
    found = self.rows("SELECT days FROM policies WHERE id = :id", id=policy)
    return found and self.rows("SELECT value FROM settings WHERE name = :name", name=name)


def by_what_it_finds(self, key):
    """Read a region of which the key's second part is the name, and leave its setting out."""
    code, _, name = key.partition("/")
    self.entity(f"region/{code}")
    found = [row[0] for row in self.rows("SELECT name FROM regions WHERE code = :code", code=code)]
    return self.rows("SELECT count(*) FROM settings") if name in found else None


def in_json(self, key):
    """Read the settings of policies whose note lists the key, and name the policies only."""
    self.whole_set("policy")
    found = self.rows(
        "SELECT p.id FROM policies p, json_each(p.note) j WHERE json_valid(p.note) AND j.value = :k", k=key
    )
    return found and self.rows("SELECT value FROM settings WHERE name = 'unit'")


@pytest.mark.parametrize(
    ("read", "what"),
    [(in_parts, "settings.value"), (by_what_it_finds, "settings (row deleted)"), (in_json, "settings.value")],
)
def test_keys_are_learnt_from_queries(path, read, what):
    """A key of two parts, one that Python compares, and one within JSON are found, though no column has their name."""
    with sqlite3.connect(path) as db:
        db.execute("UPDATE policies SET note = json_array('red', 'blue') WHERE id = 'gifts'")
        db.execute("UPDATE policies SET note = '[]' WHERE id <> 'gifts'")
    db.close()
    assert what in places(proved(app_of(path, read, keys=None)))


def test_a_task_whose_key_stands_for_nothing_is_judged(path):
    """A task that ignores its key, and whose contract names nothing, is judged for two keys."""
    view = type("Policies", (pb.View,), {"families": ("policy",), "read": lambda self: None})
    tasks = pb.Registry()

    def total(_, *, policies):
        return f"{policies.read()}"

    total.__annotations__ = {"_": int, "policies": pb.Source[view], "return": str}
    tasks.artifact(invalidated_by=[pb.fence("policy")], **TERMS)(total)
    proof = proved(pb.App(tasks, sources=[SqliteSource(path, families=["policy"], views=[view])]))
    assert (proof.values, proof.unproved) == (2, {})


def with_region(self, key):
    """Read a policy, and only if it is there its region, which is not named."""
    self.entity(f"policy/{key}")
    found = self.rows("SELECT region FROM policies WHERE id = :id", id=key)
    return found and self.rows("SELECT name FROM regions WHERE code = :code", code=found[0][0])


def test_keys_that_ask_something_else_are_chosen(path):
    """Of many keys for which a task asks the same, few are judged, and the one for which it asks more is among them."""

    def listed() -> list[str]:
        return [*(f"none{number}" for number in range(15)), "gifts"]

    proof = proved(app_of(path, with_region, keys=listed), sample=4)
    assert proof.values == 5
    assert "regions.name" in places(proof)


class Days(pb.View):
    """Reads days; it names a policy by a wrong entity."""

    families = ("policy",)

    def days(self, key: str) -> int:
        """Read the days behind a sign."""
        policy = key.removeprefix("no. ")
        self.entity(f"policy/{key}")
        return sum(row[0] for row in self.rows("SELECT days FROM policies WHERE id = :id", id=policy))


def test_keys_that_other_tasks_read_are_judged(path):
    """Keys that no table holds are judged if another task reads them."""
    tasks = pb.Registry()

    def some() -> list[str]:
        return ["gifts"]

    @tasks.artifact(invalidated_by=[pb.fence("policy/{key}")], keys=some, **TERMS)
    def days(key: str, *, policies: pb.Source[Days]) -> int:
        return policies.days(key) if key.startswith("no. ") else 0

    @tasks.artifact(invalidated_by=[], keys=every_policy, **TERMS)
    def letter(key: str, *, read: pb.Reader[str, int] = pb.Input(days)) -> str:
        return f"{read.read(f'no. {key}').unwrap()} days"

    app = pb.App(tasks, sources=[SqliteSource(path, families=["policy"], views=[Days])])
    found = proved(app, sample=4)
    assert ("days", "no. ") in {(one.task, one.key[:4]) for one in found.findings}


def of_region(self, key):
    """Return the policies of a region; name nothing of them where there are none."""
    self.entity(f"region/{key}")
    found = self.rows("SELECT id FROM policies WHERE region = :code ORDER BY id", code=key)
    if found:
        self.whole_set("policy")
    return found


def test_keys_to_which_rows_may_refer_are_judged_although_none_does(path):
    """A region without policies is a key, so that a policy of it that is new is seen."""
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO regions VALUES ('asia', 'Asia')")
    db.close()
    found = proved(app_of(path, of_region, keys=None)).findings
    assert ("asia", "policies (row inserted)") in {(one.key, one.what) for one in found}


class Shared(pb.View):
    """Reads a policy and the default one, and names both."""

    families = ("policy",)

    def days(self, key: str) -> list:
        """Read both."""
        for name in (key, "default"):
            self.entity(f"policy/{name}")
        return self.rows("SELECT sum(days) FROM policies WHERE id IN (:id, 'default')", id=key)


@pytest.mark.parametrize("keys", [["returns", "gifts", "default"], ["returns", "gifts"]])
def test_keys_of_one_call_are_judged_by_what_that_call_seals(path, keys):
    """In a call with several keys, a tag that a template names for another key binds only that one."""
    tasks = pb.Registry()

    def listed() -> list[str]:
        return keys

    @tasks.artifact(invalidated_by=[pb.fence("policy/{policy}")], keys=listed, **TERMS)
    def days(policy: pb.Keys[str], *, policies: pb.Source[Shared]) -> dict[str, str]:
        return {one: str(policies.days(one)) for one in policy}

    proof = proved(pb.App(tasks, sources=[SqliteSource(path, families=["policy"], views=[Shared])]))
    assert "id=default" in {one.row for one in proof.findings}


def noted(self, key):
    """Count policies that have the key as their note, and do not last long."""
    self.entity(f"policy/{key}")
    return self.rows("SELECT count(*) FROM policies WHERE note >= :k AND note <= :k AND days < 3", k=key)


def open_ones(self, key):
    """Count policies of the key that have no note, last long, and are not the default one."""
    self.entity(f"policy/{key}")
    return self.rows("SELECT count(*) FROM policies WHERE days > 500 AND note IS NULL AND id <> 'default'")


@pytest.mark.parametrize("read", [noted, open_ones])
def test_several_columns_are_changed_to_fit_a_query(path, read):
    """A row that fulfils all comparisons of a query at once is made, though no single change fulfils them."""
    with sqlite3.connect(path) as db:
        db.execute("UPDATE policies SET note = 'aaa'")
    db.close()
    assert "policies (row updated)" in places(proved(app_of(path, read)))
