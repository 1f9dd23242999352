"""How far each webhook has been told of the history: the table `webhook_cursors`."""

from typing import Final

from msgspec import Struct

from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.feed import Place

TABLE: Final = """CREATE TABLE webhook_cursors (
    name TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,
    mark TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    failing_since_ms INTEGER,
    next_at_ms INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    parked INTEGER NOT NULL DEFAULT 0
)"""
_READ = (
    "SELECT seq, mark, attempts, failing_since_ms, next_at_ms, last_error, parked FROM webhook_cursors WHERE name = ?"
)
_WRITE = (
    "INSERT OR REPLACE INTO webhook_cursors"
    " (name, seq, mark, attempts, failing_since_ms, next_at_ms, last_error, parked) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_RESUME = "UPDATE webhook_cursors SET parked = 0, next_at_ms = 0, failing_since_ms = NULL WHERE name = ? AND parked"
_LOSE = "UPDATE webhook_cursors SET seq = max(seq, 1), mark = 'restored'"


class WebhookCursor(Struct, frozen=True, kw_only=True):
    """Where a webhook is, and how it fares."""

    place: Place
    """After the last change that it was told of."""
    attempts: int = 0
    """That failed since then."""
    failing_since_ms: int | None = None
    next_at_ms: int = 0
    """Not before then."""
    last_error: str | None = None
    parked: bool = False
    """Whether nothing more is tried."""


class WebhookCursors:
    """Reads and writes cursors. What writes only runs inside `Database.write`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, name: str) -> WebhookCursor | None:
        """That of a webhook, `None` for one that is new."""
        rows = self._database.rows(_READ, (name,))
        if not rows:
            return None
        seq, mark, attempts, since_ms, next_at_ms, error, parked = rows[0]
        return WebhookCursor(
            place=Place(seq, mark),
            attempts=attempts,
            failing_since_ms=since_ms,
            next_at_ms=next_at_ms,
            last_error=error,
            parked=bool(parked),
        )

    def write(self, name: str, cursor: WebhookCursor) -> None:
        """Set it."""
        place = cursor.place
        state = (cursor.attempts, cursor.failing_since_ms, cursor.next_at_ms, cursor.last_error, int(cursor.parked))
        self._database.run(_WRITE, (name, place.seq, place.mark, *state))

    def resume(self, name: str) -> None:
        """Try again where nothing more was tried."""
        self._database.run(_RESUME, (name,))

    def lose(self) -> None:
        """Have all of them told that the history is another one: it was restored, and so were their cursors."""
        self._database.run(_LOSE)
