"""Files for their owner alone, and which files may be a database."""

import os
import stat
from pathlib import Path

from pinocchio_core.errors import DatabaseRefused

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def create_file(path: Path) -> bool:
    """Make the file (0600) and its missing folders (0700), whatever the umask; False where the file was there already.

    SQLite gives `-wal` and `-shm` the permissions of the database file.
    """
    for parent in reversed([parent for parent in path.parents if not parent.exists()]):
        try:
            parent.mkdir(mode=0o700)
        except FileExistsError:
            continue  # another process was faster
        parent.chmod(0o700)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    return True


def sync_folder(folder: Path) -> None:
    """Make new names in a folder last through a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_plain_file(path: Path) -> None:
    """Raise DatabaseRefused where something is at the path that must not be opened as a database.

    A symbolic link is followed only to a regular file of the user who runs this program: whoever may write the
    folder could otherwise have another's file written.
    """
    if path.is_dir():
        raise DatabaseRefused(f"{path} is a folder", next_step="name a file in it, for example profiles.db")
    if path.is_symlink():
        target = path.resolve()
        if not target.is_file() or target.stat().st_uid != os.geteuid():
            raise DatabaseRefused(
                f"{path} is a symbolic link to {target}, which is no regular file of this user",
                next_step="name the file itself, or link to a file that this user owns",
            )
    elif path.exists() and not path.is_file():
        raise DatabaseRefused(f"{path} is not a regular file", next_step="name another path")


def real_path(path: Path) -> Path:
    """Where a link at the path leads to, the path where it is none: SQLite's own files and ours lie beside that."""
    return path.resolve() if path.is_symlink() else path


def loose_permissions(database: Path, *folders: Path) -> list[str]:
    """What of a database others may read or write, each with the command that closes it; nothing is changed.

    `folders` are where backups are, if not beside it.
    """
    real = real_path(database)
    turns = real.with_name(f"{database.stem}.turns.db")
    own = [Path(f"{file}{suffix}") for file in (real, turns) for suffix in ("", "-wal", "-shm", ".lock")]
    copies = (f"{database.name}.bak.", f"{real.name}.before-restore.")
    places = dict.fromkeys([real.parent, database.parent, *(folder for folder in folders if folder.is_dir())])
    kept = [each for place in places for each in sorted(place.iterdir()) if each.name.startswith(copies)]
    loose = []
    for path in [*own, *kept]:
        mode = _mode(path)
        if mode & _OTHERS:
            loose.append(f"{path} has permissions {mode:04o}, so others can get at prompts: chmod 600 {path}")
    for place in places:
        mode = _mode(place)
        if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
            loose.append(f"others may put files into {place} ({mode:04o}): chmod go-w {place}")
    return loose


def _mode(path: Path) -> int:
    """The permissions of a file, 0 where there is none."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0
