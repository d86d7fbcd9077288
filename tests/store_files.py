"""The files of an LMDB store: older copies that are put back in several ways."""

import shutil
from pathlib import Path

from parbake.stores import _lmdb_file, _lmdb_memory

NUMBERS = 10_000
"""At most this many files are created until one gets the number of a deleted one."""


def copy_of(place):
    """Copy the folder of a store, and return the path of the copy."""
    return Path(shutil.copytree(place, place.with_name("copy"), dirs_exist_ok=True))


def copy_back(place, copy, monkeypatch):
    """Delete a store and put a copy in its place, whose file gets the number of the deleted one.

    Where the file system gives no number again, the number is patched.
    """
    number = (place / "data.mdb").stat().st_ino
    shutil.rmtree(place)
    place.mkdir()
    for n in range(NUMBERS):
        created = place / f"other{n}"
        created.touch()
        if created.stat().st_ino == number:
            created.rename(place / "data.mdb")
            break
    for path in place.glob("other*"):
        path.unlink()
    (place / "data.mdb").write_bytes((copy / "data.mdb").read_bytes())
    if (place / "data.mdb").stat().st_ino != number:
        name_file = _lmdb_file.name_file
        monkeypatch.setattr(_lmdb_file, "name_file", lambda _, *birth: name_file(number, *birth))


def copy_over(place, copy, _=None):
    """Write a copy over the file, as ``cp`` does."""
    (place / "data.mdb").write_bytes((copy / "data.mdb").read_bytes())


def overwrite(place, copy, _=None):
    """Write a copy over the file without emptying it first, as ``dd conv=notrunc`` and ``rsync --inplace`` do."""
    with (place / "data.mdb").open("r+b") as file:
        file.write((copy / "data.mdb").read_bytes())


def side_file(place):
    """Return the path of the side file."""
    return place.with_name(place.name + ".incarnation")


def snapshot(place):
    """Return what a snapshot of the disk holds of a store."""
    return (place / "data.mdb").read_bytes(), side_file(place).read_bytes()


def set_disk_back(place, files):
    """Put a snapshot of the disk in place: the files stay what they are, and get their earlier bytes."""
    (place / "data.mdb").write_bytes(files[0])
    side_file(place).write_bytes(files[1])


def note_path(place):
    """Return the path of the note in the memory of the machine."""
    with (place / "data.mdb").open("rb") as file:
        return Path(_lmdb_memory.FOLDER) / _lmdb_memory.note_name(_lmdb_file.file_identity(file.fileno()))


def restart_machine(place):
    """Forget what the memory of the machine holds of a store."""
    note_path(place).unlink(missing_ok=True)


def side_numbers(place):
    """Return the numbers of the side file."""
    return memoryview(side_file(place).read_bytes()).cast("Q").tolist()
