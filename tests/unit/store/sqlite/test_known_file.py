"""What is known of the database file: our own work is not taken for another's, nor another's for ours."""

import pytest

from pinocchio_core.errors import StoreUnavailable
from pinocchio_core.store.sqlite.gate import WriteGate, gate_path
from pinocchio_core.store.sqlite.known_file import KnownFile


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "profiles.db"
    path.write_bytes(b"x" * 100)
    return path


@pytest.fixture
def known_of(path):
    gates = []

    def make():
        gates.append(WriteGate(gate_path(path), timeout_ms=1000))
        return KnownFile(path, gates[-1])

    yield make
    for gate in gates:
        gate.close()


def test_what_another_process_notes_is_as_it_was_left(path, known_of):
    ours, theirs = known_of(), known_of()
    ours.note()
    theirs.note()
    path.write_bytes(b"x" * 101)
    assert not ours.is_as_left()
    theirs.note_own_work()
    assert ours.is_as_left()


def test_a_file_of_another_size_than_we_left_is_looked_at_by_every_process(path, known_of):
    ours, theirs = known_of(), known_of()
    theirs.note()
    path.write_bytes(b"y" * 200)  # after the end of a checkpoint, and before the note of it
    ours.note()
    ours.doubt_unless(200)
    assert ours.is_as_left()
    assert theirs.is_as_left()
    ours.doubt_unless(100)
    assert not ours.is_as_left()
    assert not theirs.is_as_left()


def test_work_that_went_into_another_file_is_not_noted(path, known_of):
    known = known_of()
    known.note()
    fresh = path.with_name("fresh.db")
    fresh.write_bytes(b"x" * 100)
    fresh.replace(path)
    with pytest.raises(StoreUnavailable, match="removed or replaced while it was written"):
        known.note_own_work()
