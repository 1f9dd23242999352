"""What a DSN or a path says about the database: where it is and how to open it.

The forms and names are go-sqlite3's, because the runbook (step 1) uses them. Python's own `sqlite3` would silently
ignore every one of its parameters, so they are parsed here, and an unknown one is an error.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from msgspec import Struct, field

from pinocchio_core.domain.slugs import shown
from pinocchio_core.domain.suggestions import nearest
from pinocchio_core.errors import SettingsError

DEFAULT_PARAMETERS = "_journal_mode=WAL&_busy_timeout=5000&_foreign_keys=on"
"""What a plain path stands for (runbook, step 1)."""
MAX_BUSY_TIMEOUT_MS = 600_000


class Dsn(Struct, frozen=True, kw_only=True):
    """A parsed DSN."""

    path: Path | None
    """The database file, absolute; `None` for a database in memory."""
    busy_timeout_ms: int = 5000
    pragmas: Mapping[str, str | int] = field(default_factory=dict)
    """Pragmas to set on each connection."""
    uri_parameters: Mapping[str, str] = field(default_factory=dict)
    """SQLite's own URI parameters: `mode`, `cache`, `immutable`."""

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written through it."""
        return (
            self.uri_parameters.get("mode") == "ro"
            or self.uri_parameters.get("immutable") == "1"
            or self.pragmas.get("query_only") == 1
        )

    @property
    def uri(self) -> str:
        """The file URI for SQLite; a database in memory is shared by its name among this process's connections."""
        parameters = "&".join(f"{name}={value}" for name, value in self.uri_parameters.items())
        if self.path is None:
            return f"file:/pinocchio-{id(self):x}?vfs=memdb"
        return _uri(self.path) + (f"?{parameters}" if parameters else "")

    def __str__(self) -> str:
        return "memory (nothing is kept)" if self.path is None else str(self.path)


def file_uri(path: Path, mode: str) -> str:
    """The URI for SQLite of a file that is opened with `mode`: `ro`, `rw` or `rwc`."""
    return f"{_uri(path.absolute())}?mode={mode}"


def _uri(path: Path) -> str:
    return f"file://{quote(bytes(path))}"  # as bytes, so that file names that are not valid UTF-8 work too


def dsn_of_path(path: str) -> Dsn:
    """The DSN that `--profile-registry-db PATH` stands for (storage contract, "Where")."""
    location = _located(path)
    if not path.strip() or "\0" in path or location is None:
        raise SettingsError(
            f"--profile-registry-db {shown(path)} is no path", next_step="name a file, for example ./data/profiles.db"
        )
    pragmas, busy_timeout_ms, _ = _parameters(DEFAULT_PARAMETERS)
    return Dsn(path=None if path == ":memory:" else location, busy_timeout_ms=busy_timeout_ms, pragmas=pragmas)


def parse_dsn(text: str) -> Dsn:
    """The DSN behind `--profile-registry-dsn`.

    Raises:
        SettingsError: a parameter is unknown or has a bad value, the path is missing, or the engine is not supported.
    """
    scheme = text.partition("://")[0].lower()
    if scheme in ("postgresql", "postgres", "mysql", "mariadb"):
        raise SettingsError(
            f"the DSN names a {scheme} database, which this version does not open",
            next_step="use a SQLite database: file:./data/profiles.db?" + DEFAULT_PARAMETERS,
        )
    location, _, query = text.partition("?")
    path = _file_path(location)
    pragmas, busy_timeout_ms, own = _parameters(query)
    if own.get("mode") == "memory":
        path, own = None, {}
    dsn = Dsn(path=path, busy_timeout_ms=busy_timeout_ms, pragmas=pragmas, uri_parameters=own)
    if path is None and dsn.read_only:
        raise SettingsError("a database in memory that is read-only stays empty", next_step="name a database file")
    return dsn


def _file_path(location: str) -> Path | None:
    raw = location.removeprefix("file:")
    if location.startswith("file:") and raw.startswith("//"):
        authority, slash, rest = raw[2:].partition("/")
        if authority.lower() not in ("", "localhost"):
            raise SettingsError(
                f"the DSN names the host {shown(authority)}; a database file is always local",
                next_step="write file:/absolute/path or file:./relative/path",
            )
        raw = slash + rest
    path = _bytes_of(raw)
    if location.startswith("file:"):
        path = unquote_to_bytes(path)
    if not path.strip() or b"\0" in path:
        raise SettingsError("the DSN names no file", next_step="write file:./data/profiles.db?" + DEFAULT_PARAMETERS)
    return None if path == b":memory:" else Path(path.decode("utf-8", "surrogateescape")).absolute()


