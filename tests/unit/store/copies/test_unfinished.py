"""What killed backups and restores leave, and that the next ones remove it."""

import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from pinocchio_core.store.copies.backup import make_backup
from pinocchio_core.store.copies.restore import restore, restore_live
from pinocchio_core.store.sqlite.dsn import dsn_of_path

NOW = datetime(2026, 2, 23, 22, 0, tzinfo=UTC)
BEGIN = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from pinocchio_core.store.copies.backup import make_backup
from pinocchio_core.store.copies.restore import restore
from pinocchio_core.store.sqlite.dsn import dsn_of_path
one, two, now = Path(sys.argv[1]), Path(sys.argv[2]), datetime.now(UTC)
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
"""
BACKUP = BEGIN + "make_backup(one, two, plugins={}, now=now, progress=die)"
RESTORE = (
    BEGIN
    + """
sys.addaudithook(lambda event, _: die() if event == "os.rename" else None)
restore(one, dsn_of_path(str(two)), now=now)
"""
)


RESTORE_LIVE = (
    BEGIN
    + """
from pinocchio_core.store.copies.restore import restore_live
sys.addaudithook(lambda event, _: die() if event == "os.link" else None)
restore_live(one, dsn_of_path(str(two)), now=now)
"""
)


@pytest.fixture
def killed():
    """`killed(CODE, one, two)`: run it in a process of its own, which kills itself."""

    def run(code, one, two):
        done = subprocess.run([sys.executable, "-c", code, one, two], check=False, capture_output=True, timeout=60)
        assert done.returncode == -signal.SIGKILL, done.stderr

    return run


def _names(folder, word):
    return sorted(each.name for each in folder.iterdir() if word in each.name)


@pytest.mark.parametrize("ending", ["", ".jsonl"])
def test_the_next_backup_into_the_folder_removes_what_a_killed_one_left(store, add, path, tmp_path, killed, ending):
    add("x")
    folder = tmp_path / "backups"
    killed(BACKUP, path, folder / f"killed{ending}")
    assert _names(folder, ".unfinished-") == _names(folder, "") != []
    make_backup(path, folder / "copy", plugins={}, now=NOW)
    assert _names(folder, "") == ["copy", "copy.manifest.json"]


def test_what_is_being_made_or_is_of_another_database_stays(store, add, path, tmp_path, killed):
    add("x")
    folder = tmp_path / "backups"
    make_backup(path, tmp_path / "other.db", plugins={}, now=NOW)
    killed(BACKUP, tmp_path / "other.db", folder / "theirs")
    theirs = _names(folder, "theirs")

    def meanwhile(done, total):
        if done == total:
            assert _names(folder, "outer.unfinished-")
            make_backup(path, folder / "inner", plugins={}, now=NOW)

    make_backup(path, folder / "outer", plugins={}, now=NOW, progress=meanwhile)
    assert _names(folder, "") == ["inner", "inner.manifest.json", "outer", "outer.manifest.json", *theirs]


@pytest.mark.parametrize("name", ["copy", "copy.jsonl"])
def test_the_next_restore_removes_what_a_killed_one_left(store, add, path, tmp_path, killed, name):
    add("x")
    make_backup(path, tmp_path / name, plugins={}, now=NOW)
    store.close()
    killed(RESTORE, tmp_path / name, path)
    assert _names(tmp_path, ".restoring-")
    assert restore(tmp_path / name, dsn_of_path(str(path)), now=NOW).found.profiles == 1
    assert _names(tmp_path, ".restoring-") == []


def test_a_live_restore_that_is_killed_leaves_no_kept_database_that_is_none(store, add, path, tmp_path, killed):
    add("x")
    make_backup(path, tmp_path / "copy", plugins={}, now=NOW)
    killed(RESTORE_LIVE, tmp_path / "copy", path)
    assert {".restoring-" in name for name in _names(tmp_path, ".before-restore.")} == {True}
    kept = restore_live(tmp_path / "copy", dsn_of_path(str(path)), now=NOW).kept
    assert _names(tmp_path, ".before-restore.") == [kept.name]
