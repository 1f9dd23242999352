"""Whether a database is whole: its pages, its references, and each document against its checksum."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import msgspec
from msgspec import Struct

from pinocchio_core.domain.profile import Registry
from pinocchio_core.errors import DatabaseRefused, Problem, RowUnreadable
from pinocchio_core.store.layouts.migrations import APPLICATION_ID, LATEST
from pinocchio_core.store.sqlite.faults import is_read_only
from pinocchio_core.store.sqlite.library import Connection, connected, library
from pinocchio_core.store.tables.history import past_profile
from pinocchio_core.store.tables.revisions import REGISTRY_ITSELF
from pinocchio_core.store.tables.rows import UNDECODABLE, StoredProfile

MAX_PROBLEMS = 100
_PAGE = 500
_PROFILES = (
    "SELECT registry_slug, slug, CAST(payload_json AS BLOB), payload_sha256, version FROM profiles"
    " WHERE (registry_slug, slug) > (?, ?) ORDER BY registry_slug, slug LIMIT ?"
)
_REGISTRIES = (
    "SELECT CAST(slug AS TEXT), coalesce(CAST(payload_json AS BLOB), x'') FROM profile_registries ORDER BY slug"
)
_REVISIONS = (
    "SELECT seq, registry_slug, slug, CAST(version AS INTEGER), CAST(payload_json AS BLOB) FROM profile_revisions"
    " WHERE seq > ? AND payload_json IS NOT NULL ORDER BY seq LIMIT ?"
)
_LABELS = "SELECT registry_slug, slug, label, version, protected FROM profile_labels ORDER BY 1, 2, 3"
_MARKS = ("user_version", "application_id")
_decode_registry = msgspec.json.Decoder(Registry).decode

Progress = Callable[[int, int], None]
"""Called with how many profiles were looked at, and how many there are; with 0 of 1 at the beginning."""

Judge = Callable[[bytes], Sequence[Problem]]
"""What the installed plugins have against a stored document."""


class Inspection(Struct, frozen=True, kw_only=True):
    """What was found in a database."""

    path: Path
    size_bytes: int
    layout: int
    """The layout's version, 0 for the original program's."""
    registries: int
    profiles: int
    revisions: int
    content_sha256: str
    """Over every registry, profile and label, and how far the history goes; equal where the content is."""
    highest_version: int
    problems: tuple[str, ...]
    """At most MAX_PROBLEMS."""
    lost: tuple[str, ...] = ()
    """Versions of the history that are broken, at most MAX_PROBLEMS; they keep no copy from being made."""
    refused: tuple[str, ...] = ()
    """Profiles that the installed plugins would not accept, and why, where that was asked for; at most MAX_PROBLEMS."""

    @property
    def sound(self) -> bool:
        """Whether all that is served today is what was written."""
        return not self.problems


def inspect_database(path: Path, *, progress: Progress = lambda _, __: None, judge: Judge | None = None) -> Inspection:
    """Look at every page and every document of a database, without changing it; also ask `judge` about each profile.

    Raises:
        DatabaseRefused: there is no database of ours at the path.
    """
    progress(0, 1)
    with one_moment(path) as connection:
        return _inspected(path, connection, progress, judge)


@contextmanager
def one_moment(path: Path) -> Iterator[Connection]:
    """A database or a backup as it is now, for reading alone; servers may go on.

    Raises:
        DatabaseRefused: there is no file of SQLite's, or it cannot be read to the end.
    """
    require_file(path)
    try:
        with connected(path) as connection:
            connection.execute("BEGIN")
            yield connection
    except library().errors as error:
        if is_read_only(error):
            raise DatabaseRefused(
                f"a write to {path} was cut short, and only who may write it can take that back",
                next_step="start a server on it once",
            ) from error
        raise DatabaseRefused(
            f"{path} cannot be read as a database: {error}", next_step="take another backup, or restore one"
        ) from error


def require_file(path: Path) -> None:
    """Raise DatabaseRefused where there is no file with something in it at the path."""
    if not path.is_file():
        raise DatabaseRefused(f"there is no file at {path}", next_step="check the path")
    if path.stat().st_size == 0:
        raise DatabaseRefused(f"{path} is empty, which is no database", next_step="name another file")


def layout_of(path: Path, connection: Connection) -> int:
    """The version of its layout, 0 for the original program's; DatabaseRefused where it is none of ours."""
    layout, mark = (int(connection.execute(f"PRAGMA {name}").fetchall()[0][0]) for name in _MARKS)
    ours = "profile_registries" in tables_of(connection) and mark == (APPLICATION_ID if layout else 0)
    if not ours or layout > LATEST:
        raise DatabaseRefused(
            f"{path} is not a database of this program, or of a newer version of it"
            f" (application_id {mark:#x}, layout {layout})",
            next_step="name another file, or use the version that wrote it",
        )
    return layout


