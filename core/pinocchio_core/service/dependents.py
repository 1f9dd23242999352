"""What points at a profile or at one of its labels, and so would break where that is deleted."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from pinocchio_core.errors import Forbidden, InUse, Problem
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.rows import Author

MAX_LISTED: Final = 100
"""Dependents of one kind that are listed."""
_MAX_REASONS: Final = 5


class Dependent(Struct, frozen=True):
    """One thing that points at a profile."""

    kind: str
    name: str
    told: dict[str, Any]
    """What else is said of it."""

    def document(self) -> dict[str, Any]:
        """It as JSON."""
        told = {name: value for name, value in self.told.items() if value != []}
        return {"kind": self.kind, "name": self.name, **told}

    def for_whom_sees(self, registries: frozenset[str] | None) -> "Dependent":
        """It for somebody for whom only these registries exist, `None` for all."""
        hidden = registries is not None and self.told.get("registry", next(iter(registries), "")) not in registries
        return Dependent(self.kind, "in a registry that is not yours", {}) if hidden else self


Finder = Callable[[Store, str, str, str | None], Iterable[Dependent]]
"""Finds one kind of them from the slugs of registry and profile, and the label where only that is to be deleted."""


def _labels(store: Store, registry: str, slug: str, label: str | None) -> Iterable[Dependent]:
    if label is None:
        for each in store.labels.of_profile(registry, slug):
            yield Dependent("label", each.label, {"version": each.version, "protected": each.protected})


def _profiles(store: Store, registry: str, slug: str, label: str | None) -> Iterable[Dependent]:
    """Others that build on any of its versions; all that build on where the label points, and it may be one of them."""
    if label is None:
        found = [key for key in store.extends.on(registry, slug, limit=MAX_LISTED) if key != (registry, slug)]
    else:
        found = store.extends.following(registry, slug, pin=label, limit=MAX_LISTED)
    for key in found:
        yield building_on(*key)


def building_on(registry: str, slug: str, problems: Sequence[Problem] = ()) -> Dependent:
    """A profile that builds on another one, and what would be wrong with it."""
    reasons = [{"field": each.field, "reason": each.reason} for each in problems[:_MAX_REASONS]]
    return Dependent("profile", f"{registry}/{slug}", {"registry": registry, "slug": slug, "problems": reasons})


FINDERS: Final[tuple[Finder, ...]] = (_labels, _profiles)


def require_unused(
    store: Store,
    registry: str,
    slug: str,
    *,
    author: Author,
    force: bool,
    label: str | None = None,
    seen: frozenset[str] | None = None,
) -> None:
    """Raise where something depends on a profile or on its label that is to be deleted, unless an admin forces it.

    `seen` are the only registries that exist for who asks, `None` for all.

    Raises:
        InUse: something does; it is listed.
        Forbidden: who forces it is no admin.
    """
    found = [each.for_whom_sees(seen) for finder in FINDERS for each in finder(store, registry, slug, label)]
    if not found:
        return
    what = f'profile "{slug}" in registry "{registry}"' if label is None else f'label "{label}" of profile "{slug}"'
    told = ", ".join(f'{each.kind} "{each.name}"' for each in found[:3]) + (", …" if len(found) > 3 else "")
    if not force:
        raise InUse(
            f"{what} is in use by {told}",
            next_step="remove what depends on it first; an admin may delete it with force=true",
            dependents=[each.document() for each in found],
        )
    if not author.admin:
        raise Forbidden(f"{what} is in use by {told}, so only an admin deletes it")


def release(store: Store, registry: str, slug: str, *, author: Author) -> None:
    """Remove the labels of a profile that is deleted; inside `Store.write`."""
    for label in store.labels.of_profile(registry, slug):
        store.labels.remove(label, author=author)