def _located(path: str) -> Path | None:
    """The path, absolute; `None` where it could name nothing: an unknown user's home, or no text at all."""
    try:
        os.fsencode(path)
        return Path(path).expanduser().absolute()
    except (RuntimeError, ValueError):  # the latter for a NUL, and for what has no bytes
        return None


def _bytes_of(path: str) -> bytes:
    """The bytes of a file's name as the command line gave it; empty where no file can have it."""
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return b""


def _parameters(query: str) -> tuple[Mapping[str, str | int], int, Mapping[str, str]]:
    """The pragmas, the busy timeout in milliseconds, and SQLite's own parameters."""
    pragmas = dict(_DEFAULT_PRAGMAS)
    own: dict[str, str] = {}
    busy_timeout_ms = 5000
    seen: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        known = _known(name)
        if seen.setdefault(known, value) != value:
            raise SettingsError(f"the DSN gives {known} twice, as {shown(seen[known])} and {shown(value)}")
        parsed = _VALUES[known](name, value)
        if known == "_busy_timeout":
            busy_timeout_ms = int(parsed)
        elif known in _OWN:
            own[known] = str(parsed)
        elif known != "_txlock":  # every write begins IMMEDIATE, whichever is asked for
            pragmas[known.removeprefix("_")] = parsed
    if pragmas["journal_mode"] == "DELETE" and "_synchronous" not in seen:
        pragmas["synchronous"] = "EXTRA"  # FULL does not sync the removal of the journal, which is the commit
    return MappingProxyType(pragmas), busy_timeout_ms, MappingProxyType(own)


def _known(name: str) -> str:
    known = _SHORT_FORMS.get(name, name)
    if known not in _VALUES:
        near = nearest(name, [*_VALUES, *_SHORT_FORMS])
        raise SettingsError(
            f"unknown DSN parameter {shown(name)}" + (f"; did you mean {near}?" if near else ""),
            next_step=f"known: {', '.join(sorted(_VALUES))}",
        )
    return known


def _bad(name: str, value: str, expected: str) -> SettingsError:
    return SettingsError(f"DSN parameter {name} is {shown(value)}", next_step=f"give it {expected}")


def _one_of(values: Mapping[str, str | int]) -> Callable[[str, str], str | int]:
    def parse(name: str, value: str) -> str | int:
        if value.lower() not in values:
            raise _bad(name, value, "one of " + ", ".join(values))
        return values[value.lower()]

    return parse


def _integer(low: int, high: int) -> Callable[[str, str], int]:
    def parse(name: str, value: str) -> int:
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 12 and low <= int(value) <= high):
            raise _bad(name, value, f"an integer from {low} to {high}")
        return int(value)

    return parse


_SWITCH: dict[str, str | int] = {"1": 1, "yes": 1, "true": 1, "on": 1, "0": 0, "no": 0, "false": 0, "off": 0}
_DEFAULT_PRAGMAS: dict[str, str | int] = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "foreign_keys": 1,
    "trusted_schema": 0,
}
_OWN = ("mode", "cache", "immutable")


def _names(*names: str) -> dict[str, str | int]:
    return {name.lower(): name for name in names}


def _numbered(*names: str) -> dict[str, str | int]:
    return _names(*names) | {str(number): name for number, name in enumerate(names)}


_VALUES: dict[str, Callable[[str, str], str | int]] = {
    "_journal_mode": _one_of(_names("DELETE", "TRUNCATE", "PERSIST", "MEMORY", "WAL", "OFF")),
    "_busy_timeout": _integer(0, MAX_BUSY_TIMEOUT_MS),
    "_foreign_keys": _one_of(_SWITCH),
    "_synchronous": _one_of(_numbered("OFF", "NORMAL", "FULL", "EXTRA")),
    "_cache_size": _integer(-(2**31), 2**31 - 1),
    "_txlock": _one_of(_names("IMMEDIATE", "DEFERRED", "EXCLUSIVE")),
    "_secure_delete": _one_of({**_SWITCH, "fast": "FAST", "default": 0}),
    "_auto_vacuum": _one_of(_numbered("NONE", "FULL", "INCREMENTAL")),
    "_query_only": _one_of(_SWITCH),
    "mode": _one_of(_names("ro", "rw", "rwc", "memory")),
    "cache": _one_of(_names("shared", "private")),
    "immutable": _one_of(_SWITCH),
}
_SHORT_FORMS = {
    "_journal": "_journal_mode",
    "_timeout": "_busy_timeout",
    "_fk": "_foreign_keys",
    "_sync": "_synchronous",
    "_vacuum": "_auto_vacuum",
}
