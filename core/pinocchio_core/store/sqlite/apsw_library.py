"""The SQLite that `apsw` brings with it; importing this needs the extra `apsw`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import apsw
import peewee
from playhouse.apsw_ext import APSWDatabase

from pinocchio_core.store.sqlite.library import Connection, OpenedElsewhere

_FLAGS: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI


class _Peewee(OpenedElsewhere, APSWDatabase):
    pass


class ApswLibrary:
    """The module `apsw`."""

    name = "apsw"
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    errors: tuple[type[Exception], ...] = (apsw.Error,)

    def open(self, uri: str, *, timeout_s: float) -> Any:
        """See `Library`."""
        connection = apsw.Connection(uri, flags=_FLAGS)
        connection.set_busy_timeout(int(timeout_s * 1000))
        return connection

    def peewee(self, connect: Callable[[], Connection], pragmas: Mapping[str, str | int]) -> peewee.SqliteDatabase:
        """See `Library`."""
        database = _Peewee("sqlite", pragmas=dict(pragmas), thread_safe=False)
        database.opened = connect
        return database

    def changed(self, connection: Any, sql: str, parameters: Sequence[Any]) -> int:
        """See `Library`."""
        connection.execute(sql, parameters)
        return int(connection.changes())

    def progress(self, connection: Any) -> tuple[bool, int]:
        """See `Library`."""
        return connection.in_transaction, connection.total_changes()

    def copy(self, source: Any, target: Any) -> None:
        """See `Library`."""
        with target.backup("main", source, "main") as backup:
            backup.step(-1)

    def error_name(self, error: BaseException) -> str | None:
        """See `Library`."""
        code = getattr(error, "extendedresult", None)
        if code is None:
            return None
        name = apsw.mapping_extended_result_codes.get(code) or apsw.mapping_result_codes.get(code & 0xFF)
        return None if name is None else str(name)

    def is_broken_text(self, error: BaseException) -> bool:
        """See `Library`."""
        return isinstance(error, UnicodeDecodeError)

    def rows_of_broken_text(self, connection: Any, sql: str, parameters: Sequence[Any]) -> list[Any]:
        """As bytes, with the type of each value beside it: `apsw` decodes strictly, whatever it is told."""
        import apsw.ext

        described = apsw.ext.query_info(connection, sql, parameters).description
        names = [f"c{number}" for number in range(len(described))]
        values = ", ".join(f"typeof({it}), iif(typeof({it}) = 'text', CAST({it} AS BLOB), {it})" for it in names)
        rows = connection.execute(f"WITH found ({', '.join(names)}) AS ({sql}) SELECT {values} FROM found", parameters)
        return [tuple(map(_read, row[::2], row[1::2])) for row in rows.fetchall()]


def _read(kind: str, value: Any) -> Any:
    return value.decode("utf-8", "backslashreplace") if kind == "text" else value
