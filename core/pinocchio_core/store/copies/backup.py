"""Backups: consistent copies of a database that others may be writing, verified before they count."""

import hashlib
import itertools
import os
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, structs

from pinocchio_core.domain.slugs import printable
from pinocchio_core.errors import DatabaseRefused
from pinocchio_core.store.copies.archive import ENDING, is_archive, write_archive
from pinocchio_core.store.copies.checks import Inspection, Judge, Progress, inspect_database, require_file
from pinocchio_core.store.copies.unarchive import as_database
from pinocchio_core.store.copies.unfinished import note_path, unfinished
from pinocchio_core.store.sqlite.faults import fault_of
from pinocchio_core.store.sqlite.files import sync_folder
from pinocchio_core.store.sqlite.library import connected, library, sqlite_version

Format = Literal["database", "archive"]
"""A copy of the file, or a portable archive."""


class Manifest(Struct, frozen=True, kw_only=True):
    """What a verified backup has in it; lies beside it as `<name>.manifest.json`."""

    file: str
    database: str
    created_at: str
    size_bytes: int
    file_sha256: str
    layout: int
    registries: int
    profiles: int
    revisions: int
    highest_version: int
    content_sha256: str
    plugins: dict[str, str]
    """Distributions and their versions."""
    sqlite: str
    format: Format = "database"
    source: str = ""
    """Where the database is, without links; empty in manifests of earlier versions."""
    beside: bool = False
    """Whether the backup was made in the folder of the database, so that both are moved together."""


def backup_name(database: Path, now: datetime, folder: Path | None = None, *, kind: Format = "database") -> Path:
    """Where a backup goes that was not told so: beside the database or in the folder, with the local time.

    Where a copy of that second is there already, a number follows.
    """
    first = (folder or database.parent) / f"{database.name}.bak.{now:%Y%m%d-%H%M%S}"
    return free_name(first, ENDING if kind == "archive" else "")


def free_name(first: Path, ending: str = "") -> Path:
    """The path and its ending, with a number between them where that is taken."""
    names = itertools.chain([first.name], (f"{first.name}-{number}" for number in itertools.count(2)))
    return next(path for name in names if not (path := first.with_name(name + ending)).exists())


def source_of(database: Path) -> str:
    """What manifests tell a database by from others with its name: where it is, without links."""
    return printable(str(database.resolve()))


def manifest_path(backup: Path) -> Path:
    """The manifest of a backup."""
    return backup.with_name(f"{backup.name}.manifest.json")


def make_backup(
    database: Path,
    destination: Path,
    *,
    plugins: Mapping[str, str],
    now: datetime,
    progress: Progress = lambda _, __: None,
) -> Manifest:
    """Copy a database while it may be written, verify the copy, and only then give it its name.

    Where that ends as archives do, it is one.

    Raises:
        DatabaseRefused: there is no database, the destination is there already or cannot be written, or the copy is
            not sound; nothing is left behind.
    """
    require_file(database)
    for taken in (destination, manifest_path(destination)):
        if taken.exists():
            raise DatabaseRefused(f"{taken} exists already", next_step="name a file that does not exist")
    archive = is_archive(destination)
    try:
        with unfinished(destination, "unfinished", database=database, ending=ENDING if archive else "") as copy:
            (write_archive if archive else copy_database)(database, copy)
            found = _inspected(copy, progress=progress)
            if not found.sound:
                raise DatabaseRefused(
                    f"the copy of {database} is not sound: " + "; ".join(found.problems),
                    next_step="see `pinocchio profiles verify`, and repair or restore the database",
                )
            manifest = _manifest(found, copy, database=database, destination=destination, plugins=plugins, now=now)
            _publish(copy, destination, manifest)
    except OSError as error:
        raise DatabaseRefused(
            f"cannot write {destination}: {error.strerror or error}", next_step="choose another place, or make space"
        ) from error
    except library().errors as error:
        raise DatabaseRefused(
            f"cannot copy {database} to {destination}: {fault_of(error) or error}",
            next_step="check the free space and the database",
        ) from error
    return manifest


def copy_database(source: Path, destination: Path) -> None:
    """Copy a database into an empty file, in one step: copies in several never end while others write.

    The copy is complete in that one file.
    """
    with connected(source, timeout_s=30) as reader, connected(destination, mode="rw", timeout_s=30) as writer:
        library().copy(reader, writer)
        writer.execute("PRAGMA journal_mode = DELETE").fetchall()


def verify(path: Path, *, progress: Progress = lambda _, __: None, judge: Judge | None = None) -> Inspection:
    """Inspect a database or a backup, and compare it with the manifest beside it, where there is one.

    `judge` says what the installed plugins have against a document.

    Raises:
        DatabaseRefused: it cannot be read at all.
    """
    require_file(path)
    manifest = read_manifest(path)
    problems: list[str] = []
    if manifest and manifest.file_sha256 != _file_sha256(path):
        problems.append(f"{path} is not the file that its manifest is about: the hash is another one")
    found = _inspected(path, progress=progress, judge=judge)
    if manifest and manifest.content_sha256 != found.content_sha256:
        problems.append(f"the content of {path} is not what its manifest says")
    return structs.replace(found, problems=(*problems, *found.problems))


def _inspected(path: Path, *, progress: Progress, judge: Judge | None = None) -> Inspection:
    """What is in a database, or in the one that an archive comes to."""
    with as_database(path) as database:
        found = inspect_database(database, progress=progress, judge=judge)
    return found if database == path else structs.replace(found, path=path, size_bytes=path.stat().st_size)


def read_manifest(backup: Path) -> Manifest | None:
    """The manifest of a backup, `None` where there is none that can be read."""
    try:
        return msgspec.json.decode(manifest_path(backup).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError):
        return None


def _manifest(
    found: Inspection, copy: Path, *, database: Path, destination: Path, plugins: Mapping[str, str], now: datetime
) -> Manifest:
    return Manifest(
        file=printable(destination.name),
        database=printable(database.name),
        source=source_of(database),
        beside=destination.parent.resolve() == database.resolve().parent,
        created_at=now.astimezone().isoformat("T", "seconds"),
        size_bytes=copy.stat().st_size,
        file_sha256=_file_sha256(copy),
        layout=found.layout,
        registries=found.registries,
        profiles=found.profiles,
        revisions=found.revisions,
        highest_version=found.highest_version,
        content_sha256=found.content_sha256,
        plugins=dict(plugins),
        sqlite=sqlite_version(),
        format="archive" if is_archive(copy) else "database",
    )


def _publish(copy: Path, destination: Path, manifest: Manifest) -> None:
    """Write the manifest of a verified copy, and give both their names, the copy last: what has its name is whole."""
    written = note_path(copy)
    with written.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    with ExitStack() as undo:  # a link fails where somebody has taken the name meanwhile
        for source, name in ((written, manifest_path(destination)), (copy, destination)):
            os.link(source, name)
            undo.callback(name.unlink)
        sync_folder(destination.parent)
        undo.pop_all()


def _file_sha256(path: Path) -> str:
    """The hash of a file that this process does not have open as a database."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
