"""Copies of a database: consistent, verified, named last, pruned with care."""

import os
import resource
import sqlite3
import stat
import subprocess
import threading
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import pytest

from pinocchio_core.errors import DatabaseRefused
from pinocchio_core.store.copies import backup
from pinocchio_core.store.copies.checks import inspect_database
from pinocchio_core.store.layouts.migrations import LATEST
from pinocchio_core.store.layouts.original import LAYOUT
from pinocchio_core.store.sqlite.library import connected

NOW = datetime(2026, 2, 23, 22, 0, tzinfo=UTC)


@pytest.fixture
def make(path):
    def made(destination=None, *, now=NOW):
        target = destination or backup.backup_name(path, now)
        backup.make_backup(path, target, plugins={"pinocchio-webchat": "1"}, now=now)
        return target

    return made


def test_a_backup_has_everything_that_is_committed_in_one_file(store, add, make, path):
    for number in range(3):
        add(f"p{number}")
    copy = make()
    assert copy.name == "profiles.db.bak.20260223-220000"
    assert {each.name for each in path.parent.iterdir() if each.name.startswith(copy.name)} == {
        copy.name,
        f"{copy.name}.manifest.json",
    }
    with closing(sqlite3.connect(f"file:{copy}?immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM profiles").fetchone() == (3,)
    manifest = backup.read_manifest(copy)
    assert (manifest.profiles, manifest.registries, manifest.layout, manifest.highest_version) == (3, 1, LATEST, 4)
    assert manifest.content_sha256 == inspect_database(path).content_sha256


def test_a_backup_while_others_write_is_sound(store, made, author, make, path):
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            with store.write():
                store.profiles.create("default", f"w{number}", made(f"w{number}"), author=author)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copies = [make(path.with_name(f"copy{number}")) for number in range(5)]
    finally:
        stop.set()
        writer.join()
    assert all(backup.verify(copy).sound for copy in copies)


@pytest.mark.parametrize("mask", [0o000, 0o777])
def test_a_backup_and_its_manifest_are_for_their_owner_alone(store, make, mask):
    before = os.umask(mask)
    try:
        copy = make()
    finally:
        os.umask(before)
    assert {stat.S_IMODE(each.stat().st_mode) for each in (copy, backup.manifest_path(copy))} == {0o600}


def test_a_second_backup_of_one_second_has_a_name_of_its_own(store, make):
    assert [make().name for _ in range(3)] == [f"profiles.db.bak.20260223-220000{end}" for end in ("", "-2", "-3")]


def test_what_is_there_is_never_written_over(store, make):
    copy = make()
    before = copy.read_bytes()
    with pytest.raises(DatabaseRefused, match="exists already"):
        make(copy)
    assert copy.read_bytes() == before


def test_a_database_with_a_damaged_document_gives_no_backup_and_leaves_nothing(store, add, make, path):
    add("x")
    with store.write():
        store.database.run("UPDATE profiles SET payload_json = replace(payload_json, 'x', 'y')")
    before = set(path.parent.iterdir())
    with pytest.raises(DatabaseRefused, match='profile "x" in registry "default" is unreadable'):
        make()
    assert set(path.parent.iterdir()) == before


@pytest.fixture
def full_at():
    """`with full_at(size):` the disk takes no file that is longer."""

    @contextmanager
    def full(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return full


@pytest.mark.parametrize("name", ["copy.db", "copy.jsonl"])
@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_a_disk_that_is_full_during_the_copy_leaves_nothing(store, add, path, full_at, name, step):
    for number in range(100):
        add(f"p{number}")
    store.close()
    whole = path.with_name(f"whole-{name}")
    backup.make_backup(path, whole, plugins={}, now=NOW)
    size, before = whole.stat().st_size, set(path.parent.iterdir())
    with full_at(size * step // 4 + 1), pytest.raises(DatabaseRefused):
        backup.make_backup(path, path.with_name(name), plugins={}, now=NOW)
    assert set(path.parent.iterdir()) == before


@pytest.mark.parametrize("free_kib", [0, 4, 16])
def test_a_disk_with_no_room_for_files_of_sqlite_beside_the_copy_is_left_empty(store, path, tmp_path, free_kib):
    store.close()
    small = tmp_path / "small"
    small.mkdir()
    size = f"size={path.stat().st_size // 1024 + free_kib}k"
    command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", small]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True, timeout=60).returncode:
        pytest.skip("this user cannot mount a file system")
    try:
        with pytest.raises(DatabaseRefused):
            backup.make_backup(path, small / "copy", plugins={}, now=NOW)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", small], check=True, timeout=60)


def test_a_manifest_that_does_not_fit_leaves_nothing(store, add, path, full_at):
    add("x")
    before = set(path.parent.iterdir())
    large = {f"plugin-{number}": "1" * 1000 for number in range(5000)}
    with full_at(1 << 20), pytest.raises(DatabaseRefused, match="cannot write"):
        backup.make_backup(path, path.with_name("copy"), plugins=large, now=NOW)
    assert set(path.parent.iterdir()) == before


def test_a_backup_that_was_changed_is_not_verified(store, add, make):
    add("x")
    copy = make()
    with connected(copy, mode="rwc") as connection:
        connection.execute("UPDATE profiles SET version = 9")
    problems = backup.verify(copy).problems
    assert [problem.partition(" ")[2][:30] for problem in problems] == [
        "is not the file that its manif",
        "content of " + str(copy)[:19],
    ]


def test_a_flipped_byte_in_a_document_is_found_and_named(store, add, path):
    add("x")
    add("y")
    with store.write():
        store.database.run("UPDATE profiles SET payload_json = '{' || payload_json WHERE slug = 'y'")
    assert inspect_database(path).problems == (
        'the stored profile "y" in registry "default" is unreadable: its payload does not match its checksum',
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no file"),
        (b"", "is empty, which is no database"),
        (b"nothing" * 900, "cannot be read as a database"),
    ],
)
def test_what_is_no_database_is_refused(tmp_path, content, reason):
    path = tmp_path / "x.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatabaseRefused, match=reason):
        backup.verify(path)


def test_a_database_of_another_program_is_refused(tmp_path):
    path = tmp_path / "x.db"
    with connected(path, mode="rwc") as connection:
        connection.execute("CREATE TABLE other (x)")
    with pytest.raises(DatabaseRefused, match="is not a database of this program"):
        inspect_database(path)


def test_a_database_of_the_original_program_can_be_verified_and_copied(tmp_path):
    path = tmp_path / "go.db"
    with connected(path, mode="rwc") as connection:
        connection.execute(LAYOUT)
        connection.execute("INSERT INTO profile_registries VALUES ('default', '{}', 5)")
    found = inspect_database(path)
    assert (found.sound, found.layout, found.registries) == (True, 0, 1)
    backup.make_backup(path, tmp_path / "copy", plugins={}, now=NOW)
    assert backup.verify(tmp_path / "copy").sound


def test_more_than_a_page_of_profiles_is_looked_at_and_reported(store, made, author, path):
    with store.write():
        for number in range(1201):
            store.profiles.create("default", f"p{number}", made(f"p{number}"), author=author)
    seen = []
    assert inspect_database(path, progress=lambda done, total: seen.append((done, total))).profiles == 1201
    assert seen == [(0, 1), (500, 1201), (1000, 1201), (1201, 1201)]


@pytest.mark.parametrize(
    ("slug", "payload", "said"),
    [
        (
            "p",
            "{broken",
            'the stored version 1 of profile "p" in registry "default" is unreadable: it is not a profile',
        ),
        ("p", b"\xff", 'the stored version 1 of profile "p" in registry "default" is unreadable: it is not a profile'),
        ("", "{}", 'version 1 of registry "default": Object missing required field `slug`'),
    ],
)
def test_a_version_in_the_history_that_is_broken_is_named(add, path, make, slug, payload, said):
    add("p")
    assert inspect_database(path).lost == ()
    before = inspect_database(path).content_sha256
    with connected(path, mode="rw") as connection:
        where = "WHERE slug = ? AND version = 1"
        connection.execute(f"UPDATE profile_revisions SET payload_json = ? {where}", (payload, slug))
    found = inspect_database(path)
    assert [problem[: len(said)] for problem in found.lost] == [said]
    assert (found.sound, found.content_sha256) == (True, before)
    assert backup.verify(make()).lost == found.lost


def test_versions_that_were_deleted_and_more_than_a_page_of_them_are_looked_at(store, add, author, path):
    add("p")
    with store.write():
        store.delete_profile(store.profiles.read("default", "p"), author=author)
    for number in range(501):
        add(f"p{number}")
    assert not inspect_database(path).lost
    with connected(path, mode="rw") as connection:
        connection.execute("UPDATE profile_revisions SET payload_json = 'null' WHERE slug = 'p500'")
    assert len(inspect_database(path).lost) == 1
