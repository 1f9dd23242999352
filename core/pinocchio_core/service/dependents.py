"""What points at a profile or at one of its labels, and so would break where that is deleted."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from pinocchio_core.errors import Forbidden, InUse
from pinocchio_core.store.rows import Author
from pinocchio_core.store.store import Store


@dataclass(frozen=True)
class Dependent:
    """One thing that points at a profile."""

    kind: str
    name: str
    told: dict[str, Any]
    """What else is said of it."""

    def document(self) -> dict[str, Any]:
        """It as JSON."""
        return {"kind": self.kind, "name": self.name, **self.told}


Finder = Callable[[Store, str, str, str | None], Iterable[Dependent]]
"""Finds one kind of them from the slugs of registry and profile, and the label where only that is to be deleted."""


def _labels(store: Store, registry: str, slug: str, label: str | None) -> Iterable[Dependent]:
    if label is None:
        for each in store.labels.of_profile(registry, slug):
            yield Dependent("label", each.label, {"version": each.version, "protected": each.protected})


FINDERS: Final[tuple[Finder, ...]] = (_labels,)


def require_unused(
    store: Store, registry: str, slug: str, *, author: Author, force: bool, label: str | None = None
) -> None:
    """Raise where something depends on a profile or on its label that is to be deleted, unless an admin forces it.

    Raises:
        InUse: something does; it is listed.
        Forbidden: who forces it is no admin.
    """
    found = [each for finder in FINDERS for each in finder(store, registry, slug, label)]
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
