"""Portable archives: exactly what is in the database, refused where a line is not what was written."""

import json
import re
import threading
import tracemalloc
from datetime import UTC, datetime

import pytest

from pinocchio_core.errors import DatabaseRefused
from pinocchio_core.store.copies import backup
from pinocchio_core.store.copies.archive import (
    CHECK_BYTES,
    ENDING,
    MAX_LINE_BYTES,
    TABLES,
    check_of,
    sealed,
    value_of,
    write_archive,
)
from pinocchio_core.store.copies.documents import stored_documents
from pinocchio_core.store.copies.kept import list_backups
from pinocchio_core.store.copies.restore import restore, restore_live
from pinocchio_core.store.copies.unarchive import make_indexes_again, rebuild
from pinocchio_core.store.layouts.migrations import LATEST, migrate
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.layouts.original import LAYOUT
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.sqlite.library import connected

NOW = datetime(2026, 2, 23, 22, 0, tzinfo=UTC)
AWKWARD = 'a "quoted" \\ line\n\0\t\u2028 é 🙂 \x7f'


def content(path):
    """Every row that an archive has, table by table."""
    with connected(path) as connection:
        named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            table.name: connection.execute(
                f"SELECT * FROM {table.name} WHERE {table.where} ORDER BY {table.order}"
            ).fetchall()
            for table in TABLES
            if (table.name,) in named
        }


@pytest.fixture
def archive(store, add, path, author, made):
    """An archive of a database with a history."""
    for number in range(5):
        add(f"p{number}", description=AWKWARD)
    with store.write():
        store.delete_profile(store.profiles.read("default", "p0"), author=author)
    with store.write():
        store.set_default("default", "p1", author=author)
    target = backup.backup_name(path, NOW, kind="archive")
    backup.make_backup(path, target, plugins={"pinocchio-webchat": "1"}, now=NOW)
    return target


def test_what_comes_back_is_what_was_there(archive, path, tmp_path):
    made = tmp_path / "made.db"
    rebuild(archive, made)
    assert content(made) == content(path)
    assert content(made)["profile_revisions"][-1][1:5] == ("default", "", 8, "set_default")
    assert {each.name for each in tmp_path.iterdir() if each.name.startswith("made")} == {"made.db"}


def test_the_manifest_says_the_same_as_that_of_a_copy(archive, path):
    copy = path.with_name("copy.db")
    of_copy = backup.make_backup(path, copy, plugins={"pinocchio-webchat": "1"}, now=NOW)
    of_archive = backup.read_manifest(archive)
    assert (of_archive.format, of_copy.format) == ("archive", "database")
    same = ("layout", "registries", "profiles", "revisions", "highest_version", "content_sha256", "plugins")
    assert [getattr(of_archive, name) for name in same] == [getattr(of_copy, name) for name in same]
    assert of_archive.size_bytes == archive.stat().st_size
    assert archive.stat().st_mode & 0o777 == 0o600


def test_it_is_verified_and_listed(archive, path):
    found = backup.verify(archive)
    assert (found.sound, found.profiles, found.path) == (True, 4, archive)
    (listed,) = list_backups(path)
    assert (listed.path, listed.format, listed.verified, listed.profiles) == (str(archive), "archive", True, 4)


def test_each_line_is_a_document_on_its_own(archive):
    header, *records = map(json.loads, _lines(archive))
    assert (header["format"], header["format_version"], header["layout"]) == ("pinocchio-archive", 1, LATEST)
    assert len(records) == sum(table["rows"] for table in header["tables"].values())
    profile = next(each["row"] for each in records if each["table"] == "profiles")
    assert json.loads(profile["payload_json"])["description"] == AWKWARD


@pytest.mark.parametrize("live", [False, True])
def test_a_restore_from_it_sets_a_floor_and_keeps_what_was_there(archive, store, add, path, live, author):
    add("later")
    with store.write():
        store.delete_profile(store.profiles.read("default", "p4"), author=author)
    highest = store.database.rows("SELECT max(version) FROM profile_registries")[0][0]
    if not live:
        store.close()
    done = (restore_live if live else restore)(archive, dsn_of_path(str(path)), now=NOW)
    assert (done.found.sound, done.found.profiles) == (True, 4)
    assert done.version_floor == highest
    assert len(content(done.kept)["profiles"]) == 4
    assert {slug for _, slug, *_ in content(path)["profiles"]} == {"p1", "p2", "p3", "p4"}
    assert not list(path.parent.glob("*restoring*"))


def _lines(archive):
    return archive.read_bytes().splitlines(keepends=True)


