"""Files that hold profiles: opened with care, and found in folders."""

import json
import os
import stat
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from pinocchio_core.domain import json_text, limits
from pinocchio_core.errors import FileProblem, FilesRefused, InvalidRequest

MAX_FILE_BYTES: Final = 32 * 1024 * 1024
_MAX_VALUES: Final = 10_000_000
_MAX_DEPTH: Final = limits.MAX_DEPTH + 4
"""A profile may be as deep as in a request, and is inside others; each is checked by itself later."""


@dataclass(frozen=True)
class SourceFile:
    """A file that was read."""

    path: Path
    text: str = field(repr=False)
    document: bytes = field(repr=False)
    """What it holds, as JSON text."""
    changed_ns: int
    """When it was last written, renamed or linked to where it is, in nanoseconds since 1970."""

    def problem(self, path: str, reason: str) -> FileProblem:
        """What is wrong at `path` in it, with the line of the innermost value on the way there that has one."""
        known = path
        while known and known not in self._lines:
            known = known[:-1]
        return FileProblem(self.path, self._lines.get(known), path, reason)

    @cached_property
    def _lines(self) -> dict[str, int]:
        from pinocchio_core.files.yaml_text import lines_of

        return lines_of(self.text)


def read_source(path: Path) -> SourceFile:
    """A file, and what it holds.

    Raises:
        FilesRefused: it cannot be read, or holds what is not allowed.
    """
    data, changed_ns = _bytes_of(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _refused(path, f"is not UTF-8 (byte {error.start})", line) from None
    if is_json(path):
        return SourceFile(path, text, _json_of(path, text), changed_ns)
    from pinocchio_core.files.yaml_text import Flaw, json_of_yaml

    try:
        return SourceFile(path, text, json_of_yaml(text), changed_ns)
    except Flaw as flaw:
        raise FilesRefused([FileProblem(path, flaw.line, flaw.path, flaw.reason)]) from None


def listed(folder: Path) -> list[Path]:
    """What is in a folder, by name, without hidden files; FilesRefused where it cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise _refused(folder, f"cannot be listed: {error.strerror}") from None


def is_source(path: Path) -> bool:
    """Whether a file's name says that it holds profiles."""
    return path.suffix.lower() in (".yaml", ".yml", ".json") and not path.is_dir()


def is_json(path: Path) -> bool:
    """Whether a file's name says that it is JSON."""
    return path.suffix.lower() == ".json"


def _bytes_of(path: Path) -> tuple[bytes, int]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not hold us up
    except OSError as error:
        raise _refused(path, f"cannot be opened: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _refused(path, "is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise _refused(path, f"has {status.st_size} bytes; at most {MAX_FILE_BYTES} are read")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_FILE_BYTES), status.st_ctime_ns
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _json_of(path: Path, text: str) -> bytes:
    stripped = text.lstrip()
    wrapped = f'{{"registries":{text}}}' if stripped.startswith("[") else text
    try:
        json_text.parse_object(wrapped.encode(), max_nodes=_MAX_VALUES, max_depth=_MAX_DEPTH)
    except InvalidRequest as error:
        raise FilesRefused(
            [FileProblem(path, _json_line(text), each.field, each.reason) for each in error.problems]
        ) from None
    return text.encode()


def _json_line(text: str) -> int | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.lineno
    except RecursionError:
        return None
    return None


def _refused(path: Path, reason: str, line: int | None = None) -> FilesRefused:
    return FilesRefused([FileProblem(path, line, "", reason)])
