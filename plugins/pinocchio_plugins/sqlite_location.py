"""Where the `dsn` of a sqlite use may lead: to files below the folders that the operator named.

A `dsn` comes from a profile, so whoever may write profiles chooses it. Nothing here opens a file: closing any
handle of the profile database would drop the locks that SQLite holds on it in this process.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

OPTION: Final = "--sqlite-tool-root"
ENVIRONMENT: Final = "PINOCCHIO_SQLITE_TOOL_ROOT"
MAX_SHOWN: Final = 80
"""Characters of a dsn that a message repeats."""
SIDECARS: Final = ("", "-wal", "-shm", "-journal")
"""What SQLite appends to a database's name; the database itself first."""


class DsnRefused(Exception):
    """A dsn that must not be opened; the text says why and names the option where that helps."""


@dataclass(frozen=True, kw_only=True)
class AllowedFolders:
    """The folders that the operator named, and the databases that are out of bounds even below them."""

    roots: tuple[Path, ...] = ()
    profile_database: Path | None = None
    conversations: Path | None = None
    """The database of conversations."""

    def locate(self, dsn: str) -> str:
        """The file that a dsn leads to, absolute and free of symbolic links; it need not exist yet.

        Raises:
            DsnRefused: it is no dsn of a file, or the file is out of bounds.
        """
        path = path_of(dsn)
        if not self.roots:
            raise DsnRefused(
                f"{shown(dsn)} is not allowed: the operator named no folder with {OPTION} or {ENVIRONMENT}"
            )
        real = os.path.realpath(path)
        if not any(Path(real).is_relative_to(os.path.realpath(root)) for root in self.roots):
            raise DsnRefused(f"{shown(dsn)} is not below a folder that the operator named with {OPTION}")
        _refuse_other_than_file(real, dsn)
        for what, database in (("profile", self.profile_database), ("server's own", self.conversations)):
            if database is not None and _belongs_to(real, os.path.realpath(database)):
                raise DsnRefused(f"{shown(dsn)} is the {what} database, which {OPTION} never opens")
        return real


def path_of(dsn: str) -> str:
    """The path in a dsn: a bare path, or `file:PATH` with percent-escapes and at most `?mode=ro`.

    Raises:
        DsnRefused: it is none of these.
    """
    try:
        dsn.encode()
    except UnicodeEncodeError:
        raise DsnRefused("has characters that no file name can have") from None
    path = _path_of_uri(dsn.removeprefix("file:")) if dsn.startswith("file:") else dsn
    if not path.strip():
        raise DsnRefused("names no file")
    if path == ":memory:":
        raise DsnRefused("an in-memory database is empty; name a file")
    if "\0" in path:
        raise DsnRefused("has a NUL character in it")
    if "://" in dsn and not dsn.startswith("file:"):
        # Not repeated in the message: such addresses often hold a password.
        raise DsnRefused("is an address of another kind; write a path or file:PATH")
    return path


def shown(dsn: str) -> str:
    """A dsn as a message may repeat it: quoted, cut, control characters escaped."""
    return repr(dsn if len(dsn) <= MAX_SHOWN else dsn[: MAX_SHOWN - 1] + "…")


def _path_of_uri(rest: str) -> str:
    if "#" in rest:
        raise DsnRefused("has a fragment; write # in a path as %23")
    escaped, _, parameters = rest.partition("?")
    if parameters not in {"", "mode=ro"}:
        raise DsnRefused("has parameters; mode=ro is the only one that is allowed")
    if escaped.startswith("//"):
        authority, slash, tail = escaped[2:].partition("/")
        if authority not in {"", "localhost"}:
            raise DsnRefused("names another host; write file:PATH or file:///PATH")
        escaped = slash + tail
    return os.fsdecode(unquote_to_bytes(escaped))


def _refuse_other_than_file(path: str, dsn: str) -> None:
    try:
        mode = Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise DsnRefused(f"{shown(dsn)} cannot be looked up: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise DsnRefused(f"{shown(dsn)} is not a regular file")


def _belongs_to(path: str, database: str) -> bool:
    return any(_same_file(path, database + suffix) for suffix in SIDECARS)


def _same_file(one: str, other: str) -> bool:
    try:
        return one == other or Path(one).samefile(other)
    except OSError:
        return False
