"""Which profiles a list shows, as SQL: each condition finds what it holds for by an index, or is asked of a row."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.search import MIDDLEWARE, TAG, lowered, text_numbers

_FEW: Final = 2000
"""What a filter may find for its finds to be sorted; where it finds more, a page is full soon enough in their order."""
_TRIGRAM: Final = 3
_OUT_OF_INDEX = re.compile("[\n\0\ufffd\ufffe\uffff]")
"""What keeps its texts apart, and what SQLite takes for one another."""
_ALL = "profiles p WHERE p.registry_slug = ?"
# CROSS JOIN: what a filter found comes first, whatever SQLite would guess
_FOUND = "({keys}) found CROSS JOIN profiles p ON p.registry_slug = ? AND p.slug = found.slug WHERE true"
_COUNT_ALL = "SELECT count(*) FROM profiles WHERE registry_slug = ?"


class ProfileFilter(Struct, frozen=True, kw_only=True):
    """Which profiles of a registry a list shows."""

    limit: int | None = None
    after: str = ""
    """The slug after which the page begins."""
    text: str = ""
    """A part of the slug, the display name or the description, whatever its case (of ASCII letters)."""
    tag: str = ""
    middleware: str = ""
    """The name of one that the profile uses."""
    label: str = ""
    """One that the profile has, as it is stored."""
    changed_since_ms: int | None = None
    total: int | None = None
    """How many the registry has, where that is known already."""

    @property
    def takes_all(self) -> bool:
        """Whether every profile of the registry is on one of the pages."""
        return not (self.text or self.tag or self.middleware or self.label) and self.changed_since_ms is None


class Source(Struct, frozen=True):
    """What to select profiles `p` from, with all conditions; another one and an order may follow."""

    sql: str
    parameters: tuple[Any, ...]
    slug: str
    """The column that they are in the order of."""
    total: int | None
    """How many there are, where that was asked for."""


class _Condition(Struct, frozen=True):
    keys: str
    """Selects the slugs of all profiles that it holds for."""
    of_keys: tuple[Any, ...]
    holds: str
    """Tells whether it holds for `p`."""
    of_holds: tuple[Any, ...]
    in_order: bool = False
    """Whether `keys` finds them by slug."""


def source_of(database: Database, registry: str, wanted: ProfileFilter) -> Source:
    """The profiles of a registry that are wanted; counted where a page of them is."""
    conditions = list(_conditions(database, registry, wanted))
    if wanted.limit is None:
        first = next((each for each in conditions if each.in_order), None)
        return _combined(registry, conditions, first, None)
    if not conditions:
        total = _count(database, _COUNT_ALL, (registry,)) if wanted.total is None else wanted.total
        return Source(_ALL, (registry,), "p.slug", total)
    counts = [_count(database, f"SELECT count(*) FROM ({each.keys})", each.of_keys) for each in conditions]
    fewest = min(counts)
    first = conditions[counts.index(fewest)]
    source = _combined(registry, conditions, first if first.in_order or fewest <= _FEW else None, fewest)
    if len(conditions) == 1:
        return source
    total = _count(database, f"SELECT count(*) FROM {source.sql}", source.parameters)
    return Source(source.sql, source.parameters, source.slug, total)


def _combined(registry: str, conditions: Sequence[_Condition], first: _Condition | None, total: int | None) -> Source:
    """All conditions, with `first` to find the profiles, or nothing but their own order."""
    rest = [each for each in conditions if each is not first]
    held = "".join(f" AND {each.holds}" for each in rest)
    values = tuple(value for each in rest for value in each.of_holds)
    if first is None:
        return Source(_ALL + held, (registry, *values), "p.slug", total)
    found = _FOUND.format(keys=first.keys)
    return Source(found + held, (*first.of_keys, registry, *values), "found.slug", total)


def _count(database: Database, sql: str, parameters: Sequence[Any]) -> int:
    return int(database.rows(sql, parameters)[0][0])


def _conditions(database: Database, registry: str, wanted: ProfileFilter) -> Iterator[_Condition]:
    for kind, term in ((TAG, wanted.tag), (MIDDLEWARE, wanted.middleware)):
        if term:
            yield _of_term(registry, kind, term)
    if wanted.label:
        yield _Condition(
            "SELECT slug FROM profile_labels WHERE registry_slug = ? AND label = ?",
            (registry, wanted.label),
            "EXISTS (SELECT 1 FROM profile_labels l WHERE l.registry_slug = p.registry_slug AND l.slug = p.slug"
            " AND l.label = ?)",
            (wanted.label,),
            in_order=True,
        )
    if wanted.text:
        yield _of_text(database, registry, lowered(wanted.text))
    if wanted.changed_since_ms is not None:
        since = wanted.changed_since_ms
        keys = "SELECT slug FROM profiles INDEXED BY profiles_by_time WHERE registry_slug = ? AND updated_at_ms >= ?"
        yield _Condition(keys, (registry, since), "p.updated_at_ms >= ?", (since,))


def _of_term(registry: str, kind: str, term: str) -> _Condition:
    return _Condition(
        "SELECT slug FROM profile_terms WHERE registry_slug = ? AND kind = ? AND term = ?",
        (registry, kind, term),
        "EXISTS (SELECT 1 FROM profile_terms t WHERE t.registry_slug = p.registry_slug AND t.slug = p.slug"
        " AND t.kind = ? AND t.term = ?)",
        (kind, term),
        in_order=True,
    )


def _of_text(database: Database, registry: str, needle: str) -> _Condition:
    if _OUT_OF_INDEX.search(needle):
        texts = ("p.slug", "coalesce(p.display_name, '')", "coalesce(p.description, '')")
        holds = "({})".format(" OR ".join(f"instr(lower({text}), ?)" for text in texts))
        return _Condition(f"SELECT p.slug FROM {_ALL} AND {holds}", (registry, *[needle] * 3), holds, (needle,) * 3)
    holds = "instr((SELECT t.text FROM profile_texts t WHERE t.registry_slug = p.registry_slug AND t.slug = p.slug), ?)"
    if len(needle) < _TRIGRAM:
        keys = "SELECT slug FROM profile_texts WHERE registry_slug = ? AND instr(text, ?)"
        return _Condition(keys, (registry, needle), holds, (needle,))
    keys = (
        "SELECT (SELECT t.slug FROM profile_texts t WHERE t.id = profile_trigrams.rowid) AS slug"
        " FROM profile_trigrams WHERE profile_trigrams MATCH ? AND rowid >= ? AND rowid < ?"
    )
    quoted = '"{}"'.format(needle.replace('"', '""'))
    numbers = text_numbers(database, registry) or (0, 0)
    return _Condition(keys, (quoted, *numbers), holds, (needle,))
