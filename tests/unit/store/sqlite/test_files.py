"""Who can get at the files of a database, and what may be one."""

import os
import stat
import time

import pytest

from pinocchio_core.errors import DatabaseRefused, StoreUnavailable
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.sqlite.files import loose_permissions
from pinocchio_core.store.sqlite.keeper import Keeper


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
def test_everything_that_is_made_is_for_its_owner_alone_whatever_the_umask(tmp_path, mask):
    path = tmp_path / "a/b/profiles.db"
    before = os.umask(mask)
    try:
        opened = open_database(dsn_of_path(str(path)))
    finally:
        os.umask(before)
    try:
        with opened.database.write():
            opened.database.run("DELETE FROM server_facts")
        assert {each.name: _mode(each) for each in path.parent.iterdir()} == dict.fromkeys(
            ["profiles.db", "profiles.db-wal", "profiles.db-shm", "profiles.db.lock"], 0o600
        )
        assert (_mode(path.parent), _mode(path.parent.parent)) == (0o700, 0o700)
        assert loose_permissions(path) == []
    finally:
        opened.database.close()


def test_what_others_can_get_at_is_said_with_the_remedy_and_left_as_it_is(store, path):
    copy = path.with_name("profiles.db.bak.1")
    copy.touch()
    copy.chmod(0o644)
    path.chmod(0o640)
    path.parent.chmod(0o770)
    assert [notice.rpartition(": ")[2] for notice in loose_permissions(path)] == [
        f"chmod 600 {path}",
        f"chmod 600 {copy}",
        f"chmod go-w {path.parent}",
    ]
    assert (_mode(path), _mode(copy)) == (0o640, 0o644)


def test_backups_elsewhere_what_restores_kept_and_conversations_are_looked_at_too(store, path, tmp_path):
    elsewhere = tmp_path / "backups"
    elsewhere.mkdir(mode=0o770)
    elsewhere.chmod(0o770)
    loose = [
        path.with_name("profiles.turns.db"),
        path.with_name("profiles.db.before-restore.20260223-220000"),
        elsewhere / "profiles.db.bak.20260223-220000.jsonl",
    ]
    (elsewhere / "other.db").touch()
    for each in loose:
        each.touch()
        each.chmod(0o604)
    assert [notice.rpartition(": ")[2] for notice in loose_permissions(path, elsewhere, tmp_path / "missing")] == [
        *(f"chmod 600 {each}" for each in loose),
        f"chmod go-w {elsewhere}",
    ]


def test_a_link_to_a_file_of_the_same_user_is_followed(store, path, tmp_path):
    link = tmp_path / "link.db"
    link.symlink_to(path)
    opened = open_database(dsn_of_path(str(link)))
    opened.database.close()
    assert opened.database.dsn.path == path


def test_through_a_link_servers_share_the_gate_and_the_main_file_becomes_complete(store, path, tmp_path, add):
    """SQLite's own files lie beside what a link leads to, and so do the lock and what the keeper looks at."""
    (tmp_path / "links").mkdir()
    link = tmp_path / "links/link.db"
    link.symlink_to(path)
    opened = open_database(dsn_of_path(f"{link}"))
    keeper = Keeper(opened.database)
    keeper.start()
    try:
        with opened.database.gate.hold(), pytest.raises(StoreUnavailable), store.database.gate.hold(timeout_ms=1):
            pass
        with opened.database.write():
            opened.database.run("DELETE FROM server_facts")
        deadline = time.monotonic() + 30
        while path.with_name("profiles.db-wal").stat().st_size and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.with_name("profiles.db-wal").stat().st_size == 0
    finally:
        keeper.stop()
        opened.database.close()
    assert [each.name for each in link.parent.iterdir()] == ["link.db"]


@pytest.mark.parametrize("target", ["nowhere", "/dev/null", "folder"])
def test_a_link_to_anything_else_is_refused(tmp_path, target):
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(target)
    with pytest.raises(DatabaseRefused, match=r"is a symbolic link to|is a folder"):
        open_database(dsn_of_path(str(link)))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_link_to_a_file_of_another_user_is_refused(tmp_path):
    theirs = tmp_path / "theirs.db"
    theirs.touch()
    os.chown(theirs, 65534, 65534)
    (tmp_path / "link.db").symlink_to(theirs)
    with pytest.raises(DatabaseRefused, match="no regular file of this user"):
        open_database(dsn_of_path(str(tmp_path / "link.db")))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.db")
    with pytest.raises(DatabaseRefused, match="is not a regular file"):
        open_database(dsn_of_path(str(tmp_path / "pipe.db")))
