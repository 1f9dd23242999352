"""The file of tokens: a JSON object a line, read when it changes, and written whole.

Lines that are empty or begin with `#` are for people, and stay as they are.
"""

import fcntl
import hmac
import logging
import os
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from pinocchio_core.domain.slugs import parse_slug
from pinocchio_core.errors import SettingsError
from pinocchio_core.service.access.callers import Caller, Token, digest_of, line_of
from pinocchio_core.store.sqlite.files import sync_folder

LOOK_EVERY_S: Final = 1.0
"""How long a change of the file may go unnoticed."""
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_TOKEN_LENGTH: Final = 512
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OPTION: Final = "--auth-tokens"

log = logging.getLogger("pinocchio.access")

_Known = dict[str, tuple[str, Caller, float | None]]
"""By SHA-256: that once more, whose the token is, and when it ends in seconds since 1970."""


class TokenFile:
    """The tokens that are valid now."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            SettingsError: it cannot be read, others can, or a line of it is wrong.
        """
        self.path = path
        self.fault: str | None = None
        """What is wrong with the file since it was last read as a whole; the tokens of then stay valid."""
        self._lock = threading.Lock()
        self._look_at = time.monotonic() + LOOK_EVERY_S
        self._mark = _mark(path)
        self._known = _by_digest(read_tokens(path))

    @property
    def count(self) -> int:
        """How many there are, those that have ended too."""
        return len(self._known)

    def caller(self, sent: str) -> Caller | None:
        """Whose token that is; `None` where it is none or has ended."""
        if time.monotonic() >= self._look_at:
            self._look()
        if len(sent) > MAX_TOKEN_LENGTH:
            return None
        digest = digest_of(sent)
        found = self._known.get(digest)
        if found is None or not hmac.compare_digest(found[0], digest):
            return None
        ends = found[2]
        if ends is not None and time.time() >= ends:
            log.warning('the token "%s" has ended', found[1].name)
            return None
        return found[1]

    def reasons(self) -> list[str]:
        """What is wrong with the file as it is now, if anything is."""
        self._look()
        return [self.fault] if self.fault else []

    def _look(self) -> None:
        """Read the file again if it has changed; one that is wrong changes nothing but `fault`."""
        with self._lock:
            self._look_at = time.monotonic() + LOOK_EVERY_S
            mark = _mark(self.path)
            if mark == self._mark:
                return
            self._mark = mark
            try:
                self._known = _by_digest(read_tokens(self.path))
            except SettingsError as error:
                self.fault = f"{error}; the tokens of before stay in force"
                log.error("%s", self.fault)  # noqa: TRY400  the text says it all
                return
            self.fault = None
            log.info("%s: %d tokens", self.path, len(self._known))


def read_tokens(path: Path) -> list[Token]:
    """The tokens in a file.

    Raises:
        SettingsError: it is no regular file of this user alone, or a line is wrong; the text names the line.
    """
    return [token for _, token in _tokens_of(path, _text_of(path))]


def add_token(path: Path, token: Token) -> None:
    """Write a token to the end of a file, which is made where it is missing.

    Raises:
        SettingsError: the file is wrong, or has a token of that name.
    """
    with _rewriting(path) as lines:
        if any(name == token.name for name, _ in lines):
            raise SettingsError(
                f'{path} has a token "{token.name}" already', next_step="revoke it first, or choose another name"
            )
        lines.append((token.name, line_of(token).decode()))


def remove_token(path: Path, name: str) -> None:
    """Take a token out of a file.

    Raises:
        SettingsError: the file is wrong, or has no token of that name.
    """
    with _rewriting(path) as lines:
        left = [line for line in lines if line[0] != name]
        if len(left) == len(lines):
            raise SettingsError(f'{path} has no token "{name}"', next_step="see pinocchio tokens list")
        lines[:] = left


@contextmanager
def _rewriting(path: Path) -> Iterator[list[tuple[str | None, str]]]:
    """The lines of a file, each with the name of its token; the file has them as they are at the end of the block.

    The folder is locked meanwhile, so that of two who change the file at one time none undoes the other's change.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        text = _text_of(path) if path.exists() or path.is_symlink() else ""
        names = {number: token.name for number, token in _tokens_of(path, text)}
        kept = text.removesuffix("\n").split("\n") if text else []
        lines = [(names.get(number), line) for number, line in enumerate(kept, 1)]
        yield lines
        _replace(path.resolve(), "".join(f"{line}\n" for _, line in lines))
    finally:
        os.close(folder)


def _replace(path: Path, text: str) -> None:
    """Put a file with this text at the path in one step, for this user alone."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  it is a descriptor
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _text_of(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise SettingsError(
            f"{_OPTION} {path} cannot be read: {error.strerror}", next_step="make one with pinocchio tokens create"
        ) from error
    try:
        _require_closed(path, os.fstat(descriptor))
        content = b"".join(iter(lambda: os.read(descriptor, MAX_BYTES + 1), b""))
    finally:
        os.close(descriptor)
    if len(content) > MAX_BYTES:
        raise SettingsError(f"{_OPTION} {path} is larger than {MAX_BYTES} bytes", next_step="name a file of tokens")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{_OPTION} {path}, line {number}: is not UTF-8", next_step="correct the line") from error


def _require_closed(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise SettingsError(
            f"{_OPTION} {path} is no regular file of this user", next_step="make one with pinocchio tokens create"
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & _OTHERS:
        raise SettingsError(
            f"{_OPTION} {path} has permissions {mode:04o}, so others can get at it", next_step=f"chmod 600 {path}"
        )


def _tokens_of(path: Path, text: str) -> Iterator[tuple[int, Token]]:
    """The tokens of a text with the number of each one's line, from 1."""
    seen: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            token = _token_of(line)
        except (ValueError, msgspec.MsgspecError, RecursionError) as error:
            raise _wrong_line(path, number, error) from error
        for what in (token.name, token.sha256):
            if what in seen:
                raise _wrong_line(path, number, f'the token "{token.name}" is that of line {seen[what]} once more')
            seen[what] = number
        yield number, token


def _token_of(line: str) -> Token:
    """The token of a line; ValueError where it is none."""
    token = msgspec.json.decode(line, type=Token)
    for registry in token.registries or ():
        if parse_slug(registry, what="registry slug") != registry:
            raise ValueError(f'the registry "{registry}" must be trimmed and in lower case')
    return token


def _wrong_line(path: Path, number: int, reason: object) -> SettingsError:
    return SettingsError(
        f"{_OPTION} {path}, line {number}: {reason}",
        next_step="correct the line, or remove it and make a new token with pinocchio tokens create",
    )


def _by_digest(tokens: list[Token]) -> _Known:
    return {
        token.sha256: (token.sha256, token.caller(), token.expires_at.timestamp() if token.expires_at else None)
        for token in tokens
    }


def _mark(path: Path) -> tuple[int, ...]:
    """What tells one state of the file from another; empty where it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode, found.st_uid
