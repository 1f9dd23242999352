"""Registries in files: one in a file with all its profiles, or one in a folder with a file for each of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Raw

from pinocchio_core.domain import paths
from pinocchio_core.errors import FileProblem, FilesRefused
from pinocchio_core.files.source import SourceFile, is_json, is_source, listed, read_source

REGISTRY_FILE: Final = "_registry"
"""The stem of the file that says which registry the profiles of a folder belong to; no slug begins so."""

Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""


@dataclass(frozen=True)
class Part:
    """A mapping in a file, as JSON text."""

    file: SourceFile
    at: str
    """Its path in the file; empty where it is the whole of it."""
    document: Raw

    def problem(self, path: str, reason: str) -> FileProblem:
        """What is wrong at `path` in it."""
        dot = "." if self.at and path and not path.startswith("[") else ""
        return self.file.problem(f"{self.at}{dot}{path}", reason)

    def members(self) -> dict[str, Raw]:
        """What is in it; FilesRefused where it is no mapping."""
        try:
            return msgspec.json.decode(self.document, type=dict[str, Raw])
        except msgspec.ValidationError:
            raise FilesRefused([self.problem("", "must be a mapping")]) from None


@dataclass(frozen=True)
class FoundRegistry:
    """A registry in files, as they are written."""

    itself: Part
    """It without its profiles."""
    profiles: list[tuple[str, Part]]
    """Names and documents of its profiles."""
    folder_changed_ns: int = 0

    @property
    def changed_ns(self) -> int:
        """When the last of its files, or the folder they are in, was changed, in nanoseconds since 1970."""
        files = max((part.file.changed_ns for _, part in self.profiles), default=0)
        return max(self.itself.file.changed_ns, files, self.folder_changed_ns)


def registries_in(path: Path, problems: list[FileProblem], *, progress: Progress) -> list[FoundRegistry]:
    """The registries in a file or folder; what cannot be read of it is added to `problems`."""
    found: list[FoundRegistry] = []
    with collecting(problems):
        if not path.is_dir():
            found += _in_file(path, problems)
        elif head := _registry_file(path):
            found += _in_folder(head, problems, progress)
        else:
            found += _in_folders(path, problems, progress)
    return found


def files_of(path: Path) -> list[Path]:
    """The files and folders that what is in a file or folder depends on; FilesRefused where it cannot be listed."""
    if not path.is_dir():
        return [path]
    folders = [path, *(inside for inside in listed(path) if inside.is_dir())]
    return [*folders, *(file for folder in folders for file in listed(folder) if is_source(file))]


def _in_folders(path: Path, problems: list[FileProblem], progress: Progress) -> Iterator[FoundRegistry]:
    inside = listed(path)
    heads = [head for folder in inside if folder.is_dir() and (head := _registry_file(folder))]
    files = [file for file in inside if is_source(file)]
    if not heads and not files:
        reason = f"holds no registry: neither a YAML or JSON file, nor a folder with a {REGISTRY_FILE}.yaml"
        problems.append(FileProblem(path, None, "", reason))
    for file in files:
        with collecting(problems):
            yield from _in_file(file, problems)
    for head in heads:
        with collecting(problems):
            yield from _in_folder(head, problems, progress)


def _in_folder(head: Path, problems: list[FileProblem], progress: Progress) -> Iterator[FoundRegistry]:
    files = [file for file in listed(head.parent) if is_source(file) and file != head]
    changed_ns = head.parent.stat().st_ctime_ns
    profiles: list[tuple[str, Part]] = []
    for count, path in enumerate(files, 1):
        with collecting(problems):
            file = read_source(path)
            profiles.append((path.stem, Part(file, "", Raw(file.document))))
        progress(count, len(files))
    file = read_source(head)
    yield FoundRegistry(Part(file, "", Raw(file.document)), profiles, changed_ns)


def _in_file(path: Path, problems: list[FileProblem]) -> Iterator[FoundRegistry]:
    """One registry, or the several that are in an exported JSON text."""
    file = read_source(path)
    if is_json(path) and file.document.lstrip().startswith(b"["):
        for index, raw in enumerate(msgspec.json.decode(file.document, type=list[Raw])):
            yield _split(Part(file, paths.of([index]), raw), problems)
    else:
        yield _split(Part(file, "", Raw(file.document)), problems)


def _split(whole: Part, problems: list[FileProblem]) -> FoundRegistry:
    members = whole.members()
    if "profiles" not in members:
        reason = f"is missing; and a folder with a file for each profile needs a {REGISTRY_FILE}.yaml in it"
        problems.append(whole.problem("profiles", reason))
    at, document = paths.join(whole.at, "profiles"), members.pop("profiles", Raw(b"null"))
    inside = {} if bytes(document) == b"null" else Part(whole.file, at, document).members()
    profiles = [(name, Part(whole.file, paths.join(at, name), raw)) for name, raw in inside.items()]
    return FoundRegistry(Part(whole.file, whole.at, Raw(msgspec.json.encode(members))), profiles)


def _registry_file(folder: Path) -> Path | None:
    found = [path for path in listed(folder) if is_source(path) and path.stem.lower() == REGISTRY_FILE]
    if len(found) > 1:
        reason = f"says what {found[0]} says too; keep one of the two"
        raise FilesRefused([FileProblem(found[1], None, "", reason)])
    return found[0] if found else None


@contextmanager
def collecting(problems: list[FileProblem]) -> Iterator[None]:
    """Where the block is refused, go on after it, and add what is wrong to `problems`."""
    try:
        yield
    except FilesRefused as error:
        problems += error.problems
