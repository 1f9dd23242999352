"""Carries out changes of profiles, one or many: looked at, made in one transaction, and told to plugins."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, Literal

from msgspec import structs

from pinocchio_core.domain.profile import Profile
from pinocchio_core.domain.references import parse_pin
from pinocchio_core.domain.slugs import parse_slug
from pinocchio_core.errors import (
    InvalidRequest,
    PinocchioError,
    RegistryNotFound,
    RequestError,
    RowUnreadable,
    StoreUnavailable,
)
from pinocchio_core.host.host import Host
from pinocchio_core.plugin.types import ProfileChange
from pinocchio_core.service.checking.names import pin_problems
from pinocchio_core.service.checking.requests import (
    CreateProfile,
    PatchProfile,
    ReplaceProfile,
    RestoreRevision,
    SetDefault,
)
from pinocchio_core.service.checking.targets import Order, Target, checked
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.stack_checks import StackChecks, StackLook, breaking
from pinocchio_core.service.upkeep.health import RowHealth
from pinocchio_core.service.writing.edits import Patch, Replacement
from pinocchio_core.service.writing.outcomes import Op, Outcome
from pinocchio_core.service.writing.planned import Creation, DefaultChoice, Deletion, Means, Moved, Planned
from pinocchio_core.service.writing.refusals import refusal
from pinocchio_core.service.writing.restoring import VERSION_IN_PATH, Restoration
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.rows import Author, readable

_TOLD_AS: Final[dict[Op, Literal["create", "update", "delete", "set_default"]]] = {
    "create": "create",
    "update": "update",
    "replace": "update",
    "restore": "update",
    "delete": "delete",
    "set_default": "set_default",
}


_NEXT_STEP: Final = "correct runtime.extends, or what it leads to, and send the request again"


class ProfileWrites:
    """Every change of profiles."""

    def __init__(self, store: Store, host: Host, health: RowHealth, *, default_registry: str) -> None:
        self._store = store
        self._host = host
        self._means = Means(store, Validation(host), health)
        self.stacks = StackChecks(store, self._means.validation)
        self.default_registry = default_registry
        self._planning: dict[Op, Callable[[Target, bytes, Author], Planned]] = {
            "create": self._creation,
            "update": self._patch,
            "replace": self._replacement,
            "delete": self._deletion,
            "set_default": self._default_choice,
        }

    def write(self, op: Op, target: Target, body: bytes = b"", *, author: Author) -> Outcome:
        """Do one thing as `body` and the rest of a request say.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, ProfileReadOnly, RowUnreadable, AlreadyExists, InUse,
            VersionConflict, PreconditionFailed, StoreUnavailable.
        """
        return self.carry_out([self.plan(op, target, body, author=author)], dry_run=target.dry_run)[0]

    def restore(self, target: Target, version: str, body: bytes, *, author: Author) -> Outcome:
        """Make a version of a profile, named by its number or a label, the newest one again.

        Raises:
            InvalidRequest: also where the version is a deletion, or the installed plugins would not accept it.
            RegistryNotFound, ProfileNotFound, RevisionNotFound, ProfileReadOnly, RowUnreadable, VersionConflict,
            PreconditionFailed, StoreUnavailable.
        """
        request = checked(body or b"{}", RestoreRevision, target, also=lambda _: pin_problems(VERSION_IN_PATH, version))
        plan = Restoration(self._means, self._order(target, request, author), parse_pin(version))
        return self.carry_out([plan], dry_run=target.dry_run)[0]

    def plan(self, op: Op, target: Target, body: bytes = b"", *, author: Author) -> Planned:
        """What a request asks for, where nothing is wrong with it by itself.

        Raises:
            InvalidRequest: with every problem.
        """
        return self._planning[op](target, body, author)

    def carry_out(self, plans: Sequence[Planned], *, dry_run: bool = False) -> list[Outcome]:
        """Make all of these changes in one transaction, or none where one of them is refused.

        With `dry_run` all of it is taken back again, and nobody is told.

        Raises:
            RequestError, RowUnreadable: what is stored does not allow a change, see the kinds of changes.
            StoreUnavailable: what is stored moved on again and again until the busy timeout, or the store failed.
        """
        for attempt in self._attempts():
            _look(plans)
            idle = [outcome for plan in plans if (outcome := plan.idle())]
            if len(idle) == len(plans):
                return [structs.replace(outcome, dry_run=dry_run) for outcome in idle]
            stacks = _checked(plans, self.stacks, dependants=attempt > 0)
            try:
                outcomes = self._store.change(partial(self._made, plans, stacks), dry_run=dry_run)
            except Moved:
                continue
            if dry_run:
                return [structs.replace(outcome, dry_run=True) for outcome in outcomes]
            self._tell(plans, outcomes)
            return outcomes
        raise StoreUnavailable(f'profile "{plans[0].order.slug}" is being changed by too many others at once')

    def _made(self, plans: Sequence[Planned], stacks: StackLook) -> list[Outcome]:
        if stacks.outdated():
            raise Moved
        for plan in plans:
            try:
                plan.recheck()
            except (RequestError, RowUnreadable) as error:
                raise Moved from error
        outcomes, refused = list[Outcome](), list[tuple[str, PinocchioError]]()
        for plan in plans:
            try:
                plan.require_free()
            except (RequestError, RowUnreadable) as error:
                refused.append((plan.order.place, error))
            if refused and plan is plans[-1]:
                raise refusal(refused)
            outcomes.append(_of(plan, plan.make))  # also what is refused, for those after it to be judged as ever
        return outcomes if len(outcomes) == 1 else self._with_defaults(outcomes)

    def _with_defaults(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Whether each profile is the default after all of the changes, not just after its own."""
        registries = {outcome.row.registry for outcome in outcomes}
        defaults = {registry: self._store.registries.head(registry).default_profile_slug for registry in registries}
        return [
            structs.replace(
                each, row=structs.replace(each.row, is_default=defaults[each.row.registry] == each.row.slug)
            )
            for each in outcomes
        ]

    def _attempts(self) -> Iterator[int]:
        """Tries until the busy timeout: changes are checked outside the transaction, and made if nothing moved.

        There is a second one at least, because the first one does not look for what builds on what is changed.
        """
        deadline = time.monotonic() + self._store.busy_timeout_ms / 1000
        attempt = 0
        while attempt < 2 or time.monotonic() < deadline:
            yield attempt
            attempt += 1

    def _tell(self, plans: Sequence[Planned], outcomes: Sequence[Outcome]) -> None:
        for plan, outcome in zip(plans, outcomes, strict=True):
            if not outcome.written:
                continue
            order, profile = plan.order, outcome.profile
            self._means.health.written(order.registry, order.slug)
            if not self._host.hears_of_changes:
                continue
            made_at = None if profile is None or outcome.op == "set_default" else profile.metadata.updated_at_ms
            self._host.changed(
                ProfileChange(
                    op=_TOLD_AS[outcome.op] if outcome.before else "create",
                    registry=order.registry,
                    slug=order.slug,
                    version=outcome.version,
                    actor=order.author.actor,
                    at_ms=self._store.now_ms() if made_at is None else made_at,
                    profile=profile,
                )
            )

    def _creation(self, target: Target, body: bytes, author: Author) -> Planned:
        request = self._means.validation.request(body, CreateProfile, target=target)
        order = self._order(target, request, author, slug=parse_slug(request.slug or target.slug or ""))
        return Creation(self._means, order, request)

    def _patch(self, target: Target, body: bytes, author: Author) -> Planned:
        request = self._means.validation.request(body, PatchProfile, target=target, stored=self._stored(target))
        return Patch(self._means, self._order(target, request, author), request)

    def _replacement(self, target: Target, body: bytes, author: Author) -> Planned:
        request = self._means.validation.request(body, ReplaceProfile, target=target, stored=self._stored(target))
        return Replacement(self._means, self._order(target, request, author), request)

    def _deletion(self, target: Target, body: bytes, author: Author) -> Planned:
        del body
        target.check()
        return Deletion(self._means, self._order(target, SetDefault(), author))

    def _default_choice(self, target: Target, body: bytes, author: Author) -> Planned:
        request = checked(body, SetDefault, target) if body.strip() else SetDefault()
        target.check()
        return DefaultChoice(self._means, self._order(target, request, author))

    def _order(
        self,
        target: Target,
        request: PatchProfile | SetDefault | RestoreRevision,
        author: Author,
        *,
        slug: str | None = None,
    ) -> Order:
        """What both say; a version and a reason in the body win."""
        return Order(
            registry=target.named_registry(request.registry, self.default_registry),
            slug=target.path_slug() if slug is None else slug,
            author=author.because(request.reason, target.reason),
            expected_version=request.expected_version or target.expected_version,
            conditions=target.conditions,
            force=target.force,
            place=target.place,
            registries=target.registries,
        )

    def _stored(self, target: Target) -> Callable[[PatchProfile], Profile | None]:
        def find(request: PatchProfile) -> Profile | None:
            try:
                registry, slug = target.registry_slug(request.registry, self.default_registry), target.path_slug()
            except ValueError:
                return None  # which is among the problems already
            except RegistryNotFound:
                return None  # as where there is no such registry, which is said when nothing else is wrong
            row = self._store.profiles.read(registry, slug)
            return readable(row) if row else None

        return find


