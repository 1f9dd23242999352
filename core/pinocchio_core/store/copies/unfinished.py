"""Files that are being made: under a name of their own until they are whole, and removed when their process has died.

Beside each lies a note that stays locked while the process runs. So the next one tells what is being made from what was
left, also in containers, where processes have the same ids.
"""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

from pinocchio_core.store.sqlite.files import create_file
from pinocchio_core.store.sqlite.presence import locked

Making = Literal["unfinished", "restoring"]
"""What is being made: a backup, or what a restore puts in place or keeps; part of the name."""

_NOTE: Final = ".note"
_SIDECARS: Final = ("-wal", "-shm", "-journal", ".lock")


def note_path(path: Path) -> Path:
    """The note beside an unfinished file."""
    return Path(f"{path}{_NOTE}")


@contextmanager
def unfinished(final: Path, making: Making, *, database: Path, ending: str = "") -> Iterator[Path]:
    """An empty file beside `final` to make it in, of a database; in the end it is removed where it still has its name.

    Others of this database in the folder are removed first, if their processes have died.
    """
    begin = f".{making}-{hashlib.sha256(bytes(database.resolve())).hexdigest()[:12]}-"
    for left in list(final.parent.glob(f"*{begin}*{_NOTE}")):
        with suppress(OSError):
            _remove_if_left(left)
    lock = None
    while lock is None:  # where another process takes the new note for one that was left
        path = final.with_name(f"{final.name}{begin}{secrets.token_hex(4)}{ending}")
        lock = _noted(note_path(path))
    try:
        create_file(path)
        yield path
    finally:
        _remove(path)
        os.close(lock)


def _noted(note: Path) -> int | None:
    """Make a note and lock it; `None` where it is not there any more then."""
    create_file(note)
    with suppress(FileNotFoundError):
        file = os.open(note, os.O_RDWR)
        if _locked(file) is not False and note.exists():
            return file
        os.close(file)
    return None


def _remove_if_left(note: Path) -> None:
    file = os.open(note, os.O_RDWR)
    try:
        if _locked(file):
            _remove(Path(str(note).removesuffix(_NOTE)))
    finally:
        os.close(file)


def _locked(file: int) -> bool | None:
    """Lock a file; False where another process has, `None` where its disk knows no locks."""
    try:
        return locked(file, shared=False)
    except OSError:
        return None


def _remove(path: Path) -> None:
    """Remove a file and what belongs to it, its note only where nothing else is left."""
    for each in (path, *(Path(f"{path}{suffix}") for suffix in _SIDECARS)):
        with suppress(OSError):
            each.unlink(missing_ok=True)
    if not path.exists():
        with suppress(OSError):
            note_path(path).unlink(missing_ok=True)
