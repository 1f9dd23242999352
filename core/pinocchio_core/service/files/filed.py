"""Registries as files describe them: read, and checked like requests."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pinocchio_core.domain import limits
from pinocchio_core.domain.json_text import WHOLE
from pinocchio_core.domain.profile import Profile
from pinocchio_core.domain.slugs import parse_slug, shown
from pinocchio_core.errors import FileProblem, FilesRefused, InvalidRequest
from pinocchio_core.files.layout import FoundRegistry, Part, Progress, registries_in
from pinocchio_core.service.checking.names import same_slug
from pinocchio_core.service.checking.requests import PatchRegistry, ReplaceProfile
from pinocchio_core.service.checking.targets import Target, checked
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.registries import problems_of_filed
from pinocchio_core.service.writing.drafts import drafted


@dataclass(frozen=True)
class Described:
    """A profile as a file describes it."""

    draft: Profile
    part: Part


@dataclass(frozen=True)
class DescribedRegistry:
    """A registry as files describe it."""

    slug: str
    request: PatchRegistry
    """It as a request to change a registry: what a file does not say stays as it is."""
    part: Part
    profiles: dict[str, Described]
    changed_ns: int
    """When the last of its files was changed, in nanoseconds since 1970."""


def _unseen(done: int, total: int) -> None:
    del done, total


def found_in(
    given: Sequence[Path], problems: list[FileProblem], *, progress: Progress = _unseen
) -> list[FoundRegistry]:
    """The registries in these files and folders, as they are written; what cannot be read is added to `problems`."""
    return [each for path in given for each in registries_in(path, problems, progress=progress)]


class FiledRegistries:
    """Reads files, and checks what they describe against the catalog of a host."""

    def __init__(self, validation: Validation) -> None:
        self._validation = validation

    def read(self, given: Sequence[Path]) -> list[DescribedRegistry]:
        """The registries that these files and folders describe, by slug.

        Raises:
            FilesRefused: with everything that is wrong with them.
        """
        problems: list[FileProblem] = []
        found = found_in(given, problems)
        return self.checked(found, problems)

    def checked(
        self, found: Sequence[FoundRegistry], problems: list[FileProblem], *, progress: Progress = _unseen
    ) -> list[DescribedRegistry]:
        """These registries, checked, by slug; `problems` are those which they had before.

        Raises:
            FilesRefused: with everything that is wrong with them.
        """
        described: dict[str, DescribedRegistry] = {}
        done, total = itertools.count(1), sum(len(each.profiles) for each in found)
        for each in found:
            registry = self._registry(each, problems, lambda: progress(next(done), total))
            other = described.setdefault(registry.slug, registry)
            if other is not registry and registry.slug:
                reason = f'the registry "{registry.slug}" is described in {other.part.file.path} too'
                problems.append(registry.part.problem("slug", reason))
        if problems:
            raise FilesRefused(problems)
        return [described[slug] for slug in sorted(described)]

    def _registry(
        self, found: FoundRegistry, problems: list[FileProblem], done: Callable[[], None]
    ) -> DescribedRegistry:
        slug, request = "", PatchRegistry()
        try:
            request = checked(bytes(found.itself.document), PatchRegistry, Target(), also=problems_of_filed)
            slug = parse_slug(request.slug or "")
        except InvalidRequest as error:
            problems += located(found.itself, error)
        registry = DescribedRegistry(slug, request, found.itself, {}, found.changed_ns)
        seen: dict[str, Part] = {}
        for name, part in found.profiles:
            problems += self._add(registry, name, part, seen)
            done()
        return registry

    def _add(self, registry: DescribedRegistry, name: str, part: Part, seen: dict[str, Part]) -> Iterator[FileProblem]:
        try:
            slug = parse_slug(name)
        except ValueError as error:
            yield part.problem("", str(error))
            return
        other = seen.setdefault(slug, part)
        if other is not part:
            where = f"{other.file.path}" + (f" under {other.at}" if other.at else "")
            yield part.problem("", f'the profile "{slug}" is in {where} too')
            return
        if len(bytes(part.document)) > limits.MAX_BODY_BYTES:
            yield part.problem("", f"is larger than {limits.MAX_BODY_BYTES} bytes")
            return
        try:
            request = self._validation.request(bytes(part.document), ReplaceProfile, target=Target())
        except InvalidRequest as error:
            yield from located(part, error)
            return
        for path, reason in _elsewhere(request, registry.slug, slug, named_by="its key" if part.at else "its file"):
            yield part.problem(path, reason)
        draft = drafted(request, registry=registry.slug, slug=slug, catalog=self._validation.catalog)
        registry.profiles[slug] = Described(draft, part)


def _elsewhere(request: ReplaceProfile, registry: str, slug: str, *, named_by: str) -> Iterator[tuple[str, str]]:
    """What a document says of its names and version, which other things say."""
    if not same_slug(request.slug or "", slug):
        yield "slug", f"is {shown(request.slug)}, and {named_by} says {shown(slug)}"
    if registry and not same_slug(request.registry or "", registry):
        yield "registry", f"is {shown(request.registry)}, and the profile is in {shown(registry)}"
    if request.expected_version:
        yield "expected_version", "belongs to requests, not into a file"


def located(part: Part, error: InvalidRequest) -> list[FileProblem]:
    """The problems of a request as those of the part of a file that it was made of."""
    return [part.problem("" if each.field == WHOLE else each.field, each.reason) for each in error.problems]
