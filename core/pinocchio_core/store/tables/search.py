"""What lists are searched by: a narrow row and a trigram index for the text of each profile, and a row for each term.

They are written in the transaction that changes the profile, and only where what they hold is another one then; the
index at its end, by rising numbers. SQLite makes a new piece of the index for all that comes so, and another one for
what does not: pieces that have to be merged later.
"""

import string
from collections.abc import Iterator
from typing import Final

from pinocchio_core.domain.profile import Profile
from pinocchio_core.errors import StoreUnavailable
from pinocchio_core.store.sqlite.database import Database

TAG: Final = "tag"
MIDDLEWARE: Final = "middleware"
SHADOWS: Final = "profile_trigrams_"
"""What the names of the tables begin with that SQLite makes for the trigram index; it decides how they look."""
BITS: Final = 40
"""The upper bits of the number of a text are those of its registry, so that the index can search that alone."""

TABLES: Final = (
    """CREATE TABLE profile_texts (
        id INTEGER PRIMARY KEY,
        registry_slug TEXT NOT NULL,
        slug TEXT NOT NULL,
        text TEXT NOT NULL,
        UNIQUE (registry_slug, slug)
    )""",
    """CREATE VIRTUAL TABLE profile_trigrams USING fts5 (
        text, content='profile_texts', content_rowid='id', columnsize=0, tokenize='trigram case_sensitive 1'
    )""",
    """CREATE TABLE profile_terms (
        registry_slug TEXT NOT NULL,
        slug TEXT NOT NULL,
        kind TEXT NOT NULL,
        term TEXT NOT NULL,
        PRIMARY KEY (registry_slug, slug, kind, term)
    ) WITHOUT ROWID""",
    "CREATE INDEX profiles_by_term ON profile_terms (registry_slug, kind, term, slug)",
    "CREATE INDEX profiles_by_time ON profiles (registry_slug, updated_at_ms)",
)
_FILL_TEXTS = f"""INSERT INTO profile_texts (id, registry_slug, slug, text)
    SELECT (dense_rank() OVER (ORDER BY registry_slug) << {BITS}) + row_number() OVER (ORDER BY registry_slug, slug),
    registry_slug, slug,
    lower(slug || char(10) || coalesce(display_name, '') || char(10) || coalesce(description, ''))
    FROM profiles"""
_WITH_NUL = "SELECT text, id FROM profile_texts WHERE instr(text, char(0))"
_FILL = (
    # pieces of the index that are merged at once; more often, and one commit of a hundred takes three times as long
    "INSERT INTO profile_trigrams (profile_trigrams, rank) VALUES ('automerge', 8)",
    "INSERT INTO profile_trigrams (profile_trigrams) VALUES ('rebuild')",
    f"""INSERT OR IGNORE INTO profile_terms SELECT registry_slug, slug, '{TAG}', value
        FROM profiles, json_each(CASE WHEN json_valid(tags_json) THEN tags_json ELSE '[]' END)""",
    f"""INSERT OR IGNORE INTO profile_terms SELECT registry_slug, slug, '{MIDDLEWARE}',
        json_extract(CASE type WHEN 'object' THEN value ELSE '{{}}' END, '$.name')
        FROM profiles, json_each(CASE WHEN json_valid(payload_json) THEN payload_json ELSE '{{}}' END,
                                 '$.runtime.middlewares')""",
)
_ANY_OF = "SELECT id FROM profile_texts WHERE registry_slug = ? LIMIT 1"
_LAST = "SELECT coalesce(max(id), 0) FROM profile_texts"
_LAST_OF = "SELECT max(id) FROM profile_texts WHERE id < ?"
_ADD_TEXT = "INSERT OR IGNORE INTO profile_texts (id, registry_slug, slug, text) VALUES (?, ?, ?, ?)"
_TEXT = "SELECT id, text FROM profile_texts WHERE registry_slug = ? AND slug = ?"
_CHANGE_TEXT = "UPDATE profile_texts SET text = ? WHERE id = ?"
_REMOVE_TEXT = "DELETE FROM profile_texts WHERE id = ?"
_ADD_TRIGRAMS = "INSERT INTO profile_trigrams (rowid, text) VALUES (?, ?)"
_REMOVE_TRIGRAMS = "INSERT INTO profile_trigrams (profile_trigrams, rowid, text) VALUES ('delete', ?, ?)"
_ADD_TERM = "INSERT OR IGNORE INTO profile_terms (registry_slug, slug, kind, term) VALUES (?, ?, ?, ?)"
_REMOVE_TERM = "DELETE FROM profile_terms WHERE registry_slug = ? AND slug = ? AND kind = ? AND term = ?"
_REMOVE_TERMS = "DELETE FROM profile_terms WHERE registry_slug = ? AND slug = ?"
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

