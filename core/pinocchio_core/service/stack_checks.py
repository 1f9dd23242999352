"""Whether profiles go together with those that they build on, and what a change does to those that build on it.

Everything is looked at outside of the transaction; inside it is made sure that what was looked at is still there.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct, structs

from pinocchio_core.domain.profile import Profile
from pinocchio_core.domain.stacks import effective
from pinocchio_core.errors import InUse, Problem, StackBroken
from pinocchio_core.service.checking.configs import USES
from pinocchio_core.service.checking.names import EXTENDS
from pinocchio_core.service.checking.ratchet import Sorted
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.dependents import Dependent, building_on
from pinocchio_core.service.stacks import NOTHING_PENDING, Pending, StackReader
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.extends import ALL, NEWEST, Key
from pinocchio_core.store.tables.rows import readable

MAX_DEPENDANTS: Final = 1000
"""Profiles that build on a changed one and are looked at; more of them are found by `health`."""
_MAX_TOLD: Final = 100
"""Dependents that are listed."""
_OF_LIST = re.compile(r"(runtime\.(?:middlewares|tools))\[([0-9]+)\]")


class Change(Struct, frozen=True, kw_only=True):
    """What becomes of a profile."""

    registry: str
    slug: str
    before: Profile | None
    """`None` for what is new or damaged."""
    after: Profile | None
    """`None` for a deletion."""
    registries: frozenset[str] | None = None
    """The only registries that exist for who asks, `None` for all."""

    @property
    def moves_others(self) -> bool:
        """Whether those that build on it may come to something else."""
        one, other = self.before, self.after
        if one is None or other is None:
            return False
        return (one.runtime, one.extensions) != (other.runtime, other.extensions)


class Standing(Struct, frozen=True):
    """A profile with what it builds on: what they come to, and what is wrong with that."""

    whole: Profile
    problems: Sequence[Problem]


class StackChecks:
    """Checks what a store has against the catalog of a host."""

    def __init__(self, store: Store, validation: Validation) -> None:
        self.store = store
        self.validation = validation

    def problems(self, profile: Profile, *, hooks: bool = False) -> list[Problem]:
        """What is wrong with a stored profile because of what it builds on; plugins' hooks are asked on demand."""
        if not profile.runtime.extends:
            return []
        found = self.standing(profile, StackReader(self.store), hooks=hooks)
        return of_leaf(found.problems, found.whole, profile)

    def standing(self, profile: Profile, reader: StackReader, *, hooks: bool = False) -> Standing:
        """How a profile and those that it builds on go together."""
        try:
            whole = effective([*reader.bases_of(profile), profile])
        except StackBroken as error:
            return Standing(profile, error.problems)
        return Standing(whole, self.validation.together(whole, hooks=hooks))

    def look(
        self, changes: Iterable[Change], *, dependants: bool, registries: frozenset[str] = frozenset()
    ) -> "StackLook":
        """A look at changes that are made together, also of `registries` that are new.

        Without `dependants` it is taken for granted that nothing builds on what is changed, until `outdated` says so.
        """
        return StackLook(self, list(changes), dependants=dependants, registries=registries)

    def require_label_free(
        self, registry: str, slug: str, label: str, version: int, *, seen: frozenset[str] | None
    ) -> None:
        """Raise InUse where a label must not point to a version, because that would break what builds on the label."""
        pending = Pending(labels={(registry, slug, label): version})
        broken = Followers(self, StackReader(self.store, pending), pending).broken((registry, slug), pin=label)
        if broken:
            raise breaking(f'label "{label}" of profile "{slug}" in registry "{registry}"', broken, seen=seen)

    def keep_following(self, registry: str, slug: str, label: str) -> None:
        """Keep what profiles build on that build on a label, after it was moved; inside `Store.write`."""
        for key in self.store.extends.following(registry, slug, pin=label, limit=ALL):
            row = self.store.profiles.read(*key)
            profile = readable(row) if row else None
            if profile:
                self.store.extends.put(profile)


class Followers:
    """Those that build on what is changed, directly or through others, and what becomes of them."""

    def __init__(self, checks: StackChecks, reader: StackReader, pending: Pending, *, known: bool = True) -> None:
        self._checks = checks
        self._reader = reader
        self._pending = pending
        self._known = known
        self.direct: dict[Key, list[Key]] = {}
        """Those that build on the newest version of each, as they were looked at."""

    def broken(self, changed: Key, *, pin: str = NEWEST) -> list[Dependent]:
        """Those that the change breaks; the nearest first. One that builds on a label of itself may be among them."""
        reached: dict[Key, None] = {}
        waiting = [(changed, pin)]
        found: list[Dependent] = []
        for key, reference in waiting:  # it grows meanwhile
            for each in self._following(key, reference):
                if each not in reached and (each, NEWEST) != waiting[0] and len(reached) < MAX_DEPENDANTS:
                    reached[each] = None
                    waiting.append((each, NEWEST))
        for key in reached:
            problems = [] if key in self._pending.profiles else self._fresh(key)
            if problems:
                found.append(building_on(*key, problems))
        return found

    def _following(self, key: Key, pin: str) -> list[Key]:
        if not self._known:
            self.direct[key] = []
            return []
        found = self._checks.store.extends.following(*key, pin=pin, limit=MAX_DEPENDANTS)
        if pin == NEWEST:
            self.direct[key] = found
        return found

    def _fresh(self, key: Key) -> list[Problem]:
        """What the change makes wrong with one of them."""
        row = self._checks.store.profiles.read(*key)
        profile = readable(row) if row else None
        if row is None or profile is None:
            return []
        self._reader.seen[(*key, None)] = row.version
        now = self._checks.standing(profile, self._reader)
        if not now.problems:
            return []
        before = self._checks.standing(profile, StackReader(self._checks.store))
        fresh = self._checks.validation.sorted(now.problems, now.whole, before.problems, before.whole).fresh
        return of_leaf(fresh, now.whole, profile)


