"""Which processes live, asked of real ones."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from pinocchio_core.store.sqlite.living import Living

LIVE = """
import pathlib, sys
from pinocchio_core.store.sqlite.living import Living

living = Living(pathlib.Path(sys.argv[1]))
print(living.number, living.another(int(sys.argv[2])), flush=True)
sys.stdin.readline()
living.close()
print("closed", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def living(tmp_path):
    made = Living(tmp_path / "turns.db")
    yield made
    made.close()


@contextmanager
def another_process(path, asked=0):
    command = [sys.executable, "-c", LIVE, str(path), str(asked)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            number, found = process.stdout.readline().split()
            yield process, int(number), found == "True"
        finally:
            process.kill()


def test_a_process_lives_until_it_is_killed_and_others_know(living, tmp_path):
    with another_process(tmp_path / "turns.db", living.number) as (process, number, knows_us):
        assert knows_us
        assert [living.another(number) for _ in range(2)] == [True, True]
        process.kill()
        process.wait()
        assert not living.another(number)
        with another_process(tmp_path / "turns.db", living.number) as (_, other, still_knows_us):
            assert still_knows_us  # to ask about one that is dead has let go of nothing
            assert living.another(other)
            assert not living.another(number)


def test_one_that_has_closed_it_counts_as_dead(living, tmp_path):
    with another_process(tmp_path / "turns.db") as (process, number, _):
        assert living.another(number)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "closed\n"
        assert not living.another(number)


def test_a_number_is_no_process_id_and_that_of_no_other(living, tmp_path):
    assert not living.another(os.getppid())
    assert not living.another(living.number)
    assert living.number > 1 << 60
    assert living.number < 1 << 62
    assert Living(None).number != Living(None).number


def test_nobody_else_lives_for_a_database_in_memory():
    living = Living(None)
    assert not living.another(1 << 61)
    living.close()


def test_the_file_is_its_owners_and_stays_empty(living, tmp_path):
    file = tmp_path / "turns.db.open"
    assert (file.stat().st_mode & 0o777, file.stat().st_size) == (0o600, 0)
    assert not living.another(5)