_Term = tuple[str, str]


def lowered(text: str) -> str:
    """As SQLite's `lower`, which knows ASCII only."""
    return text.translate(_LOWER)


def text_numbers(database: Database, registry: str) -> tuple[int, int] | None:
    """The first number that a text of a registry can have, and the first that is none; `None` where it has no texts."""
    rows = database.rows(_ANY_OF, (registry,))
    if not rows:
        return None
    number = int(rows[0][0]) >> BITS
    return number << BITS, (number + 1) << BITS


def fill(database: Database) -> None:
    """Make the tables, and fill them from the profiles that there are."""
    for statement in (*TABLES, _FILL_TEXTS):
        database.run(statement)
    for text, number in database.rows(_WITH_NUL):  # which SQLite's own `replace` cannot replace
        database.run("UPDATE profile_texts SET text = ? WHERE id = ?", (text.replace("\0", "\n"), number))
    for statement in _FILL:
        database.run(statement)


class SearchRows:
    """Keeps these rows. All of it only runs inside `Database.write`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._moved: dict[int, tuple[str | None, str | None]] = {}
        """By its number, the text that the index has and the one that it is to have; `None` for none."""

    def put(self, profile: Profile) -> None:
        """Those of a profile that is new, or written over one of which nothing is known."""
        self.remove(profile.registry, profile.slug)
        self._add_text(profile)
        self._add_terms(profile, set(_terms(profile)))

    def change(self, old: Profile, new: Profile) -> None:
        """Those of a profile that is written over `old`."""
        if (old.display_name, old.description) != (new.display_name, new.description):
            self._change_text(new)
        if _said(old) == _said(new):
            return
        before, after = set(_terms(old)), set(_terms(new))
        for term in before - after:
            self._database.run(_REMOVE_TERM, (new.registry, new.slug, *term))
        self._add_terms(new, after - before)

    def remove(self, registry: str, slug: str) -> None:
        """Those of a profile that is no more."""
        self._remove_text(registry, slug)
        self._database.run(_REMOVE_TERMS, (registry, slug))

    def _change_text(self, profile: Profile) -> None:
        there, text = self._database.rows(_TEXT, (profile.registry, profile.slug)), _text_of(profile)
        for number, before in there:
            self._database.run(_CHANGE_TEXT, (text, number))
            self._index(number, before, text)
        if not there:
            self._add_text(profile)

    def _add_text(self, profile: Profile) -> None:
        text = _text_of(profile)
        number = self._next_number(profile.registry)
        if not self._database.run(_ADD_TEXT, (number, profile.registry, profile.slug, text)):
            raise StoreUnavailable("the database file is damaged: what lists are searched by is not where it should be")
        self._index(number, None, text)

    def _next_number(self, registry: str) -> int:
        numbers = text_numbers(self._database, registry)
        if numbers is None:
            return ((int(self._database.rows(_LAST)[0][0]) >> BITS) + 1) << BITS
        return int(self._database.rows(_LAST_OF, (numbers[1],))[0][0]) + 1

    def _remove_text(self, registry: str, slug: str) -> None:
        for number, text in self._database.rows(_TEXT, (registry, slug)):
            self._database.run(_REMOVE_TEXT, (number,))
            self._index(number, text, None)

    def _index(self, number: int, before: str | None, after: str | None) -> None:
        if self not in self._database.endings:
            self._database.endings[self] = self._write_index
            self._moved = {}
        first, _ = self._moved.get(number, (before, None))
        self._moved[number] = (first, after)

    def _write_index(self) -> None:
        for number, (before, after) in sorted(self._moved.items()):
            if before is not None:
                self._database.run(_REMOVE_TRIGRAMS, (number, before))
            if after is not None:
                self._database.run(_ADD_TRIGRAMS, (number, after))

    def _add_terms(self, profile: Profile, terms: set[_Term]) -> None:
        for term in terms:
            self._database.run(_ADD_TERM, (profile.registry, profile.slug, *term))


def _text_of(profile: Profile) -> str:
    """What is searched of a profile: line breaks keep the three apart, and what is searched for has none."""
    text = "\n".join((profile.slug, profile.display_name or "", profile.description or ""))
    return lowered(text).replace("\0", "\n")


def _said(profile: Profile) -> tuple[object, object]:
    """What its terms come from."""
    return profile.metadata.tags, profile.runtime.middlewares


def _terms(profile: Profile) -> Iterator[_Term]:
    yield from ((TAG, tag) for tag in profile.metadata.tags or ())
    yield from ((MIDDLEWARE, use.name) for use in profile.runtime.middlewares or ())
