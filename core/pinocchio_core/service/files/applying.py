"""Making the changes of a plan, all of them or none."""

from collections.abc import Callable

from msgspec import structs

from pinocchio_core.domain.profile import Profile, Registry
from pinocchio_core.errors import PlanOutdated
from pinocchio_core.host.host import Host
from pinocchio_core.plugin.types import ProfileChange
from pinocchio_core.service.files.plans import Plan, Step
from pinocchio_core.service.writing.drafts import stamped
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.registries import StoredRegistry
from pinocchio_core.store.tables.rows import Author, StoredProfile


class Applying:
    """Writes what a plan says, if what is stored is still what the plan saw."""

    def __init__(self, store: Store, host: Host, *, actor: str, reason: str | None = None) -> None:
        self._store = store
        self._host = host
        self._actor = actor
        self._reason = reason

    def apply(self, plan: Plan) -> None:
        """Make the changes in one transaction, and tell the plugins.

        Raises:
            PlanOutdated: something was changed since the plan was made; nothing was written.
            StoreUnavailable: the database cannot be written now; nothing was.
        """
        if not plan.steps:
            return
        with self._store.write():
            self._require_current(plan)
            changes = [change for step in plan.steps for change in self._make(step)]
        for change in changes:
            self._host.changed(change)

    def _require_current(self, plan: Plan) -> None:
        outdated = [found for step in plan.steps if (found := self._since(step))]
        if not outdated and plan.stacks and plan.stacks.outdated():
            outdated.append("what these profiles build on, or what builds on them, was changed")
        if outdated:
            raise PlanOutdated(outdated)

    def _since(self, step: Step) -> str | None:
        """What happened to what a step is about since it was planned."""
        if step.slug is None:
            row = self._store.registries.read(step.registry) if self._store.registries.exists(step.registry) else None
            if row and isinstance(step.before, Registry) and row.registry() == step.before:
                return None
            return _told(f'registry "{step.registry}"', row) if row or step.op != "create" else None
        stored = self._store.profiles.read(step.registry, step.slug)
        if (stored.version if stored else 0) == step.version:
            return None
        return _told(f'profile "{step.slug}" in registry "{step.registry}"', stored)

    def _make(self, step: Step) -> list[ProfileChange]:
        author = Author(actor=self._actor, source=str(step.part.file.path), reason=self._reason)
        if isinstance(step.after, Registry):
            self._write_registry(step, step.after, author)
            return []
        if step.slug and step.after is None:
            return self._delete(step.registry, step.slug, author)
        return [self._write_profile(step, step.after, author)] if isinstance(step.after, Profile) else []

    def _write_registry(self, step: Step, registry: Registry, author: Author) -> None:
        metadata = structs.replace(registry.metadata, updated_by=author.actor)
        if step.op == "create":
            metadata = structs.replace(
                metadata, created_at_ms=self._store.now_ms(), created_by=author.actor, source=author.source
            )
            self._store.registries.insert(structs.replace(registry, metadata=metadata), author)
            return
        version = self._store.registries.read(step.registry).version
        changed = structs.replace(registry, metadata=metadata)
        self._store.registries.replace(changed, version=version, op="update_registry", author=author)

    def _write_profile(self, step: Step, draft: Profile, author: Author) -> ProfileChange:
        if isinstance(step.before, Profile):
            tags = draft.metadata.tags
            draft = structs.replace(draft, metadata=structs.replace(step.before.metadata, tags=tags))
        make = _stamping(draft, author)
        row = self._store.profiles.read(draft.registry, draft.slug)
        if row is None:
            written = self._store.profiles.create(draft.registry, draft.slug, make, author=author)
        else:
            written = self._store.profiles.overwrite(row, make, author=author)
        profile = written.profile
        return ProfileChange(
            op="create" if row is None else "update",
            registry=profile.registry,
            slug=profile.slug,
            version=profile.metadata.version,
            actor=author.actor,
            at_ms=profile.metadata.updated_at_ms,
            profile=profile,
        )

    def _delete(self, registry: str, slug: str, author: Author) -> list[ProfileChange]:
        row = self._store.profiles.read(registry, slug)
        if row is None:
            return []
        if row.is_default and self._store.profiles.count(registry) > 1:
            raise PlanOutdated([f'profile "{slug}" is the default of registry "{registry}" now'])
        version = self._store.delete_profile(row, author=author)
        at_ms = self._store.now_ms()
        change = ProfileChange(
            op="delete", registry=registry, slug=slug, version=version, actor=author.actor, at_ms=at_ms
        )
        return [change]


def _stamping(draft: Profile, author: Author) -> Callable[[int, int], Profile]:
    return lambda version, at_ms: stamped(draft, version=version, at_ms=at_ms, actor=author.actor, source=author.source)


def _told(what: str, row: StoredProfile | StoredRegistry | None) -> str:
    if row is None:
        return f"{what} is gone"
    current = row.current()
    by = f' by "{current["updated_by"]}"' if current.get("updated_by") else ""
    return f"{what} is at version {current['version']} now, written{by}"
