"""Lists of profiles: each row has its item as ready JSON, so no payload is read and nothing is decoded."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.filters import ProfileFilter, source_of
from pinocchio_core.store.tables.scan import QUARANTINED, RowState

# as a BLOB: the bytes go to the client as they are, and a row of broken UTF-8 does not stop the statement
_COLUMNS = "p.slug, CAST(p.item_json AS BLOB), p.version"
_EVERYTHING = -1  # what SQLite takes for no LIMIT
_DEFAULT, _OTHER = b',"is_default":true}', b',"is_default":false}'

_check_items = msgspec.json.Decoder(list[Raw]).decode


class Page(Struct, frozen=True):
    """Profiles of a registry as a JSON array."""

    document: bytes
    slugs: list[str]
    more: bool
    """Whether there are profiles after these."""
    total: int | None
    """How many there are on all pages; `None` where the list is not paged."""


def list_profiles(
    database: Database, registry: str, default: str | None, wanted: ProfileFilter, states: Mapping[str, RowState]
) -> Page:
    """The profiles of a registry that are wanted, by slug; one that is damaged has its `state` and little else.

    `states` says what else is known of rows that are not well, by slug; it holds for one version of each.
    """
    limit = _EVERYTHING if wanted.limit is None else wanted.limit + 1
    source = source_of(database, registry, wanted)
    sql = f"SELECT {_COLUMNS} FROM {source.sql} AND {source.slug} > ? ORDER BY {source.slug} LIMIT ?"
    rows = database.rows(sql, [*source.parameters, wanted.after, limit])
    more = wanted.limit is not None and len(rows) > wanted.limit
    rows = rows[:-1] if more else rows
    slugs = [row[0] for row in rows]
    items = [item[:-1] + (_DEFAULT if slug == default else _OTHER) for slug, item, _ in rows]
    document = _joined(_marked(rows, items, states) if states else items)
    try:
        if not document.isascii():
            document.decode()  # msgspec does not look into what it leaves raw
        _check_items(document)
    except (msgspec.DecodeError, UnicodeDecodeError):
        document = _joined([_sound(row, default, states) for row in rows])
    return Page(document, slugs, more, source.total)


def _joined(items: list[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


def _marked(rows: Sequence[tuple[Any, ...]], items: list[bytes], states: Mapping[str, RowState]) -> list[bytes]:
    marked = []
    for (slug, _, version), item in zip(rows, items, strict=True):
        state = states.get(slug)
        marked.append(item[:-1] + state.members + b"}" if state and state.version == version else item)
    return marked


def _sound(row: tuple[Any, ...], default: str | None, states: Mapping[str, RowState]) -> bytes:
    slug, item, version = row
    try:
        known = msgspec.json.decode(item, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        known = {"slug": slug, "version": version, "state": QUARANTINED}
    else:
        state = states.get(slug)
        known |= state.told if state and state.version == version else {}
    return msgspec.json.encode(known | {"is_default": slug == default})
