"""What would have to change for a database to say what files say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from msgspec import structs

from pinocchio_core.domain.diffs import Operation, patch_between
from pinocchio_core.domain.profile import Profile, Registry, RegistryMetadata, encode_document, same_content
from pinocchio_core.errors import FileProblem, FilesRefused, HookFailed, InvalidRequest
from pinocchio_core.files.layout import Part, Progress, collecting
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.files.filed import Described, DescribedRegistry, located
from pinocchio_core.service.registries import changed_registry
from pinocchio_core.service.stack_checks import Change, StackChecks, StackLook
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.filters import ProfileFilter
from pinocchio_core.store.tables.rows import Author, readable

_NOBODY = Author(actor="", source="")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One change of a profile, or of a registry itself."""

    op: Literal["create", "change", "delete"]
    registry: str
    slug: str | None = None
    """`None` for the registry itself."""
    part: Part = field(repr=False)
    """What of the files asks for it; of a deletion, the registry."""
    version: int = 0
    """The stored one, 0 for none."""
    before: Profile | Registry | None = None
    """What is stored; `None` also where that is damaged."""
    after: Profile | Registry | None = None

    @property
    def name(self) -> str:
        """What it is about, for messages."""
        return f"{self.registry}/{self.slug}" if self.slug else self.registry

    def patch(self) -> list[Operation]:
        """What changes, without what the server owns."""
        return patch_between(self.written_before(), _written(self.after))

    def written_before(self) -> dict[str, Any] | None:
        """What is stored, without what the server owns."""
        return _written(self.before)


@dataclass(frozen=True)
class Plan:
    """Changes in the order in which they are made, and how many profiles stay as they are."""

    steps: Sequence[Step]
    unchanged: int
    stacks: StackLook | None = field(default=None, repr=False)
    """What it saw of profiles that build on one another."""


class Planner:
    """Compares what files describe with what is stored."""

    def __init__(self, store: Store, validation: Validation) -> None:
        self._store = store
        self._validation = validation

    def plan(
        self, described: Sequence[DescribedRegistry], *, prune: bool, progress: Progress = lambda _, __: None
    ) -> Plan:
        """What has to change; with `prune` profiles go that are stored and not described.

        Only registries that are described are looked at.

        Raises:
            FilesRefused: with everything that would be refused.
        """
        problems: list[FileProblem] = []
        steps: list[Step] = []
        count, total = 0, sum(len(registry.profiles) for registry in described)
        for registry in described:
            head, slugs = self._head(registry)
            steps += [head] if head.op == "create" else []
            for slug, profile in sorted(registry.profiles.items()):
                with collecting(problems):
                    steps += self._written(registry, slug, profile)
                count += 1
                progress(count, total)
            steps += [head] if head.op == "change" and head.patch() else []
            removed = [slug for slug in slugs if slug not in registry.profiles] if prune else []
            for slug in removed:
                with collecting(problems):
                    steps += self._removed(registry, slug)
            problems += _default_problems(registry, head, {*slugs, *registry.profiles} - set(removed))
        if problems:
            raise FilesRefused(problems)
        stacks = self._stacked(steps)
        written = sum(1 for step in steps if step.slug and step.op != "delete")
        return Plan(steps, total - written, stacks)

    def _stacked(self, steps: Sequence[Step]) -> StackLook:
        """A look at what profiles build on after these steps.

        Raises:
            FilesRefused: with everything that does not go together then.
        """
        changes = [(step, _change(step, step.slug)) for step in steps if step.slug]
        made = frozenset(step.registry for step in steps if step.slug is None and step.op == "create")
        look = StackChecks(self._store, self._validation).look(
            (change for _, change in changes), dependants=True, registries=made
        )
        problems: list[FileProblem] = []
        for step, change in changes:
            try:
                problems += [step.part.problem(each.field, each.reason) for each in look.own(change).fresh]
            except HookFailed as error:
                problems.append(step.part.problem("", str(error)))
            for broken in (*look.broken(change), *look.orphaned(change)):
                problems.append(
                    step.part.problem("", f'{step.op} of "{change.slug}" would break {broken.kind} "{broken.name}"')
                )
        if problems:
            raise FilesRefused(problems)
        return look

    def _head(self, described: DescribedRegistry) -> tuple[Step, list[str]]:
        """What happens to the registry itself, and the slugs of the profiles that it has."""
        slug = described.slug
        if not self._store.registries.exists(slug):
            metadata = RegistryMetadata(created_at_ms=0, created_by="", updated_by="", source="")
            after = changed_registry(Registry(slug=slug, metadata=metadata), described.request, _NOBODY)
            return Step(op="create", registry=slug, part=described.part, after=after), []
        row = self._store.registries.read(slug)
        before = row.registry()
        after = changed_registry(before, described.request, _NOBODY)
        step = Step(op="change", registry=slug, part=described.part, version=row.version, before=before, after=after)
        return step, self._store.list_profiles(slug, None, ProfileFilter()).slugs

    def _written(self, registry: DescribedRegistry, slug: str, described: Described) -> Iterator[Step]:
        row = self._store.profiles.read(registry.slug, slug)
        before, draft, part = readable(row) if row else None, described.draft, described.part
        if before:
            if same_content(draft, before):
                return
            if before.policy.read_only and not _only_lifts_read_only(before, draft):
                raise FilesRefused([part.problem("", _READ_ONLY)])
        try:
            self._validation.new(draft)
        except InvalidRequest as error:
            raise FilesRefused(located(part, error)) from None
        except HookFailed as error:
            raise FilesRefused([part.problem("", str(error))]) from error
        version = row.version if row else 0
        yield Step(
            op="change" if row else "create",
            registry=registry.slug,
            slug=slug,
            part=part,
            version=version,
            before=before,
            after=draft,
        )

    def _removed(self, registry: DescribedRegistry, slug: str) -> Iterator[Step]:
        row = self._store.profiles.read(registry.slug, slug)
        if row is None:
            return
        before = readable(row)
        if before and before.policy.read_only:
            raise FilesRefused([registry.part.problem("", f'does not have the profile "{slug}", which {_READ_ONLY}')])
        yield Step(
            op="delete", registry=registry.slug, slug=slug, part=registry.part, version=row.version, before=before
        )


def _change(step: Step, slug: str) -> Change:
    before, after = (value if isinstance(value, Profile) else None for value in (step.before, step.after))
    return Change(registry=step.registry, slug=slug, before=before, after=after)


_READ_ONLY = "is read-only as it is stored; first apply a change of nothing but its policy.read_only"


def _only_lifts_read_only(before: Profile, draft: Profile) -> bool:
    return same_content(draft, structs.replace(before, policy=structs.replace(before.policy, read_only=False)))


def _default_problems(registry: DescribedRegistry, head: Step, there: set[str]) -> Iterator[FileProblem]:
    """Whether the registry's default will be there."""
    default = head.after.default_profile_slug if isinstance(head.after, Registry) else None
    if default and default not in there:
        if registry.request.default_profile_slug:
            yield registry.part.problem("default_profile_slug", f'there will be no profile "{default}"')
        elif there:
            reason = f'the default of the registry, "{default}", would be deleted; name another default_profile_slug'
            yield registry.part.problem("", reason)


def _written(value: Profile | Registry | None) -> dict[str, Any] | None:
    """A document without its names and without what the server owns of it."""
    if value is None:
        return None
    document: dict[str, Any] = msgspec.json.decode(encode_document(value))
    metadata = document.pop("metadata")
    for name in ("registry", "slug"):
        document.pop(name, None)
    return document | ({"metadata": {"tags": metadata["tags"]}} if "tags" in metadata else {})
