"""The backups that are kept of a database: listed, and the old ones removed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from pinocchio_core.store.copies.archive import is_archive
from pinocchio_core.store.copies.backup import Format, Manifest, manifest_path, read_manifest, source_of


class Found(Struct, frozen=True, kw_only=True):
    """A backup as it is listed."""

    path: str
    created_at: str
    size_bytes: int
    profiles: int | None
    verified: bool
    """Whether a manifest of its size, with a time, lies beside it; `verify` looks at the content."""
    format: Format


class Pruned(Struct, frozen=True):
    """What pruning did."""

    removed: list[Path]
    failures: list[str]
    """What could not be removed, and why."""


class _Kept(Struct, frozen=True, kw_only=True):
    found: Found
    made: datetime
    ours: bool | None
    """Whether it is of the database, `None` where nothing says so."""


def list_backups(database: Path, folder: Path | None = None, *, now: datetime | None = None) -> list[Found]:
    """The backups of a database that are beside it, or in the folder, the newest first.

    Those of a time that has not come are last: a clock was wrong, and nobody knows when they were made. Those whose
    manifest names another database are left out.
    """
    return [each.found for each in _kept(database, folder, now or datetime.now(UTC))]


def prune(
    database: Path,
    folder: Path | None = None,
    *,
    keep: int | None,
    max_age_s: float | None,
    now: datetime,
    made: Path | None = None,
) -> Pruned:
    """Remove old verified backups of a database, never the newest; one that cannot be removed keeps no other.

    The newest is the one that was `made` just now, whatever clocks say. Copies without a manifest are not ours to
    remove, nor are those that may be of another database.
    """
    verified = [each for each in _kept(database, folder, now) if each.found.verified and each.ours]
    verified.sort(key=lambda each: made is None or Path(each.found.path).name != made.name)
    pruned = Pruned([], [])
    for position, each in enumerate(verified):
        age_s = (now.astimezone() - each.made).total_seconds()
        too_many = keep is not None and position >= keep
        too_old = max_age_s is not None and age_s > max_age_s
        if position and (too_many or too_old):
            _remove(Path(each.found.path), pruned)
    return pruned


def _remove(path: Path, pruned: Pruned) -> None:
    try:
        path.unlink(missing_ok=True)
        manifest_path(path).unlink(missing_ok=True)
    except OSError as error:
        pruned.failures.append(f"cannot remove {path}: {error.strerror or error}")
    else:
        pruned.removed.append(path)


def _kept(database: Path, folder: Path | None, now: datetime) -> list[_Kept]:
    kept = [each for each in _looked_at(database, folder or database.parent) if each.ours is not False]
    return sorted(kept, key=lambda each: (each.made <= now.astimezone(), each.made, each.found.path), reverse=True)


def _looked_at(database: Path, folder: Path) -> Iterator[_Kept]:
    """Every backup in the folder that has the name of the database."""
    for path in folder.glob(f"{_escaped(database.name)}.bak.*"):
        if path.name.endswith(".manifest.json") or ".unfinished-" in path.name or not path.is_file():
            continue
        try:
            manifest, stat = read_manifest(path), path.stat()
        except FileNotFoundError:
            continue  # another process has removed it meanwhile
        said = _said(manifest)
        made = said or datetime.fromtimestamp(stat.st_mtime, UTC).astimezone()
        found = Found(
            path=str(path),
            created_at=made.isoformat("T", "seconds"),
            size_bytes=stat.st_size,
            profiles=manifest.profiles if manifest else None,
            verified=manifest is not None and said is not None and manifest.size_bytes == stat.st_size,
            format="archive" if is_archive(path) else "database",
        )
        yield _Kept(found=found, made=made, ours=_is_of(manifest, path, database))


def _said(manifest: Manifest | None) -> datetime | None:
    """When a backup was made as its manifest says; `None` where that is no moment."""
    try:
        made = datetime.fromisoformat(manifest.created_at) if manifest else None
    except ValueError:
        return None
    return made if made and made.tzinfo else None


def _is_of(manifest: Manifest | None, path: Path, database: Path) -> bool | None:
    """Whether a backup is of the database; `None` where nothing says so.

    Manifests of earlier versions name no database: beside one with their name they are taken to be of it.
    """
    is_beside = path.parent.resolve() in (database.resolve().parent, database.parent.resolve())
    if manifest is None or not manifest.source:
        return True if manifest and is_beside else None
    return manifest.source == source_of(database) or (manifest.beside and is_beside)


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
