"""Lists of profiles: what a list shows is kept in columns, so no payload is read or decoded."""

from dataclasses import dataclass

import msgspec
from msgspec import Raw, Struct

from pinocchio_core.store.database import Database

_SELECT = (
    "SELECT slug, display_name, description, default_prompt, extensions_json, version"
    " FROM profiles WHERE registry_slug = ? AND slug > ?"
)
_TAGGED = " AND EXISTS (SELECT 1 FROM json_each(profiles.tags_json) WHERE value = ?)"
_MATCHING = (
    " AND (instr(lower(slug), ?) OR instr(lower(coalesce(display_name, '')), ?)"
    " OR instr(lower(coalesce(description, '')), ?))"
)
_EVERYTHING = -1  # what SQLite takes for no LIMIT


@dataclass(frozen=True, kw_only=True)
class ProfileFilter:
    """Which profiles of a registry a list shows."""

    limit: int | None = None
    after: str = ""
    """The slug after which the page begins."""
    text: str = ""
    """A part of the slug, the display name or the description, whatever its case (of ASCII letters)."""
    tag: str = ""


class ListItem(Struct, frozen=True, omit_defaults=True):
    """A profile in a list."""

    slug: str
    is_default: bool
    version: int
    display_name: str | None = None
    description: str | None = None
    default_prompt: str | None = None
    extensions: Raw | msgspec.UnsetType = msgspec.UNSET


def list_profiles(
    database: Database, registry: str, default: str | None, wanted: ProfileFilter
) -> tuple[list[ListItem], bool]:
    """The profiles of a registry that are wanted, by slug, and whether more follow."""
    sql, parameters = _SELECT, [registry, wanted.after]
    if wanted.tag:
        sql, parameters = sql + _TAGGED, [*parameters, wanted.tag]
    if wanted.text:
        sql, parameters = sql + _MATCHING, parameters + [_lower(wanted.text)] * 3
    limit = _EVERYTHING if wanted.limit is None else wanted.limit + 1
    rows = database.rows(f"{sql} ORDER BY slug LIMIT ?", [*parameters, limit])
    more = wanted.limit is not None and len(rows) > wanted.limit
    items = [
        ListItem(
            slug, slug == default, version, name, description, prompt, Raw(extensions) if extensions else msgspec.UNSET
        )
        for slug, name, description, prompt, extensions, version in (rows[:-1] if more else rows)
    ]
    return items, more


def _lower(text: str) -> str:
    """As SQLite's `lower`, which knows ASCII only."""
    return "".join(char.lower() if char.isascii() else char for char in text)
