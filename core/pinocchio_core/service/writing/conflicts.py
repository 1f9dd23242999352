"""What a client is told whose change comes too late: who was faster, and what both have changed."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from pinocchio_core.domain.diffs import Operation, overlapping, patch_between
from pinocchio_core.domain.profile import Profile, content_of, decode_profile
from pinocchio_core.errors import PreconditionFailed, RequestError, VersionConflict
from pinocchio_core.service.checking.targets import Order
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.rows import UNDECODABLE, StoredProfile, checksum, etag_of, readable

MAX_OPERATIONS: Final = 200
"""Operations in each patch of a conflict; where one has more, there are none."""
MAX_BYTES: Final = 64 * 1024
"""Of both patches together as JSON; where they have more, there are none."""

Make = Callable[[Profile], Profile | None]


def explain(
    error: VersionConflict | PreconditionFailed, store: Store, row: StoredProfile, order: Order, make: Make
) -> None:
    """Add to `error` why `row` was changed, and what is different from the version that the client saw.

    `make` says what the request would have made of that one.
    """
    newest = store.revisions.read(row.registry, row.slug, row.version)
    if error.current is not None and newest and newest.reason:
        error.current = {**error.current, "reason": newest.reason}
    if (current := readable(row)) is None:
        return
    for version, etag in _versions(order):
        base = _base(store, row, version, etag)
        if base:
            error.conflict = {"base_version": version, **_changes(base, current, make)}
            return


def _versions(order: Order) -> list[tuple[int, str | None]]:
    """The versions that a client may have seen, with the entity tags that say so."""
    found: list[tuple[int, str | None]] = [(order.expected_version, None)] if order.expected_version else []
    for tag in order.conditions.if_match or ():
        digits = tag.strip('"').partition("-")[0]
        if digits.isascii() and digits.isdigit() and len(digits) < 20:
            found.append((int(digits), tag))
    return found


def _base(store: Store, row: StoredProfile, version: int, etag: str | None) -> Profile | None:
    revision = store.revisions.read(row.registry, row.slug, version)
    if revision is None or revision.payload is None:
        return None
    tags = [etag_of(version, checksum(revision.payload), is_default=is_default) for is_default in (False, True)]
    if etag is not None and etag not in tags:
        return None
    try:
        return decode_profile(revision.payload)
    except UNDECODABLE:
        return None


def _changes(base: Profile, current: Profile, make: Make) -> dict[str, Any]:
    before = content_of(base)
    theirs, yours = patch_between(before, content_of(current)), _yours(base, before, make)
    if max(len(theirs), len(yours)) > MAX_OPERATIONS:
        return {"truncated": True}
    changes = {"theirs": theirs, "yours": yours, "overlapping": overlapping(theirs, yours)}
    return changes if len(msgspec.json.encode(changes)) <= MAX_BYTES else {"truncated": True}


def _yours(base: Profile, before: dict[str, Any], make: Make) -> list[Operation]:
    try:
        made = make(base)
    except RequestError:  # that version took no changes
        return []
    return patch_between(before, content_of(made)) if made else [{"op": "remove", "path": ""}]
