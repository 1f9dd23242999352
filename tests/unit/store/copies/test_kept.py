"""Backups that are kept: which are listed, and which are removed."""

import shutil
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pinocchio_core.store.copies.backup import backup_name, make_backup, manifest_path, read_manifest
from pinocchio_core.store.copies.kept import list_backups, prune

NOW = datetime(2026, 2, 23, 22, 0, tzinfo=UTC)


@pytest.fixture
def make(store, path):
    """`make()`: a backup beside the database, or in a folder; of another one where that is named."""

    def made(destination=None, *, now=NOW, folder=None, database=path):
        target = destination or backup_name(database, now, folder)
        make_backup(database, target, plugins={}, now=now)
        return target

    return made


def _days_ago(days):
    return NOW - timedelta(days=days)


def test_pruning_keeps_the_newest_and_what_has_no_manifest(make, path):
    made = {days: make(now=_days_ago(days)) for days in (0, 1, 40)}
    plain = path.with_name("profiles.db.bak.plain")
    plain.write_bytes(b"")
    assert prune(path, keep=None, max_age_s=30 * 86_400, now=NOW).removed == [made[40]]
    assert prune(path, keep=1, max_age_s=None, now=NOW).removed == [made[1]]
    assert prune(path, keep=None, max_age_s=0, now=NOW + timedelta(days=9)).removed == []
    assert [(each.path, each.verified) for each in list_backups(path) if each.verified] == [(str(made[0]), True)]
    assert plain.exists()
    assert not manifest_path(made[1]).exists()


def test_a_backup_of_another_database_in_the_folder_is_none_of_this_one(make, path):
    make(path.with_name("other.db.bak.1"))
    assert list_backups(path) == []


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "backups"


@pytest.fixture
def other(store, path, tmp_path):
    """Another database with the same name."""
    store.close()
    (tmp_path / "other").mkdir()
    return shutil.copy(path, tmp_path / "other" / path.name)


def _listed(*where):
    return [each.path for each in list_backups(*where)]


def _without_source(copy):
    """Give a backup the manifest of an earlier version."""
    document = msgspec.to_builtins(read_manifest(copy))
    del document["source"], document["beside"]
    manifest_path(copy).write_bytes(msgspec.json.encode(document))
    return copy


def test_databases_with_one_name_keep_their_backups_apart_in_a_folder(make, path, other, folder):
    theirs = make(folder=folder, now=_days_ago(1), database=other)
    old, new = make(folder=folder, now=_days_ago(2)), make(folder=folder)
    assert (_listed(path, folder), _listed(other, folder)) == ([str(new), str(old)], [str(theirs)])
    assert prune(path, folder, keep=1, max_age_s=0, now=NOW).removed == [old]
    assert theirs.exists()


def test_a_backup_that_does_not_say_of_which_database_it_is_is_removed_beside_one_only(make, path, other, folder):
    unknown = _without_source(make(folder=folder, now=_days_ago(1), database=other))
    beside, new = _without_source(make(now=_days_ago(1))), make()
    make(folder=folder)
    assert str(unknown) in _listed(path, folder)
    assert prune(path, folder, keep=1, max_age_s=0, now=NOW).removed == []
    assert prune(path, keep=1, max_age_s=0, now=NOW).removed == [beside]
    assert (unknown.exists(), new.exists()) == (True, True)


def test_backups_that_are_moved_with_the_database_beside_them_stay_its_own(store, make, path, tmp_path):
    made = [make(now=_days_ago(days)).name for days in (0, 1)]
    store.close()
    moved = tmp_path / "moved"
    moved.mkdir()
    for each in list(path.parent.glob("profiles.db*")):
        each.rename(moved / each.name)
    assert _listed(moved / path.name) == [str(moved / name) for name in made]
    assert prune(moved / path.name, keep=1, max_age_s=None, now=NOW).removed == [moved / made[1]]


def test_a_database_is_the_same_one_through_a_link(make, path, tmp_path):
    (tmp_path / "linked").symlink_to(path.parent)
    old, new = make(folder=tmp_path / "backups", now=_days_ago(1)), make(folder=tmp_path / "backups")
    assert _listed(tmp_path / "linked" / path.name, tmp_path / "backups") == [str(new), str(old)]


def test_the_backup_that_was_just_made_stays_and_those_of_the_future_go_first(make, path):
    future, old, new = (make(now=_days_ago(days)) for days in (-365, 1, 0))
    assert [each.path for each in list_backups(path, now=NOW)] == [str(each) for each in (new, old, future)]
    assert prune(path, keep=2, max_age_s=None, now=NOW, made=new).removed == [future]
    early = make(now=_days_ago(9))  # the clock was set back meanwhile
    assert prune(path, keep=1, max_age_s=0, now=_days_ago(9), made=early).removed == [new, old]


def test_of_many_backups_in_one_second_the_one_that_was_just_made_stays(make, path):
    made = [make() for _ in range(10)]
    assert made[-1].name.endswith("-10")
    assert set(prune(path, keep=1, max_age_s=None, now=NOW, made=made[-1]).removed) == set(made[:-1])


def test_one_that_cannot_be_removed_is_said_and_keeps_no_other(make, path, irremovable):
    oldest, old, new = (make(now=_days_ago(days)) for days in (2, 1, 0))
    irremovable(old)
    pruned = prune(path, keep=1, max_age_s=None, now=NOW)
    assert pruned.removed == [oldest]
    assert [each.startswith(f"cannot remove {old}: ") for each in pruned.failures] == [True]
    assert _listed(path) == [str(new), str(old)]


@pytest.mark.parametrize("time", ["2026-02-22T22:00:00", "yesterday", ""])
def test_a_backup_whose_manifest_has_no_time_is_not_verified(make, path, time):
    odd, new = make(now=_days_ago(1)), make()
    document = msgspec.to_builtins(read_manifest(odd)) | {"created_at": time}
    manifest_path(odd).write_bytes(msgspec.json.encode(document))
    assert {each.path: each.verified for each in list_backups(path)} == {str(odd): False, str(new): True}
    assert prune(path, keep=1, max_age_s=0, now=NOW).removed == []
