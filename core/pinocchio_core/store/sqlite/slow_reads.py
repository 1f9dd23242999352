"""Reads that do not go as usual: of a database that others have locked, and of text that is no UTF-8."""

from collections.abc import Sequence
from typing import Any, Final

from pinocchio_core.store.sqlite.blocking import about_to_block
from pinocchio_core.store.sqlite.connections import Slot
from pinocchio_core.store.sqlite.faults import faults, mapped
from pinocchio_core.store.sqlite.library import library

NO_WAITING: Final = "PRAGMA busy_timeout = 0"
"""What connections for reads are opened with: a thread that must not wait may be using them."""


def rows_in_time(slot: Slot, sql: str, parameters: Sequence[Any], *, timeout_ms: int) -> list[tuple[Any, ...]]:
    """The rows of a statement, waiting for who has locked the database; then as before.

    Raises:
        WouldBlock: this thread must not wait.
    """
    about_to_block()
    with slot.lock:
        connection = slot.open()
        connection.execute(f"PRAGMA busy_timeout = {timeout_ms}")
        try:
            return connection.execute(sql, parameters).fetchall()
        except faults() as error:
            if library().is_broken_text(error):
                return rows_of_broken_text(slot, sql, parameters)
            raise
        finally:
            connection.execute(NO_WAITING)


def rows_of_broken_text(slot: Slot, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement, with escapes for what is no UTF-8: one damaged row must not hide the others."""
    with mapped(), slot.lock:
        return library().rows_of_broken_text(slot.open(), sql, parameters)