def _look(plans: Sequence[Planned]) -> None:
    """Let every change look at what is stored; what refuses them is raised together."""
    refused: list[tuple[str, PinocchioError]] = []
    for plan in plans:
        try:
            plan.order.require_seen()
            plan.look()
        except (RequestError, RowUnreadable) as error:
            refused.append((plan.order.place, error))
    if refused:
        raise refusal(refused)


def _checked(plans: Sequence[Planned], stacks: StackChecks, *, dependants: bool) -> StackLook:
    """A look at what profiles build on; what refuses the changes is raised together."""
    changes = [(plan, change) for plan in plans if (change := plan.change())]
    look = stacks.look((change for _, change in changes), dependants=dependants)
    refused: list[tuple[str, PinocchioError]] = []
    for plan, change in changes:
        own = look.own(change)
        plan.warn(own.known)
        if own.fresh:
            refused.append((plan.order.place, InvalidRequest(own.fresh, next_step=_NEXT_STEP)))
        elif broken := look.broken(change):
            what = f'profile "{change.slug}" in registry "{change.registry}"'
            refused.append((plan.order.place, breaking(what, broken, seen=change.registries)))
    if refused:
        raise refusal(refused)
    return look


def _of(plan: Planned, make: Callable[[], Outcome]) -> Outcome:
    try:
        return make()
    except (RequestError, RowUnreadable) as error:
        raise refusal([(plan.order.place, error)]) from error
