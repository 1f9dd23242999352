"""Which servers have a database open, as the file beside it says."""

import os
from contextlib import closing
from pathlib import Path

from pinocchio_core.store.sqlite.presence import Presence, presence_path, servers_with


def test_those_who_have_ended_are_forgotten_at_the_next_start(tmp_path: Path) -> None:
    database = tmp_path / "profiles.db"
    presence_path(database).write_text("1\n" * 10)
    with closing(Presence(database)):
        assert presence_path(database).read_text() == f"{os.getpid()}\n"
        with closing(Presence(database)):
            assert presence_path(database).read_text() == f"{os.getpid()}\n" * 2
    assert servers_with(database) is None


def test_a_server_is_found_after_however_many_starts(tmp_path: Path) -> None:
    database = tmp_path / "profiles.db"
    ended = "4194304\n"  # no system has so many processes
    with closing(Presence(database)):
        with presence_path(database).open("a") as file:
            file.write(ended * 20_000)
        with closing(Presence(database)):
            assert servers_with(database) == [os.getpid()]
