"""Which files a dsn may lead to."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinocchio_plugins.sqlite_location import (
    ENVIRONMENT,
    MAX_SHOWN,
    OPTION,
    AllowedFolders,
    DsnRefused,
    path_of,
    shown,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "open"
    folder.mkdir()
    return folder


@pytest.fixture
def folders(root: Path, tmp_path: Path) -> AllowedFolders:
    database = root / "profiles.db"
    database.write_bytes(b"profiles")
    (tmp_path / "outside.db").write_bytes(b"outside")
    return AllowedFolders(roots=(root,), profile_database=database)


@pytest.mark.parametrize(
    ("dsn", "path"),
    [
        ("data/a.db", "data/a.db"),
        ("/data/a b?.db", "/data/a b?.db"),
        ("100%25.db", "100%25.db"),
        ("file:data/a.db", "data/a.db"),
        ("file:/data/a%20b%3f%23.db", "/data/a b?#.db"),
        ("file:///data/a.db", "/data/a.db"),
        ("file://localhost/data/a.db?mode=ro", "/data/a.db"),
        ("file:a.db?mode=ro", "a.db"),
        ("file:a.db?", "a.db"),
        ("FILE:a.db", "FILE:a.db"),
    ],
)
def test_path_of_reads_paths_and_file_uris(dsn: str, path: str) -> None:
    assert path_of(dsn) == path


@pytest.mark.parametrize(
    ("dsn", "reason"),
    [
        ("", "names no file"),
        ("  ", "names no file"),
        ("file:", "names no file"),
        ("file:?mode=ro", "names no file"),
        ("file://localhost", "names no file"),
        (":memory:", "in-memory"),
        ("file::memory:", "in-memory"),
        ("file:%3Amemory%3a", "in-memory"),
        ("a\0b", "NUL"),
        ("file:a%00b", "NUL"),
        ("file:a.db?mode=rw", "mode=ro"),
        ("file:a.db?mode=memory", "mode=ro"),
        ("file:a.db?mode=ro&vfs=unix-none", "mode=ro"),
        ("file:a.db?immutable=1", "mode=ro"),
        ("file:a.db#x", "fragment"),
        ("file://elsewhere/a.db", "host"),
        ("file://LOCALHOST.example/a.db", "host"),
        ("postgresql://me:secret@host/db", "another kind"),
        ("a\ud800", "characters"),
        ("file:a\ud800", "characters"),
    ],
)
def test_path_of_refuses_everything_else(dsn: str, reason: str) -> None:
    with pytest.raises(DsnRefused, match=reason) as refused:
        path_of(dsn)
    assert "secret" not in str(refused.value)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_below_the_root_or_refused(dsn: str) -> None:
    folder = os.path.realpath(os.curdir)
    for form in (dsn, f"file:{dsn}"):
        try:
            path = AllowedFolders(roots=(Path(folder),)).locate(form)
        except DsnRefused as refusal:
            assert len(str(refusal)) < 700
        else:
            assert path.startswith(folder + os.sep)


@settings(deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=300))
def test_shown_repeats_no_more_than_it_may(dsn: str) -> None:
    cut = shown(dsn)
    assert len(cut.replace("\\", "")) <= MAX_SHOWN + 2
    assert cut.isprintable()


def test_nothing_is_allowed_without_folders(root: Path) -> None:
    (root / "a.db").touch()
    with pytest.raises(DsnRefused, match=f"the operator named no folder with {OPTION} or {ENVIRONMENT}"):
        AllowedFolders().locate(str(root / "a.db"))


def test_file_below_a_root_is_located(folders: AllowedFolders, root: Path) -> None:
    (root / "deep").mkdir()
    real = root / "deep" / "a b.db"
    real.touch()
    assert folders.locate(f"file:{root}/deep/a%20b.db") == os.path.realpath(real)
    assert folders.locate(f"{root}/deep/../deep/a b.db") == os.path.realpath(real)


def test_file_that_is_not_there_yet_is_allowed(folders: AllowedFolders, root: Path) -> None:
    assert folders.locate(str(root / "later" / "a.db")) == os.path.realpath(root / "later" / "a.db")


def test_second_root_counts_too(folders: AllowedFolders, tmp_path: Path, root: Path) -> None:
    two = AllowedFolders(roots=(root, tmp_path), profile_database=folders.profile_database)
    assert two.locate(str(tmp_path / "outside.db")) == os.path.realpath(tmp_path / "outside.db")


def test_root_may_be_a_link(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    assert AllowedFolders(roots=(link,)).locate(str(link / "a.db")) == os.path.realpath(root / "a.db")


@pytest.mark.parametrize("form", ["{tmp}/outside.db", "{root}/../outside.db", "file:{root}/%2e%2e/outside.db"])
def test_file_outside_is_refused(folders: AllowedFolders, root: Path, tmp_path: Path, form: str) -> None:
    with pytest.raises(DsnRefused, match=f"not below a folder that the operator named with {OPTION}"):
        folders.locate(form.format(root=root, tmp=tmp_path))


def test_folder_with_the_same_beginning_is_outside(folders: AllowedFolders, tmp_path: Path) -> None:
    (tmp_path / "open2").mkdir()
    with pytest.raises(DsnRefused, match="not below"):
        folders.locate(str(tmp_path / "open2" / "a.db"))


def test_links_that_lead_outside_are_refused(folders: AllowedFolders, root: Path, tmp_path: Path) -> None:
    (root / "file.db").symlink_to(tmp_path / "outside.db")
    (root / "folder").symlink_to(tmp_path)
    for dsn in (root / "file.db", root / "folder" / "outside.db"):
        with pytest.raises(DsnRefused, match="not below"):
            folders.locate(str(dsn))


def test_link_that_stays_inside_is_followed(folders: AllowedFolders, root: Path) -> None:
    (root / "real.db").touch()
    (root / "link.db").symlink_to("real.db")
    assert folders.locate(str(root / "link.db")) == os.path.realpath(root / "real.db")


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_profile_database_is_refused_with_its_sidecars(folders: AllowedFolders, root: Path, suffix: str) -> None:
    with pytest.raises(DsnRefused, match="is the profile database"):
        folders.locate(f"{root}/profiles.db{suffix}")


def test_the_database_of_conversations_is_refused(folders: AllowedFolders, root: Path) -> None:
    own = replace(folders, conversations=root / "turns.db")
    with pytest.raises(DsnRefused, match="is the server's own database"):
        own.locate(str(root / "turns.db"))
    assert own.locate(str(root / "other.db")) == str(root / "other.db")


def test_profile_database_is_refused_through_links(folders: AllowedFolders, root: Path) -> None:
    (root / "profiles.db-wal").write_bytes(b"wal")
    (root / "soft.db").symlink_to("profiles.db")
    os.link(root / "profiles.db", root / "hard.db")
    os.link(root / "profiles.db-wal", root / "hard-wal.db")
    for name in ("soft.db", "hard.db", "hard-wal.db"):
        with pytest.raises(DsnRefused, match="is the profile database"):
            folders.locate(str(root / name))


def test_other_file_is_allowed_though_the_profile_database_is_gone(folders: AllowedFolders, root: Path) -> None:
    (root / "a.db").touch()
    (root / "profiles.db").unlink()
    assert folders.locate(str(root / "a.db")) == os.path.realpath(root / "a.db")


def test_only_regular_files_are_allowed(folders: AllowedFolders, root: Path) -> None:
    (root / "folder").mkdir()
    os.mkfifo(root / "pipe")
    for path in (root, root / "folder", root / "pipe"):
        with pytest.raises(DsnRefused, match="not a regular file"):
            folders.locate(str(path))


def test_name_that_the_system_cannot_look_up_is_refused(folders: AllowedFolders, root: Path) -> None:
    (root / "loop").symlink_to("loop")
    for name in ("loop", "a" * 5000):
        with pytest.raises(DsnRefused, match="cannot be looked up") as refused:
            folders.locate(str(root / name))
        assert "a" * (MAX_SHOWN + 1) not in str(refused.value)
