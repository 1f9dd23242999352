"""Registries that are served from files beside the database: read at the start, and again when files change."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pinocchio_core.domain.profile import Profile, Registry, RegistryMetadata
from pinocchio_core.errors import FileProblem, FilesRefused, InvalidRequest, PinocchioError
from pinocchio_core.files.layout import files_of
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.files.filed import Described, DescribedRegistry, FiledRegistries, located
from pinocchio_core.service.registries import changed_registry
from pinocchio_core.service.stack_checks import StackChecks
from pinocchio_core.service.writing.drafts import stamped
from pinocchio_core.store.routing import Source, sourced_store
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.registries import RegistryStore
from pinocchio_core.store.tables.rows import Author

LOOK_S: Final = 1.0
_REST: Final = 20
"""How many times as long to rest as looking took, where that is longer than LOOK_S."""
_SETTLED_S: Final = 0.1
"""How old the last change must be: a second one within a tick of the file system's clock would look like none."""
_KEPT_S: Final = 60.0
"""How long what was served before is kept for requests that are still reading it."""
_ACTOR: Final = "file"

log = logging.getLogger("pinocchio.sources")

_Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class _Read:
    """What a file or folder held when it looked like this."""

    signature: _Signature | None
    """`None` where it was not settled, so that it is read again."""
    store: Store
    registries: dict[str, str]
    """Where each registry is described, by slug."""


class ProfileSources:
    """Serves files and folders; `start` it when the program serves, `stop` it at the end."""

    def __init__(self, paths: Sequence[Path], validation: Validation, database: Database) -> None:
        """Read them all.

        Raises:
            FilesRefused: they cannot be served as they are, or a registry is in two places.
        """
        self._filed = FiledRegistries(validation)
        self._validation = validation
        self._database = RegistryStore(database)
        self._reads: dict[Path, _Read] = {}
        self._sources: dict[str, Source] = {}
        self._problems: dict[Path, str] = {}
        self._retired: list[tuple[float, Store]] = []
        self._looking = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="profile-sources", daemon=True)
        self._clashes: list[str] = []
        try:
            for path in paths:
                self._read(path)
        except BaseException:
            self.stop()
            raise

    def find(self, registry: str) -> Source | None:
        """The source of a registry, `None` where none has it."""
        return self._sources.get(registry)

    def slugs(self) -> list[str]:
        """The registries that are served from files."""
        return list(self._sources)

    def reasons(self) -> list[str]:
        """Why not everything is served as the files are now."""
        return [*self._problems.values(), *self._clashes]

    def lines(self) -> list[str]:
        """What is served from where, one line for each file or folder."""
        return [f"files {path}: {', '.join(read.registries) or 'no registry'}" for path, read in self._reads.items()]

    def start(self) -> None:
        """Begin to look for changes."""
        self._thread.start()

    def stop(self) -> None:
        """End, and forget everything."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        for store in (*(read.store for read in self._reads.values()), *(store for _, store in self._retired)):
            store.close()

    def look(self) -> None:
        """Read again what has changed. What cannot be served stays what it was, and is named in `reasons`."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        for path, read in list(self._reads.items()):
            try:
                signature = _signature(path)
                if signature != read.signature and _is_settled(signature):
                    self._read(path)
                    log.info("%s: changed, and served from now on", path)
                    self._problems.pop(path, None)
            except FilesRefused as error:
                self._keep_old(path, str(error))
        self._clashes = list(self._found_in_database(self._sources))
        while self._retired and time.monotonic() > self._retired[0][0] + _KEPT_S:
            self._retired.pop(0)[1].close()

    def _run(self) -> None:
        pause_s = LOOK_S
        while not self._stopping.wait(pause_s):
            began = time.perf_counter()
            try:
                self.look()
            except PinocchioError as error:
                log.debug("the files cannot be looked at now: %s", error)
            except Exception:  # nothing else may suffer, and the next look may go well
                log.exception("looking at the files failed")
            pause_s = max(LOOK_S, (time.perf_counter() - began) * _REST)

    def _keep_old(self, path: Path, reason: str) -> None:
        told = f"{path} is served as it was, because it cannot be as it is: {' '.join(reason.split())}"
        if self._problems.get(path) != told:
            self._problems[path] = told
            log.error("%s", told)

    def _read(self, path: Path) -> None:
        signature = _signature(path)
        described = self._filed.read([path])
        self._check(path, described)
        loaded = sourced_store((_registry(each), _ms(each.changed_ns), _profiles(each)) for each in described)
        try:
            self._check_stacks(loaded, described)
        except BaseException:
            loaded.close()
            raise
        settled = signature if _is_settled(signature) else None
        read = _Read(settled, loaded, {each.slug: str(each.part.file.path) for each in described})
        old = self._reads.get(path)
        self._reads[path] = read
        self._sources = {
            slug: Source(each.store, name) for each in self._reads.values() for slug, name in each.registries.items()
        }
        if old:
            self._retired.append((time.monotonic(), old.store))

    def _check(self, path: Path, described: Sequence[DescribedRegistry]) -> None:
        problems: list[FileProblem] = []
        others = {
            slug: name for other, read in self._reads.items() if other != path for slug, name in read.registries.items()
        }
        for registry in described:
            if registry.slug in others:
                reason = f'the registry "{registry.slug}" is in {others[registry.slug]} too'
                problems.append(registry.part.problem("slug", reason))
            default = registry.request.default_profile_slug
            if default and default not in registry.profiles:
                problems.append(registry.part.problem("default_profile_slug", f'there is no profile "{default}"'))
            for profile in registry.profiles.values():
                problems += self._profile_problems(profile)
        old = self._reads.get(path)
        files = {each.slug: each.part for each in described if old is None or each.slug not in old.registries}
        problems += [
            files[slug].problem("slug", f'the database has a registry "{slug}" too; rename or remove one of the two')
            for slug in files
            if self._database.exists(slug)
        ]
        if problems:
            raise FilesRefused(problems)

    def _check_stacks(self, loaded: Store, described: Sequence[DescribedRegistry]) -> None:
        """What profiles build on must be in the same file or folder, because nobody is asked before others change."""
        checks, problems = StackChecks(loaded, self._validation), list[FileProblem]()
        for registry in described:
            for slug, filed in registry.profiles.items():
                row = loaded.profiles.read(registry.slug, slug) if filed.draft.runtime.extends else None
                for each in checks.problems(row.profile(), hooks=True) if row else ():
                    problems.append(filed.part.problem(each.field, each.reason))
        if problems:
            raise FilesRefused(problems)

    def _profile_problems(self, described: Described) -> list[FileProblem]:
        try:
            self._validation.new(described.draft)
        except InvalidRequest as error:
            return located(described.part, error)
        return []

    def _found_in_database(self, sources: dict[str, Source]) -> Iterator[str]:
        for slug, source in sources.items():
            if self._database.exists(slug):
                yield f'the registry "{slug}" is in the database too, and served from {source.name}'


