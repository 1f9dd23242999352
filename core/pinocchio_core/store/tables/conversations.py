"""Conversations: what was said, and what each turn ran with; a database of its own.

A turn is there from its beginning, so that a user's message is kept whatever becomes of the answer.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from pinocchio_core.domain.turns import Block, BlockKind
from pinocchio_core.errors import ConversationNotFound
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.living import Living

RUNNING, COMPLETED, FAILED, CANCELLED = "running", "completed", "failed", "cancelled"

_COLUMNS = (
    "conv_id, number, turn_id, status, idempotency_key, request_sha256, registry, profile, runtime_key,"
    " profile_version, runtime_fingerprint, plugins_json, server_process, started_at_ms, ended_at_ms, blocks_json,"
    " answer_json"
)
_INSERT = f"INSERT INTO turns ({_COLUMNS}) VALUES ({', '.join('?' * 17)})"
_OF = f"SELECT {_COLUMNS} FROM turns WHERE conv_id = ? ORDER BY number"
_BEFORE = f"SELECT {_COLUMNS} FROM turns WHERE conv_id = ? AND number < ? ORDER BY number DESC LIMIT ?"
_BY_KEY = f"SELECT {_COLUMNS} FROM turns WHERE conv_id = ? AND idempotency_key = ?"
_RUNNING = f"SELECT {_COLUMNS} FROM turns WHERE conv_id = ? AND status = '{RUNNING}'"
_END = (
    "UPDATE turns SET status = ?, ended_at_ms = ?, blocks_json = ?, answer_json = ? WHERE conv_id = ? AND turn_id = ?"
)
_KEEP = "UPDATE conversations SET updated_at_ms = ?, state_json = coalesce(?, state_json) WHERE conv_id = ?"
_LIST = (
    "SELECT conv_id, created_at_ms, updated_at_ms, (SELECT count(*) FROM turns WHERE conv_id = c.conv_id)"
    " FROM conversations c WHERE owner IS coalesce(?, owner) ORDER BY updated_at_ms DESC, conv_id LIMIT ?"
)
_TOUCH = (
    "INSERT INTO conversations (conv_id, created_at_ms, updated_at_ms, owner) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (conv_id) DO UPDATE SET updated_at_ms = excluded.updated_at_ms"
)
_PRUNE = (
    "DELETE FROM conversations WHERE (updated_at_ms < ?"
    " OR conv_id NOT IN (SELECT conv_id FROM conversations ORDER BY updated_at_ms DESC, conv_id LIMIT ?))"
    f" AND conv_id NOT IN (SELECT conv_id FROM turns WHERE status = '{RUNNING}')"
)


class StoredTurn(Struct, frozen=True, kw_only=True):
    """A turn as it is stored."""

    conv_id: str
    number: int
    """From 1 in each conversation."""
    turn_id: str
    status: str
    idempotency_key: str | None
    request_sha256: str
    registry: str
    profile: str
    runtime_key: str
    profile_version: int
    runtime_fingerprint: str
    plugins_json: str
    server_process: int
    """The number of the process that runs it, see `Living`; where an older version began it, a process id."""
    started_at_ms: int
    ended_at_ms: int | None = None
    blocks_json: str
    """What the turn added: the user's block, and those after it."""
    answer_json: str | None = None
    """The answer of a completed turn, the problem of a failed one."""

    def document(self) -> dict[str, Any]:
        """It as JSON."""
        told = {name: getattr(self, name) for name in _TOLD}
        return told | {
            "plugins": msgspec.Raw(self.plugins_json.encode()),
            "blocks": msgspec.Raw(self.blocks_json.encode()),
            "answer": msgspec.Raw((self.answer_json or "null").encode()),
        }

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What the turn added."""
        return blocks_of(self.blocks_json)


_TOLD = tuple(
    name
    for name in StoredTurn.__struct_fields__
    if name not in ("conv_id", "request_sha256", "plugins_json", "server_process", "blocks_json", "answer_json")
)


class Retention(Struct, frozen=True, kw_only=True):
    """How long conversations are kept; `None` is for ever."""

    keep: int | None = None
    """How many of those that were changed last."""
    max_age_s: float | None = None
    """How long after the last change."""


FOR_EVER: Final = Retention()


class ConversationStore:
    """Reads and writes conversations."""

    def __init__(self, database: Database, living: Living, *, clock: Callable[[], int]) -> None:
        """`clock` gives milliseconds since 1970."""
        self.database = database
        self.living = living
        self.now_ms = clock

    def history(self, conv_id: str) -> list[StoredTurn]:
        """The turns of a conversation, the oldest first; none where there is no such conversation."""
        return [_turn(row) for row in self.database.rows(_OF, (conv_id,))]

    def before(self, turn: StoredTurn, limit: int) -> list[StoredTurn]:
        """The newest turns of a conversation before one of them, the oldest first."""
        return [_turn(row) for row in reversed(self.database.rows(_BEFORE, (turn.conv_id, turn.number, limit)))]

    def count(self) -> int:
        """How many conversations there are."""
        return int(self.database.rows("SELECT count(*) FROM conversations")[0][0])

    def state(self, conv_id: str) -> dict[str, Any]:
        """What plugins keep with the conversation."""
        rows = self.database.rows("SELECT state_json FROM conversations WHERE conv_id = ?", (conv_id,))
        return dict(msgspec.json.decode(rows[0][0])) if rows else {}

    def by_key(self, conv_id: str, key: str) -> StoredTurn | None:
        """The turn with this idempotency key."""
        rows = self.database.rows(_BY_KEY, (conv_id, key))
        return _turn(rows[0]) if rows else None

    def running(self, conv_id: str) -> StoredTurn | None:
        """The turn that runs."""
        rows = self.database.rows(_RUNNING, (conv_id,))
        return _turn(rows[0]) if rows else None

    def owner(self, conv_id: str) -> tuple[str | None] | None:
        """Whose conversation it is, `(None,)` for nobody's; `None` where there is no such conversation."""
        rows = self.database.rows("SELECT owner FROM conversations WHERE conv_id = ?", (conv_id,))
        return (rows[0][0],) if rows else None

    def recent(self, limit: int, *, owner: str | None = None) -> list[dict[str, Any]]:
        """The conversations that were changed last, of one owner or of all."""
        names = ("conv_id", "created_at_ms", "updated_at_ms", "turns")
        return [dict(zip(names, row, strict=True)) for row in self.database.rows(_LIST, (owner, limit))]

    def begin(self, turn: StoredTurn, *, owner: str | None = None) -> StoredTurn:
        """Add a turn that runs, at the end of its conversation; inside `Database.write`.

        A new conversation is `owner`'s.
        A turn with its idempotency key that did not complete is replaced.
        """
        self.database.run(_TOUCH, (turn.conv_id, turn.started_at_ms, turn.started_at_ms, owner))
        if turn.idempotency_key is not None:
            key = (turn.conv_id, turn.idempotency_key)
            self.database.run("DELETE FROM turns WHERE conv_id = ? AND idempotency_key = ?", key)
        last = self.database.rows("SELECT coalesce(max(number), 0) FROM turns WHERE conv_id = ?", (turn.conv_id,))
        numbered = msgspec.structs.replace(turn, number=last[0][0] + 1)
        self.database.run(_INSERT, msgspec.structs.astuple(numbered))
        return numbered

    def give_up(self, turn: StoredTurn) -> None:
        """Count a turn that nobody runs any more as failed; inside `Database.write`."""
        sql = "UPDATE turns SET status = ? WHERE conv_id = ? AND turn_id = ?"
        self.database.run(sql, (FAILED, turn.conv_id, turn.turn_id))

    def end(
        self, turn: StoredTurn, *, status: str, blocks: Sequence[Block], answer: Any, state: Any | None = None
    ) -> None:
        """Write what became of a turn, and what plugins keep, `None` to leave that as it is."""
        now = self.now_ms()
        ended = (status, now, blocks_json(blocks), _text(answer), turn.conv_id, turn.turn_id)
        kept = (now, None if state is None else _text(state), turn.conv_id)

        def write() -> None:
            self.database.run(_END, ended)
            self.database.run(_KEEP, kept)

        self.database.group.run(write)

    def delete(self, conv_id: str) -> None:
        """Remove a conversation with all its turns; ConversationNotFound where there is none."""
        with self.database.write():
            if not self.database.run("DELETE FROM conversations WHERE conv_id = ?", (conv_id,)):
                raise ConversationNotFound(conv_id)

    def prune(self, retention: Retention) -> int:
        """Remove what is not to be kept any longer; returns how many. A conversation in which a turn runs stays."""
        age_s, keep = retention.max_age_s, retention.keep
        oldest = -1 if age_s is None else self.now_ms() - int(age_s * 1000)
        with self.database.write():
            return self.database.run(_PRUNE, (oldest, -1 if keep is None else keep))

    def close(self) -> None:
        """Close the database; what still runs of this process counts as failed from then on."""
        self.database.close()
        self.living.close()


def blocks_json(blocks: Sequence[Block]) -> str:
    """Blocks as JSON text, without the fields that are empty."""
    return msgspec.json.encode([_block_document(block) for block in blocks], enc_hook=str).decode()


def blocks_of(text: str) -> tuple[Block, ...]:
    """Blocks from their JSON text."""
    return tuple(Block(**{**each, "kind": BlockKind(each["kind"])}) for each in msgspec.json.decode(text))


def _block_document(block: Block) -> dict[str, Any]:
    fields = {"text": block.text, "tool": block.tool, "call_id": block.call_id, "metadata": dict(block.metadata)}
    document = {"kind": block.kind.value} | {name: value for name, value in fields.items() if value}
    return document if block.arguments is None else document | {"arguments": dict(block.arguments)}


def _text(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()  # a plugin may put anything into metadata


def _turn(row: tuple[Any, ...]) -> StoredTurn:
    return StoredTurn(**dict(zip(StoredTurn.__struct_fields__, row, strict=True)))
