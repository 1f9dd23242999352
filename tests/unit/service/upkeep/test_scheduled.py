"""When a backup is due, who makes it, and what is said of it."""

from contextlib import closing

import pytest

from pinocchio_core.errors import StoreUnavailable
from pinocchio_core.service.upkeep.schedule import Schedule
from pinocchio_core.service.upkeep.scheduled import BACKUP_LEASE, ScheduledBackups
from pinocchio_core.service.writing.seeding import fill
from pinocchio_core.store.copies.kept import list_backups
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.facts import Facts
from pinocchio_core.testing import make_app
from pinocchio_plugins import starter_profile

HOUR_MS = 3_600_000


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "backups"


@pytest.fixture
def server(path, folder, clock):
    """`server()`: one more server on the database, with its schedule of one backup an hour; its lease is its own."""
    opened = []

    def make(keep=14):
        store = Store(open_database(dsn_of_path(str(path))).database, clock=clock)
        opened.append(store)
        with make_app(starter_profile) as app:
            fill(store, app.program.host, registry="default", strict=True)
        schedule = Schedule(folder=folder, every_s=3600, keep=keep, max_age_s=None)
        made = ScheduledBackups(store, schedule, database=path, plugins={"some": "1"})
        clock.now_ms += 1
        return made

    yield make
    for store in opened:
        store.close()


def _count(folder, path):
    return len(list_backups(path, folder))


def test_one_is_made_at_once_and_the_next_after_its_interval(server, clock, folder, path):
    one = server()
    assert one.age_s() is None
    assert (one.turn(), one.turn(), _count(folder, path)) == (True, False, 1)
    clock.now_ms += HOUR_MS - 1
    assert (one.turn(), one.age_s()) == (False, 3599.999)
    clock.now_ms += 1
    assert (one.turn(), _count(folder, path)) == (True, 2)


def test_servers_share_the_schedule(server, clock, folder, path):
    one, two = server(), server()
    assert (one.turn(), two.turn()) == (True, False)
    clock.now_ms += HOUR_MS
    assert (two.turn(), one.turn(), one.age_s()) == (True, False, 0)
    assert _count(folder, path) == 2


def test_the_lease_of_one_that_died_runs_out(server, clock, path):
    two = server()
    with closing_store(path, clock) as store, store.write():
        Facts(store.database).write(BACKUP_LEASE, {"holder": "dead", "until_ms": clock() + 60_000}, clock())
    assert two.turn() is False
    clock.now_ms += 60_000
    assert two.turn() is True


def test_a_lease_or_a_backup_of_the_future_holds_nobody_up(server, clock):
    one = server()
    assert one.turn() is True
    clock.now_ms -= 48 * HOUR_MS  # the clock was wrong, and is right now
    assert one.turn() is True


def test_a_failure_is_kept_for_all_and_tried_again_after_a_minute(server, clock, folder, path):
    one, two = server(), server()
    folder.write_text("in the way")
    assert one.turn() is False
    assert two.reasons()[0].startswith("the last backup failed: cannot write")
    folder.unlink()
    assert (one.turn(), two.turn()) == (False, False)
    clock.now_ms += 60_000
    assert (two.turn(), one.reasons(), _count(folder, path)) == (True, [], 1)


def test_one_that_is_late_is_a_reason(server, clock):
    one = server()
    clock.now_ms += 2 * HOUR_MS + 1
    assert one.reasons() == ["there is no verified backup; there should be one every 3600 s"]
    one.turn()
    clock.now_ms += 2 * HOUR_MS + 1000
    assert one.reasons() == ["the last verified backup is 7201 s old; there should be one every 3600 s"]


def test_old_ones_are_removed_but_for_those_to_keep(server, clock, folder, path):
    one = server(keep=2)
    for _ in range(4):
        assert one.turn() is True
        clock.now_ms += HOUR_MS
    assert _count(folder, path) == 2


def test_an_old_one_that_cannot_be_removed_is_no_reason_to_make_another(
    server, clock, folder, path, irremovable, caplog
):
    one = server(keep=1)
    assert one.turn() is True
    irremovable(next(folder.glob("*[0-9]")))
    clock.now_ms += HOUR_MS
    assert (one.turn(), one.turn(), one.reasons()) == (True, False, [])
    assert _count(folder, path) == 2
    assert "cannot remove" in caplog.text
    with closing_store(path, clock) as store:
        assert Facts(store.database).read(BACKUP_LEASE) is None


def test_a_fault_of_ours_is_kept_and_tried_again_after_a_minute(path, folder, clock, server):
    server()
    with closing_store(path, clock) as store:
        schedule = Schedule(folder=folder, every_s=3600, keep=1, max_age_s=None)
        one = ScheduledBackups(store, schedule, database=path, plugins={"some": object()})
        with pytest.raises(TypeError):
            one.turn()
        assert one.turn() is False
        assert one.reasons()[0].startswith("the last backup failed: TypeError: ")
        clock.now_ms += 60_000
        with pytest.raises(TypeError):
            one.turn()


def test_a_server_that_ends_gives_up_its_backup_and_leaves_it_to_the_next(server, folder):
    one, two = server(), server()
    one.stop()
    assert one.turn() is False
    assert list(folder.iterdir()) == []
    assert two.turn() is True


def test_a_database_that_cannot_be_written_is_said(server, path):
    one = server()
    path.unlink()
    with pytest.raises(StoreUnavailable):
        one.turn()


def closing_store(path, clock):
    return closing(Store(open_database(dsn_of_path(str(path))).database, clock=clock))
