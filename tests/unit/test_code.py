"""The fingerprint of the code that computes a task."""

import functools
import subprocess
import sys

import msgspec
import pydantic

from parbake.lanes.batch.fingerprint import fingerprint

MADE = """
import functools
def twice(key: str) -> str:
    wanted = key in {"a", "b", "c", "d"}
    return "".join(c * 2 for c in key) if wanted else key
print(__import__("parbake.lanes.batch.fingerprint").lanes.batch.fingerprint.fingerprint([twice]).hex())
"""


def made(source):
    """Compile a function from its source."""
    names = {}
    exec(source, names)
    return names["f"]


def test_it_is_the_same_in_every_process_and_place():
    """The fingerprint does not depend on the hash seed or on a function's line number."""
    found = [
        subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
        for text in (MADE, MADE, "\n\n" + MADE)
    ]
    assert found[0].strip()
    assert len(set(found)) == 1


def test_it_changes_with_what_is_computed():
    """A changed constant, nested function, called name or bound argument of a partial changes the fingerprint."""
    base = "def f(x, y=1):\n    g = lambda: {0}\n    return {1}(x)"
    sources = [base.format(1, "str"), base.format(2, "str"), base.format(1, "repr")]
    bound = [functools.partial(made(sources[0]), y=y) for y in (1, 2)]
    functions = [*map(made, sources), *bound]
    assert len({fingerprint([f]) for f in functions}) == len(functions)


def test_it_changes_with_the_shape_of_the_values():
    """Value types of different shapes have different fingerprints, also two of the same name."""

    class One(msgspec.Struct):
        cents: int

    class Two(msgspec.Struct):
        cents: str

    Two.__name__ = Two.__qualname__ = "One"
    kinds = [int, str, list[int], One, Two, object]
    assert len({fingerprint([made], [(kind, ())]) for kind in kinds}) == len(kinds)


def test_it_changes_with_the_shape_of_what_a_codec_stores():
    """A codec supplies the shape of types msgspec does not know; two models of one name differ."""
    kinds = [pydantic.create_model("Some", **fields) for fields in ({"a": (int, 1)}, {"b": (int, 1)}, {"b": (str, "")})]
    assert len({fingerprint([made], [(kind, ())]) for kind in kinds}) == len(kinds)
    assert fingerprint([made], [(list[kinds[0]], ())]) != fingerprint([made], [(list[kinds[1]], ())])


def test_whatever_can_be_called_has_one():
    """A wrapped function has the fingerprint of the inner one; built-ins and callable objects have one, too."""

    class Called:
        def __call__(self, key):
            return key

    @functools.wraps(made)
    def wrapper(source):
        return made(source)

    assert fingerprint([Called()]) == fingerprint([Called()]) != fingerprint([len])
    assert fingerprint([wrapper]) == fingerprint([made])
