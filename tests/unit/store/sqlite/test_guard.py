"""The file under an open database: removed, replaced, or written by others."""

import contextlib
import shutil
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from pinocchio_core.errors import StoreUnavailable
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite import keeper as module
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.sqlite.keeper import Keeper
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.filters import ProfileFilter


@pytest.fixture
def other(tmp_path, store, add, path, author):
    """A second database with the profile `theirs`, complete in one file; made from a copy of the first."""
    add("theirs")
    assert store.database.checkpoint(wait_ms=1000)
    where = tmp_path / "other.db"
    subprocess.run(["cp", path, where], check=True)
    with store.write():
        store.delete_profile(store.profiles.read("default", "theirs"), author=author)
    return where


def test_no_write_is_acknowledged_into_a_file_that_was_replaced_and_the_next_one_goes_into_the_new(
    store, add, path, other
):
    other.replace(path)
    with pytest.raises(StoreUnavailable, match="was replaced by another file, which is served from now on"):
        add("mine")
    assert store.profiles.read("default", "theirs")
    add("mine")
    with connected(path, mode="rwc") as connection:
        assert connection.execute("SELECT slug FROM profiles ORDER BY slug").fetchall() == [("mine",), ("theirs",)]


def test_a_file_that_was_replaced_during_a_write_is_no_acknowledgement(store, path, other, made, author):
    def replaced_meanwhile():
        with store.write():
            store.profiles.create("default", "mine", made("mine"), author=author)
            other.replace(path)

    with pytest.raises(StoreUnavailable, match="removed or replaced while it was written"):
        replaced_meanwhile()


def test_a_removed_file_is_said_and_never_made_anew(store, add, path):
    path.unlink()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"profiles\.db is gone; put it back"):
            add("mine")
    with pytest.raises(StoreUnavailable, match="is gone"):
        store.registries.all()
    assert not path.exists()


def test_a_connection_that_is_opened_while_the_file_is_gone_makes_no_new_one(store, path, tmp_path):
    in_use = store.database._connections.take()  # so that the next reader needs one of its own
    path.rename(tmp_path / "away")
    with pytest.raises(StoreUnavailable, match="was replaced and is being looked at"):
        store.registries.all()
    store.database._connections.put_back(in_use)
    assert not path.exists()
    (tmp_path / "away").rename(path)
    assert store.registries.all()


def test_a_file_that_is_put_back_is_served_again(store, add, path, tmp_path):
    add("before")
    store.database.checkpoint(wait_ms=1000)
    path.rename(tmp_path / "away")
    with pytest.raises(StoreUnavailable, match="is gone"):
        add("lost")
    (tmp_path / "away").rename(path)
    add("after")
    assert [store.profiles.count("default")] == [2]


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 500])
def test_what_is_not_a_database_is_refused_until_a_sound_one_is_there(store, add, path, tmp_path, other, damage):
    wrong = tmp_path / "wrong"
    wrong.write_bytes(damage)
    wrong.replace(path)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="cannot be served"):
            add("mine")
    other.replace(path)
    with pytest.raises(StoreUnavailable, match="served from now on"):
        add("mine")
    assert add("mine").profile.slug == "mine"


def test_an_older_layout_is_not_served_without_a_new_start(store, add, path, other):
    with connected(other, mode="rwc") as connection:
        connection.execute("PRAGMA user_version = 1")
    other.replace(path)
    with pytest.raises(StoreUnavailable, match="has layout 1, this program"):
        add("mine")


def test_a_copy_over_a_quiet_file_is_served_instead_of_what_was_read_before(store, add, path, other):
    assert store.database.checkpoint(wait_ms=1000)
    subprocess.run(["cp", other, path], check=True)
    add("mine")
    assert [row for row in ("mine", "theirs") if store.profiles.read("default", row)] == ["mine", "theirs"]
    assert store.database.rows("PRAGMA integrity_check") == [("ok",)]
    assert store.database.tally.reopened == 1


def test_what_the_sqlite_shell_writes_is_no_alarm_and_is_read(store, add, path):
    add("mine")
    with connected(path, mode="rwc") as connection:
        connection.execute("UPDATE profiles SET display_name = 'by hand'")
    with connected(path, mode="rwc") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    add("second")
    assert store.profiles.count("default") == 2


