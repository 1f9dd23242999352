"""What a failing database means, decided in one place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import peewee

from pinocchio_core.errors import PinocchioError, StoreReadOnly, StoreUnavailable
from pinocchio_core.store.sqlite.library import library

_DAMAGED = "the database file is damaged"
_PASSING = {
    "SQLITE_BUSY": "the database is locked",
    "SQLITE_LOCKED": "the database is locked",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR": "the disk failed to read or write",
    "SQLITE_CANTOPEN": "the database file cannot be opened",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": "the database file is not a database",
    "SQLITE_PROTOCOL": "the database is locked",
    "SQLITE_INTERRUPT": "the database is being closed",
}


def faults() -> tuple[type[Exception], ...]:
    """What the database raises; the last one where SQLite names a part of a damaged schema in its message."""
    return (peewee.DatabaseError, peewee.InterfaceError, *library().errors, UnicodeDecodeError)


@contextmanager
def mapped(meaning: Callable[[BaseException], PinocchioError | None] | None = None) -> Iterator[None]:
    """Turn exceptions of the database into this program's own; programming errors pass through.

    `meaning` says what an exception means, `fault_of` where it is not given.

    Raises:
        StoreUnavailable: the same call may work later.
        StoreReadOnly: the database cannot be written.
    """
    try:
        yield
    except faults() as error:
        fault = (meaning or fault_of)(error)
        if fault is None:
            raise
        raise fault from error


def fault_of(error: BaseException) -> PinocchioError | None:
    """What an exception of the database means; `None` where it is a fault of ours.

    A failed COMMIT is followed by a failing ROLLBACK, so the whole chain of exceptions is looked at.
    """
    for name in _sqlite_names(error):
        if name.startswith("SQLITE_READONLY"):
            return StoreReadOnly("the database file or its folder cannot be written")
        for prefix, reason in _PASSING.items():
            if name.startswith(prefix):
                return StoreUnavailable(f"{reason} ({name})", retry_after_s=5 if prefix == "SQLITE_FULL" else 1)
    return StoreUnavailable(_DAMAGED) if isinstance(error, UnicodeDecodeError) else None


def is_locked(error: BaseException) -> bool:
    """Whether the exception says that another connection holds the database."""
    return any(name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) for name in _sqlite_names(error))


def is_read_only(error: BaseException) -> bool:
    """Whether the exception says that the database cannot be written."""
    return any(name.startswith("SQLITE_READONLY") for name in _sqlite_names(error))


def _sqlite_names(error: BaseException) -> Iterator[str]:
    """SQLite's names of the errors in the chain, the latest first."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if name := library().error_name(link):
            yield name
        link = link.__cause__ or link.__context__