class StackLook:
    """What was found when changes were looked at, and what was looked at."""

    def __init__(
        self, checks: StackChecks, changes: Sequence[Change], *, dependants: bool, registries: frozenset[str]
    ) -> None:
        self._checks = checks
        self._pending = Pending({(each.registry, each.slug): each.after for each in changes}, registries=registries)
        self._reader = StackReader(checks.store, self._pending)
        self._followers = Followers(checks, self._reader, self._pending, known=dependants)

    def own(self, change: Change) -> Sorted:
        """What is wrong with a changed profile because of what it builds on."""
        new, old = change.after, change.before
        if new is None or not new.runtime.extends:
            return Sorted([], [])
        reader = StackReader(self._checks.store, self._pending, registries=change.registries)
        now = self._checks.standing(new, reader, hooks=True)
        self._reader.seen.update(reader.seen)
        problems = Sorted(list(now.problems), [])
        if old is not None and now.problems:
            known = StackReader(self._checks.store, NOTHING_PENDING, registries=change.registries)
            before = self._checks.standing(old, known, hooks=True)
            problems = self._checks.validation.sorted(now.problems, now.whole, before.problems, before.whole)
        return Sorted(*(of_leaf(each, now.whole, new) for each in problems))

    def broken(self, change: Change) -> list[Dependent]:
        """The profiles that the change of one that they build on breaks."""
        return self._followers.broken((change.registry, change.slug)) if change.moves_others else []

    def orphaned(self, change: Change) -> list[Dependent]:
        """The profiles that build on one that is deleted, and are not changed with it."""
        if change.after is not None:
            return []
        key = (change.registry, change.slug)
        found = self._checks.store.extends.on(*key, limit=MAX_DEPENDANTS)
        return [building_on(*each) for each in found if each not in self._pending.profiles]

    def outdated(self) -> bool:
        """Whether something else is stored than what was looked at; inside the transaction, before it writes."""
        return any(self._now(*read) != version for read, version in self._reader.seen.items()) or any(
            self._checks.store.extends.following(*key, limit=MAX_DEPENDANTS) != found
            for key, found in self._followers.direct.items()
        )

    def _now(self, registry: str, slug: str, label: str | None) -> int | None:
        if label is not None:
            pointed = self._checks.store.labels.read(registry, slug, label)
            return pointed.version if pointed else None
        row = self._checks.store.profiles.read(registry, slug)
        return row.version if row else None


def breaking(what: str, found: Sequence[Dependent], *, seen: frozenset[str] | None) -> InUse:
    """The error for a change of what others build on; `seen` are the registries that exist for who asks."""
    broken = [each.for_whom_sees(seen) for each in found]
    names = ", ".join(f'{each.kind} "{each.name}"' for each in broken[:3]) + (", …" if len(broken) > 3 else "")
    return InUse(
        f"the change of {what} would break {names}",
        next_step="change what builds on it first, or both in one batch; or have it name a version",
        dependents=[each.document() for each in broken[:_MAX_TOLD]],
    )


def of_leaf(problems: Iterable[Problem], whole: Profile, leaf: Profile) -> list[Problem]:
    """Problems of what a stack comes to as those of its last profile, where that has what is wrong."""
    places = _places(whole, leaf)

    def placed(problem: Problem) -> Problem:
        found = _OF_LIST.match(problem.field)
        if found is None or whole is leaf:
            return problem
        part, rest = found.group(), problem.field[found.end() :]
        own = places.get(part)
        if own is not None:
            return structs.replace(problem, field=f"{own}{rest}")
        return structs.replace(problem, field=EXTENDS, reason=f"{_named(found, whole)}: {problem.reason}")

    return list(dict.fromkeys(map(placed, problems)))


def _places(whole: Profile, leaf: Profile) -> Mapping[str, str]:
    own = {(use.name, use.slot): index for index, use in enumerate(leaf.runtime.middlewares or ())}
    places = {f"runtime.tools[{index}]": f"runtime.tools[{index}]" for index in range(len(leaf.runtime.tools or ()))}
    for index, use in enumerate(whole.runtime.middlewares or ()):
        if (use.name, use.slot) in own:
            places[f"{USES}[{index}]"] = f"{USES}[{own[use.name, use.slot]}]"
    return places


def _named(found: re.Match[str], whole: Profile) -> str:
    """What is wrong that is not the last profile's own."""
    index = int(found[2])
    if found[1] != USES:
        return "a tool of what it builds on"
    uses = whole.runtime.middlewares or ()
    return f'middleware "{uses[index].name}" of what it builds on' if index < len(uses) else "what it builds on"