def test_two_processes_checkpoint_and_write_without_taking_each_other_for_strangers(store, add, path):
    theirs = Store(open_database(dsn_of_path(str(path))).database)
    try:
        for number in range(6):
            add(f"mine{number}")
            assert (store if number % 2 else theirs).database.checkpoint(wait_ms=1000)
            with theirs.write():
                theirs.registries.touch("default", 5)
        assert store.database.tally.reopened == theirs.database.tally.reopened == 0
    finally:
        theirs.close()


def test_a_checkpoint_with_nothing_to_do_is_no_doubt_about_what_another_process_wrote(store, add, path):
    with closing(Store(open_database(dsn_of_path(str(path))).database)) as theirs:
        assert store.database.checkpoint(wait_ms=1000)
        for number in range(200):
            add(f"p{number}")
        assert store.database.checkpoint(wait_ms=1000)
        assert theirs.database.checkpoint(wait_ms=1000)
        assert store.database.looks_the_same()
        assert theirs.database.looks_the_same()
        assert theirs.database.tally.reopened == 0


def test_threads_that_read_while_the_file_is_replaced_get_the_old_or_the_new(store, add, path, other):
    add("mine")
    stop, refused, seen = threading.Event(), set(), set()

    def read():
        while not stop.is_set():
            try:
                page = store.list_profiles("default", None, ProfileFilter())
            except StoreUnavailable as error:
                refused.add(error.reason)
            else:
                seen.add(tuple(page.slugs))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    other.replace(path)
    with pytest.raises(StoreUnavailable, match="served from now on"):
        store.database.watch()
    add("new")
    stop.set()
    for thread in threads:
        thread.join()
    assert refused <= {f"{path} was replaced and is being looked at"}
    assert seen <= {("mine",), ("theirs",), ("new", "theirs")}


@pytest.fixture
def keeper(store):
    made = Keeper(store.database)
    made.start()
    yield made
    made.stop()


def _until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def test_the_main_file_alone_is_complete_soon_after_the_last_write(store, add, path, keeper, tmp_path):
    for number in range(20):
        add(f"p{number}")
    wal = path.with_name("profiles.db-wal")
    _until(lambda: wal.stat().st_size == 0)
    copy = tmp_path / "copy.db"
    subprocess.run(["cp", path, copy], check=True)
    with connected(copy, mode="rwc") as connection:
        assert connection.execute("SELECT count(*) FROM profiles").fetchone() == (20,)


def test_a_reader_that_does_not_end_keeps_writers_going_and_the_log_is_emptied_after_it(store, add, path, keeper):
    wal = path.with_name("profiles.db-wal")
    with connected(path, mode="rwc") as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM profiles").fetchall()
        add("during")
        _until(lambda: store.database.tally.checkpoints_blocked)
        add("more")
        assert wal.stat().st_size > 0
        reader.execute("COMMIT")
        _until(lambda: wal.stat().st_size == 0)


def test_a_reader_that_does_not_end_is_warned_of_when_the_log_is_large(store, add, path, keeper, caplog, monkeypatch):
    monkeypatch.setattr(module, "_LARGE_WAL_BYTES", 1)
    with connected(path, mode="rwc") as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM profiles").fetchall()
        add("during")
        _until(lambda: "a program that reads" in caplog.text)
    wal = path.with_name("profiles.db-wal")
    _until(lambda: wal.stat().st_size == 0)


def test_what_a_killed_process_left_in_the_log_is_brought_in_without_a_write(store, path, keeper):
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA wal_autocheckpoint=0');"
        "c.execute('UPDATE profile_registries SET updated_at_ms = 77'); c.commit(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    _until(lambda: path.with_name("profiles.db-wal").stat().st_size == 0)
    assert store.registries.read("default").updated_at_ms == 77


def test_the_keeper_moves_reads_to_a_new_file_without_a_write(store, path, other, keeper, caplog):
    other.replace(path)

    def read():
        with contextlib.suppress(StoreUnavailable):  # while the new file is looked at
            return store.profiles.read("default", "theirs")

    _until(read)
    _until(lambda: "was replaced by another file" in caplog.text)


def test_stopping_leaves_the_log_empty(store, add, path):
    keeper = Keeper(store.database)
    keeper.start()
    add("last")
    keeper.stop()
    assert path.with_name("profiles.db-wal").stat().st_size == 0
    shutil.copy(path, path.with_name("copy.db"))
