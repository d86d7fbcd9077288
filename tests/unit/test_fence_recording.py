"""How the reads of a computation become the tags of its record."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parbake as pb
from parbake.errors import BadInput
from parbake.protocol.record import Built, Meta, Record, Stamp, Tags
from parbake.protocol.recording import MAX_TAGS, Reach, Recording
from parbake.protocol.tags import family, raised_by
from parbake.tasks.contract_checks import make_contract

OWN = Stamp(1, 7)


def contract(*items):
    """Return a contract with these invalidations."""
    return make_contract(
        freshness_sla="1h",
        invalidated_by=items,
        fallback_if_stale=pb.Refuse(),
        owner="team",
        confidence=None,
        schedule=None,
    )


def stored(*, generation=0, valid_until=float("inf"), computed_at=0.0, **tags):
    """Return a record of an input, stamped 5."""
    meta = Meta(Tags(**tags), generation)
    return Record(Stamp(1, 5).pack(), computed_at, valid_until, "batch", False, meta, b"")


def test_reads_are_bound_by_declared_strength():
    """Tags of a fenced family become fences, tags of a refreshed family refreshes; other reads do not bind."""
    recording = Recording(OWN)
    recording.entity("policy/a")
    recording.entity("user/7")
    recording.whole_set("noise")
    tags = recording.seal(contract(pb.fence("policy"), pb.refresh("user")), {})
    assert set(tags.fences) == {"policy/a", "policy"}
    assert dict(tags.refreshes) == {"user/7": OWN.pack(), "user": OWN.pack()}


def test_a_template_adds_to_what_was_recorded():
    """A family with a template is bound by the key's entity and by every other entity that was read."""
    recording = Recording(OWN)
    recording.entity("user/8")
    sealed = recording.seal(contract(pb.fence("user/{user}")), {"user": "7"})
    assert set(sealed.fences) == {"user/7", "user/8", "user"}


@pytest.mark.parametrize(
    ("tag", "event"),
    [
        ("policy/a", ("policy/a", "x.changed")),
        ("policy/a", ("policy", "x.bulk")),
        ("policy", ("policy/b", "x.changed")),
    ],
)
def test_returned_tags_are_bound_to_every_event_that_concerns_them(tag, event):
    """A returned tag is raised by its entity's events and bulk events; a bare family is raised by any event."""
    tags = Recording(OWN).seal(contract(pb.fence("policy")), {}, [tag])
    assert set(raised_by(*event)) & set(tags.fences)


def test_a_malformed_returned_tag_is_refused():
    """A malformed tag is an error, because no event could raise it."""
    with pytest.raises(BadInput):
        Recording(OWN).seal(contract(pb.fence("policy")), {}, ["Policy A"])


@pytest.mark.parametrize("item", [pb.fence("policy"), pb.refresh("policy")])
def test_a_declared_family_that_nothing_recorded_binds_as_a_whole(item):
    """If a function records no read, each family of its contract binds as a whole."""
    tags = Recording(OWN).seal(contract(item), {})
    assert set(raised_by("policy/a", "x.changed")) & {*tags.fences, *dict(tags.refreshes)}


def test_inherited_fences_hold_at_the_own_stamp():
    """A derived record inherits the fences of its inputs, whatever its own contract declares."""
    recording = Recording(OWN)
    recording.artifact("input@1", stored(fences=("policy/a", "policy")), now=0)
    assert set(recording.seal(contract(), {}).fences) == {"policy/a", "policy"}


def test_inherited_refreshes_keep_the_inputs_stamp():
    """An inherited refresh tag keeps the earliest stamp at which an input read it."""
    recording = Recording(OWN)
    early, late = Stamp(1, 3).pack(), Stamp(1, 5).pack()
    recording.artifact("a@1", stored(refreshes=(("user/7", late),)), now=0)
    recording.artifact("b@1", stored(refreshes=(("user/7", early),)), now=0)
    assert dict(recording.seal(contract(), {}).refreshes) == {"user/7": early}


def test_a_consumers_fence_turns_inherited_refreshes_into_fences():
    """An inherited refresh tag becomes a fence if the consumer fences its family."""
    recording = Recording(OWN)
    recording.artifact("a@1", stored(refreshes=(("user/7", Stamp(1, 5).pack()),)), now=0)
    tags = recording.seal(contract(pb.fence("user")), {})
    assert "user/7" in tags.fences
    assert tags.refreshes == ()


def test_lineage_is_inherited():
    """A record inherits generations, the earliest end of validity, and the age of inputs without fences."""
    recording = Recording(OWN)
    batch = stored(generation=4, valid_until=50.0, computed_at=10.0, built_from=(Built("m@1", 3, is_model=True),))
    recording.artifact("a@1", batch, now=30.0)
    recording.artifact("b@1", stored(valid_until=70.0, computed_at=30.0, fences=("x/y",)), now=30.0)
    recording.model("m2@1", 9)
    built = set(recording.seal(contract(), {}).built_from)
    assert built == {Built("m@1", 3, True), Built("a@1", 4, False), Built("m2@1", 9, True)}
    assert recording.valid_until == 50.0
    assert recording.inputs_age_s == 20.0


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=30))
def test_many_tags_collapse_without_losing_an_event(families):
    """Beyond the limit direct tags are merged, and every event that raised one still raises the merged tag."""
    recording = Recording(OWN)
    read = [f"{name}/{number}" for number, name in enumerate(families)]
    for tag in read:
        recording.entity(tag)
    fences = set(recording.seal(contract(*(pb.fence(f) for f in set(families))), {}).fences)
    assert len(fences) <= MAX_TAGS
    for tag in read:
        assert set(raised_by(tag, "x.changed")) & fences
        assert set(raised_by(family(tag), "x.bulk")) & fences