def _resealed(lines):
    """The lines with checks that fit, as who knows the format would write them."""
    done, check = [], b""
    for line in lines:
        done.append(sealed(line[:-CHECK_BYTES] + b"}", check))
        check = check_of(done[-1])
    return done


def _header(lines, **changes):
    header = json.loads(lines[0]) | changes
    header.pop("check")
    return _resealed([sealed(json.dumps(header).encode(), b""), *lines[1:]])


def _first_row_with(version):
    """The lines with another version in the first row, and checks that fit."""
    return lambda lines: _resealed([lines[0], re.sub(rb'"version":\d+', b'"version":' + version, lines[1]), *lines[2:]])


DAMAGE = {
    "a letter that was changed": (3, lambda lines: [*lines[:2], lines[2].replace(b"a", b"A", 1), *lines[3:]]),
    "two lines that changed places": (3, lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]]),
    "a line that is missing": (3, lambda lines: [*lines[:2], *lines[3:]]),
    "a line that is there twice": (4, lambda lines: [*lines[:3], lines[2], *lines[3:]]),
    "the last lines missing": (6, lambda lines: lines[:5]),
    "a last line cut off": (4, lambda lines: [*lines[:3], lines[3][:-7]]),
    "another document": (1, lambda lines: [b'{"a": 1}\n']),
    "another kind of line": (1, lambda lines: _header(lines, format="other")),
    "a newer format": (1, lambda lines: _header(lines, format_version=2)),
    "a newer layout": (1, lambda lines: _header(lines, layout=LATEST + 1)),
    "no layout": (1, lambda lines: _header(lines, layout=0)),
    "a table that is none": (1, lambda lines: _header(lines, tables={"sqlite_master": {"columns": ["x"], "rows": 1}})),
    "a column that is none": (1, lambda lines: _header(lines, tables={"profiles": {"columns": ["1); --"], "rows": 1}})),
    "a row twice, and counted": (4, lambda lines: _resealed([*lines[:3], lines[2], *lines[3:]])),
    "a row of another table": (2, lambda lines: _resealed([lines[0], lines[2], *lines[1:]])),
    "a row too many": (-1, lambda lines: _resealed([*lines, lines[-1]])),
    "a value that is none": (2, _first_row_with(b"{}")),
    "a number that is none": (2, _first_row_with(b"9" * 30)),
    "a list for a value": (2, _first_row_with(b"[1]")),
    "a line without an end": (1, lambda lines: [b"{" + b" " * (MAX_LINE_BYTES + 10)]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_not_as_it_was_written_is_refused_with_the_line_and_nothing_is_changed(
    archive, store, path, tmp_path, damage
):
    number, change = DAMAGE[damage]
    lines = _lines(archive)
    hurt = tmp_path / "hurt.jsonl"
    hurt.write_bytes(b"".join(change(lines)))
    number = len(lines) + 1 if number < 0 else number
    before = content(path)
    with pytest.raises(DatabaseRefused, match=rf"hurt\.jsonl cannot be read as an archive, line {number}:"):
        backup.verify(hurt)
    for act in (restore, restore_live):
        with pytest.raises(DatabaseRefused, match="cannot be read as an archive"):
            act(hurt, dsn_of_path(str(path)), now=NOW)
    assert content(path) == before
    assert not list(tmp_path.glob("*before-restore*")) + list(tmp_path.glob("*restoring*"))


def test_one_that_was_written_anew_is_no_longer_what_its_manifest_says(archive, path):
    lines = _lines(archive)
    changed = [line.replace(b'"reason":"because"', b'"reason":"another"') for line in lines]
    archive.write_bytes(b"".join(_resealed(changed)))
    assert "the hash is another one" in backup.verify(archive).problems[0]


def test_a_document_that_does_not_fit_its_checksum_is_no_backup(store, add, path):
    add("p")
    with store.write():
        store.database.run("UPDATE profiles SET payload_json = replace(payload_json, 'p', 'q')")
    target = path.with_name(f"copy{ENDING}")
    with pytest.raises(DatabaseRefused, match="is not sound"):
        backup.make_backup(path, target, plugins={}, now=NOW)
    assert not list(path.parent.glob("copy*"))


@pytest.mark.parametrize("value", ["CAST(x'ff' AS TEXT)", f"zeroblob({MAX_LINE_BYTES})"])
def test_what_no_archive_can_hold_is_refused_and_nothing_is_left(store, add, path, value):
    add("p")
    with store.write():
        store.database.run(f"UPDATE profile_revisions SET reason = {value} WHERE slug = 'p'")
    with pytest.raises(DatabaseRefused, match="which no archive can hold") as refused:
        backup.make_backup(path, path.with_name(f"copy{ENDING}"), plugins={}, now=NOW)
    assert refused.value.next_step == "copy the file: leave out --format"
    assert not list(path.parent.glob("copy*"))


@pytest.mark.parametrize("value", [b"\0\xff", 2.5, -0.0, float("inf"), float("-inf"), 2**63 - 1, -(2**63), None, ""])
def test_every_value_comes_back_with_its_type(store, add, path, tmp_path, value):
    add("p")
    with store.write():
        store.database.run("UPDATE profiles SET tags_json = ?", (value,))
    write_archive(path, tmp_path / "copy.jsonl")
    rebuild(tmp_path / "copy.jsonl", tmp_path / "made.db")
    sql = "SELECT tags_json, typeof(tags_json) FROM profiles"
    with connected(tmp_path / "made.db") as made:
        assert made.execute(sql).fetchall() == store.database.rows(sql)
    with pytest.raises((KeyError, TypeError, ValueError)):
        value_of({"other": 1})


def test_rows_of_the_original_program_are_in_it(path, tmp_path):
    with connected(path, mode="rwc") as connection:
        connection.execute(LAYOUT)
        payload = '{"slug":"default","profiles":{"a":{"slug":"a"}}}'
        connection.execute("INSERT INTO profile_registries VALUES ('default', ?, 7)", (payload,))
    target = tmp_path / "copy.jsonl"
    with pytest.raises(DatabaseRefused, match="has the layout of the original program"):
        backup.make_backup(path, target, plugins={}, now=NOW)
    open_database(dsn_of_path(str(path))).database.close()
    backup.make_backup(path, target, plugins={}, now=NOW)
    done = restore(target, dsn_of_path(str(tmp_path / "made.db")), now=NOW)
    assert done.found.sound
    made = content(tmp_path / "made.db")
    assert made["legacy_profile_registries"] == [("default", payload, 7)]
    made["server_facts"] = []  # the floor, which the restore set
    assert made == content(path)


def test_an_older_layout_is_brought_up_to_date_by_a_restore(tmp_path):
    database, older = Database(dsn_of_path(str(tmp_path / "old.db"))), tmp_path / "older.jsonl"
    migrate(database, upto=1)
    with database.write():
        database.run(
            "INSERT INTO profile_revisions (registry_slug, slug, version, op, actor, source, at_ms)"
            " VALUES ('default', 'x', 1, 'delete', 'ann', 'test', 1)"
        )
    database.close()
    write_archive(tmp_path / "old.db", older)

    assert backup.verify(older).layout == 1
    found = restore(older, dsn_of_path(str(tmp_path / "made.db")), now=NOW).found
    assert (found.layout, found.revisions) == (LATEST, 1)


def test_archives_that_are_made_while_others_write_are_of_one_moment(store, add, path, tmp_path):
    done = threading.Event()

    def write():
        number = 0
        while not done.is_set():
            add(f"p{number}")
            number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(5):
            manifest = backup.make_backup(path, tmp_path / f"{number}.jsonl", plugins={}, now=NOW)
            # each profile and the registry itself have one revision; the registry moves with each of them
            assert manifest.revisions == manifest.profiles + 1
    finally:
        done.set()
        thread.join()


def test_rows_go_through_one_at_a_time(store, add, path, tmp_path):
    for number in range(30):
        add(f"p{number}", description="x" * 300_000)
    tracemalloc.start()
    try:
        write_archive(path, tmp_path / "copy.jsonl")
        rebuild(tmp_path / "copy.jsonl", tmp_path / "made.db")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "copy.jsonl").stat().st_size > 15_000_000
    assert peak < 6_000_000


def test_full_text_indexes_are_made_again(store):
    with store.write():
        store.database.run("CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT)")
        store.database.run("CREATE VIRTUAL TABLE words USING fts5 (text, content='texts', content_rowid='id')")
        store.database.run("INSERT INTO texts VALUES (7, 'one two')")
        assert store.database.rows("SELECT rowid FROM words WHERE words MATCH 'two'") == []
        make_indexes_again(store.database)
    assert store.database.rows("SELECT rowid FROM words WHERE words MATCH 'two'") == [(7,)]


def test_the_documents_of_an_archive_are_those_of_its_database(store, add, path, archive):
    assert [one.row.document for one in stored_documents(archive)]
    assert list(stored_documents(archive)) == list(stored_documents(path))