def _registry(described: DescribedRegistry) -> Registry:
    author = Author(actor=_ACTOR, source=str(described.part.file.path))
    metadata = RegistryMetadata(
        created_at_ms=_ms(described.changed_ns), created_by=_ACTOR, updated_by=_ACTOR, source=author.source
    )
    return changed_registry(Registry(slug=described.slug, metadata=metadata), described.request, author)


def _profiles(registry: DescribedRegistry) -> Iterator[Profile]:
    for _, described in sorted(registry.profiles.items()):
        file = described.part.file
        at_ms = _ms(file.changed_ns)
        yield stamped(described.draft, version=at_ms, at_ms=at_ms, actor=_ACTOR, source=str(file.path))


def _ms(time_ns: int) -> int:
    return time_ns // 1_000_000


def _signature(path: Path) -> _Signature:
    """What changes whenever something in a file or folder does; FilesRefused where it cannot be looked at."""
    found = []
    try:
        for each in files_of(path):
            status = each.stat()
            found.append((str(each), status.st_ctime_ns, status.st_size, status.st_ino))
    except OSError as error:
        raise FilesRefused([FileProblem(path, None, "", f"cannot be looked at: {error.strerror}")]) from None
    return tuple(found)


def _is_settled(signature: _Signature) -> bool:
    newest_s = max(changed_ns for _, changed_ns, _, _ in signature) / 1e9
    return not 0 <= time.time() - newest_s < _SETTLED_S