def test_inherited_tags_never_collapse():
    """Inherited tags are never merged, however many there are."""
    recording = Recording(OWN)
    inherited = tuple(f"p/{n}" for n in range(20))
    recording.artifact("a@1", stored(fences=inherited), now=0)
    assert set(recording.seal(contract(), {}).fences) == set(inherited)


def test_a_family_that_views_could_have_read_but_did_not_is_not_bound():
    """If views cover two declared families, only the one that was read binds the record."""
    recording = Recording(Stamp(1, 5))
    recording.entity("policy/returns")
    made = make_contract(
        freshness_sla="1h",
        invalidated_by=[pb.fence("policy"), pb.fence("product")],
        fallback_if_stale=pb.Recompute(),
        owner="team",
        confidence=None,
        schedule=None,
    )
    reach = Reach(viewed=frozenset({"policy", "product"}))
    assert set(recording.seal(made, {}, (), reach).fences) == {"policy/returns", "policy"}
    assert set(recording.seal(made, {}).fences) == {"policy/returns", "policy", "product/*"}, "read without a view"


STRENGTHS = {
    "fence": pb.fence("user"),
    "refresh": pb.refresh("user"),
    "ignore": pb.ignore("user", "rarely"),
    "none": None,
}


@pytest.mark.parametrize("is_watched", [False, True])
@pytest.mark.parametrize("strength", sorted(STRENGTHS))
def test_what_is_read_and_does_not_bind_is_noted_for_readers_that_fence_it(strength, is_watched):
    """If a reader fences a family that the task ignores, the task records its reads of it as tolerated."""
    recording = Recording(OWN)
    recording.entity("user/7")
    declared = contract(*filter(None, [STRENGTHS[strength]]))
    tags = recording.seal(declared, {}, (), Reach(watched={"user"} if is_watched else ()))
    is_noted = is_watched and strength in ("ignore", "none")
    assert dict(tags.tolerated) == (dict.fromkeys(("user/7", "user"), OWN.pack()) if is_noted else {})
    assert set(tags.fences) == ({"user/7", "user"} if strength == "fence" else set())
    assert dict(tags.refreshes) == (dict.fromkeys(("user/7", "user"), OWN.pack()) if strength == "refresh" else {})


@pytest.mark.parametrize("is_watched", [False, True])
@pytest.mark.parametrize("strength", sorted(STRENGTHS))
def test_what_an_input_noted_is_fenced_noted_on_or_left(strength, is_watched):
    """A tolerated tag becomes a fence if the consumer fences its family; else it is passed on to readers that do."""
    recording = Recording(OWN)
    early, late = Stamp(1, 3).pack(), Stamp(1, 5).pack()
    for seen in (late, early, late):
        recording.artifact("a@1", stored(tolerated=(("user/7", seen),)), now=0)
    declared = contract(*filter(None, [STRENGTHS[strength]]))
    tags = recording.seal(declared, {}, (), Reach(watched={"user"} if is_watched else (), viewed={"user"}))
    assert ("user/7" in tags.fences) == (strength == "fence")
    assert dict(tags.tolerated) == ({"user/7": early} if is_watched and strength != "fence" else {})


def read(recording, kind, number):
    """Record one read of a kind."""
    seen = Stamp(1, number).pack()
    if kind == "entity":
        recording.entity(f"policy/{number}")
    elif kind == "model":
        recording.model("m@1", number)
    elif kind == "unnamed":
        recording.unnamed(type(f"View{number}", (), {"families": ()}), "rows")
    elif kind == "refused":
        recording.complete = False
    else:
        tags = {"fences": {"fences": ("user/7",)}, "refreshes": {kind: (("user/7", seen),)}}.get(
            kind, {"tolerated": (("user/7", seen),)}
        )
        found = stored(computed_at=float(number), valid_until=100.0 + number, generation=number, **tags)
        recording.artifact("input@1", found, now=10.0)


KINDS = ["entity", "fences", "model", "refreshes", "refused", "tolerated", "unnamed"]


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 5), st.booleans()), max_size=8))
def test_two_recordings_that_are_joined_bind_like_one(reads):
    """Two joined recordings seal the same tags as one recording of all reads."""
    one, mine, theirs = (Recording(OWN) for _ in range(3))
    for kind, number, is_mine in reads:
        read(one, kind, number)
        read(mine if is_mine else theirs, kind, number)
    mine.join(theirs)
    assert (mine.valid_until, mine.inputs_age_s, mine.complete) == (one.valid_until, one.inputs_age_s, one.complete)
    assert (mine.direct, len(mine.unnamed_reads)) == (one.direct, len(one.unnamed_reads))
    reach = Reach(watched={"user"})
    joined, whole = (found.seal(contract(pb.fence("policy")), {}, (), reach) for found in (mine, one))
    assert [set(part) for part in msgspec.structs.astuple(joined)] == [
        set(part) for part in msgspec.structs.astuple(whole)
    ]
