"""Who holds a lease: one server at a time, also after a restore wiped it and after a commit that failed."""

from datetime import UTC, datetime

import pytest

from pinocchio_core.service.upkeep.leases import LEASE_MS, Lease
from pinocchio_core.store.copies.backup import copy_database
from pinocchio_core.store.copies.restore import restore_live
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.store import Store


@pytest.fixture
def server(path, clock):
    """`server()`: the store and the lease of one more server on the database."""
    opened = []

    def make():
        store = Store(open_database(dsn_of_path(str(path))).database, clock=clock)
        opened.append(store)
        return store, Lease(store, "some_lease")

    yield make
    for store in opened:
        store.close()


def test_one_holds_it_and_renews_it(server, clock):
    (_, one), (_, two) = server(), server()
    assert (one.take(), two.take()) == (True, False)
    for _ in range(3):
        clock.now_ms += LEASE_MS * 2 // 3
        assert (one.keep(), two.taken(), two.take()) == (True, True, False)
    assert (one.left_ms(), two.left_ms()) == (LEASE_MS, 0)


def test_one_that_is_late_to_renew_it_holds_it_where_nobody_else_does(server, clock):
    (_, one), (_, two) = server(), server()
    assert one.take()
    clock.now_ms += 2 * LEASE_MS
    assert (one.left_ms(), one.keep(), one.left_ms()) == (0, True, LEASE_MS)
    clock.now_ms += 2 * LEASE_MS
    assert (two.take(), one.keep(), one.left_ms()) == (True, False, 0)


@pytest.mark.parametrize("later_ms", [1, LEASE_MS * 2 // 3], ids=["at once", "when it is renewed"])
def test_after_a_restore_into_running_servers_one_holds_it(server, clock, path, tmp_path, later_ms):
    (_, one), (_, two) = server(), server()
    assert one.take()
    (tmp_path / "backup.db").touch()
    copy_database(path, tmp_path / "backup.db")
    restore_live(tmp_path / "backup.db", dsn_of_path(str(path)), now=datetime.now(UTC))
    assert two.take()
    clock.now_ms += later_ms
    assert (one.keep(), one.left_ms()) == (False, 0)
    assert (two.keep(), two.left_ms() > 0, one.taken()) == (True, True, True)


def test_one_whose_commit_failed_does_not_hold_it(server):
    (store, one), (_, two) = server(), server()
    with store.write():
        store.database.run("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        store.database.run("CREATE TABLE kids (id REFERENCES parents DEFERRABLE INITIALLY DEFERRED)")
        store.database.run("CREATE TRIGGER orphan AFTER INSERT ON server_facts BEGIN INSERT INTO kids VALUES (1); END")
    with pytest.raises(Exception, match="FOREIGN KEY constraint failed"):  # said by the commit
        one.take()
    with store.write():
        store.database.run("DROP TRIGGER orphan")
    assert one.left_ms() == 0
    assert (two.take(), one.left_ms()) == (True, 0)


def test_one_that_could_not_be_renewed_is_held_for_as_long_as_it_was(server, clock):
    store, one = server()
    assert one.take()
    with store.write():
        store.database.run("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        store.database.run("CREATE TABLE kids (id REFERENCES parents DEFERRABLE INITIALLY DEFERRED)")
        store.database.run("CREATE TRIGGER orphan AFTER UPDATE ON server_facts BEGIN INSERT INTO kids VALUES (1); END")
    clock.now_ms += LEASE_MS * 2 // 3
    left_ms = one.left_ms()
    with pytest.raises(Exception, match="FOREIGN KEY constraint failed"):
        one.keep()
    assert one.left_ms() == left_ms
