"""Fixtures of the installation tests: a clean clone, a wheel made from it, and interpreters."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import environments  # needs the path above

PYTHONS = environments.pythons()


def pytest_generate_tests(metafunc):
    """Run each test with a ``python`` on every interpreter, or on the oldest or the newest, as it is marked."""
    if "python" in metafunc.fixturenames:
        versions = list(PYTHONS)
        if metafunc.definition.get_closest_marker("one_python"):
            versions = versions[:1]
        elif metafunc.definition.get_closest_marker("newest_python"):
            versions = versions[-1:]
        metafunc.parametrize("python", [PYTHONS[v] for v in versions], ids=versions)


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """Return a clean clone."""
    return environments.copy_checkout(tmp_path_factory.mktemp("clone") / "parbake")


@pytest.fixture(scope="session")
def wheel(clone, tmp_path_factory):
    """Return the wheel that the clone builds."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, "."]
    subprocess.run(command, cwd=clone, check=True, env=environments.clean_environment())
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def limits(tmp_path_factory):
    """Return the locked versions as a file of constraints."""
    return environments.constraints(tmp_path_factory.mktemp("limits"))


@pytest.fixture
def make_environment(tmp_path, limits):
    """Return a function that makes empty environments."""
    made = []

    def make(python):
        made.append(environments.Environment(tmp_path / f"env{len(made)}", python, limits))
        return made[-1]

    return make