def tables_of(connection: Connection) -> set[str]:
    """The names of its tables."""
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()}


def _inspected(path: Path, connection: Connection, progress: Progress, judge: Judge | None) -> Inspection:
    def number(sql: str) -> int:
        return int(connection.execute(sql).fetchall()[0][0] or 0)

    layout = layout_of(path, connection)
    digest, problems = hashlib.sha256(), list(_page_problems(connection))
    refused: list[str] = []
    lost: tuple[str, ...] = ()
    problems += _registry_problems(connection, digest, original=layout == 0)
    if "profile_labels" in tables_of(connection):
        _add_labels(connection, digest)
    if layout == 0:
        counts = {"profiles": 0, "revisions": 0, "highest_version": 0}
    else:
        counts = {
            "profiles": number("SELECT count(*) FROM profiles"),
            "revisions": number("SELECT count(*) FROM profile_revisions"),
            "highest_version": number(
                "SELECT max(version) FROM (SELECT max(version) AS version FROM profile_revisions"
                " UNION ALL SELECT max(version) FROM profiles UNION ALL SELECT max(version) FROM profile_registries)"
            ),
        }
        digest.update(f"{counts['revisions']} {number('SELECT max(seq) FROM profile_revisions')}".encode())
        for row in profile_rows(connection, lambda done: progress(done, counts["profiles"])):
            digest.update(f"{row.registry} {row.slug} {row.version} {row.sha256}\n".encode())
            try:
                row.profile()
            except RowUnreadable as error:
                problems.append(str(error))
            else:
                refused += _refusal(row, judge)
        lost = tuple(islice(_lost_versions(connection), MAX_PROBLEMS))
    return Inspection(
        path=path,
        size_bytes=number("PRAGMA page_count") * number("PRAGMA page_size"),
        layout=layout,
        registries=number("SELECT count(*) FROM profile_registries"),
        content_sha256=digest.hexdigest(),
        problems=tuple(problems[:MAX_PROBLEMS]),
        lost=lost,
        refused=tuple(refused[:MAX_PROBLEMS]),
        **counts,
    )


def _page_problems(connection: Connection) -> Iterator[str]:
    for (text,) in connection.execute(f"PRAGMA integrity_check({MAX_PROBLEMS})").fetchall():
        if text != "ok":
            yield str(text)
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchall():
        yield f"row {row} of {table} has no {parent}"


def _registry_problems(connection: Connection, digest: "hashlib._Hash", *, original: bool) -> Iterator[str]:
    for slug, payload in connection.execute(_REGISTRIES).fetchall():
        digest.update(payload)
        try:
            if original:
                msgspec.json.decode(payload)
            else:
                _decode_registry(payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield f'registry "{slug}": {error}'


def _lost_versions(connection: Connection) -> Iterator[str]:
    """Of every version that is kept of a profile or a registry, since labels and requests may name any of them."""
    last = 0
    while rows := connection.execute(_REVISIONS, (last, _PAGE)).fetchall():
        for _, registry, slug, version, payload in rows:
            try:
                if slug == REGISTRY_ITSELF:
                    _decode_registry(payload)
                else:
                    past_profile(registry, slug, version, payload)
            except RowUnreadable as error:
                yield str(error)
            except UNDECODABLE as error:
                yield f'version {version} of registry "{registry}": {error}'
        last = rows[-1][0]


def _add_labels(connection: Connection, digest: "hashlib._Hash") -> None:
    for row in connection.execute(_LABELS).fetchall():
        digest.update(f"label {row!r}\n".encode())


def profile_rows(connection: Connection, progress: Callable[[int], None] = lambda _: None) -> Iterator[StoredProfile]:
    """Every profile's row, by registry and slug."""
    done, last = 0, ("", "")
    while rows := connection.execute(_PROFILES, (*last, _PAGE)).fetchall():
        for registry, slug, payload, sha256, version in rows:
            yield StoredProfile(registry, slug, payload, sha256, version, is_default=False)
        done, last = done + len(rows), (rows[-1][0], rows[-1][1])
        progress(done)


def _refusal(row: StoredProfile, judge: Judge | None) -> list[str]:
    problems = judge(row.payload) if judge else ()
    if not problems:
        return []
    first, more = problems[0], f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
    return [f'profile "{row.slug}" in registry "{row.registry}": {first.field}: {first.reason}{more}']
