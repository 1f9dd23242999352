"""Carrying the configs of stored profiles over to the installed versions of middlewares, one revision a profile."""

from collections.abc import Iterator

from msgspec import Struct, structs

from pinocchio_core.domain.diffs import Operation
from pinocchio_core.errors import PinocchioError, Problem, RowUnreadable, VersionConflict
from pinocchio_core.host.host import Host
from pinocchio_core.service.upgrades.judging import Judging, problems_of, target_of
from pinocchio_core.service.writing.writes import ProfileWrites
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.rows import Author, StoredProfile
from pinocchio_core.store.tables.scan import RowScan


class Upgraded(Struct, frozen=True, kw_only=True):
    """What was done to a profile, or why nothing was."""

    registry: str
    slug: str
    version: int
    """After it where it was applied, else as it is."""
    reason: str = ""
    """As the history has it."""
    changes: tuple[Operation, ...] = ()
    problems: tuple[Problem, ...] = ()


class Upgrading:
    """Goes through all profiles of a store."""

    def __init__(self, store: Store, host: Host) -> None:
        self._scan = RowScan(store.database)
        self._judging = Judging(host)

    def planned(self) -> Iterator[Upgraded]:
        """What `applied` would do; profiles that are up to date are left out."""
        for row in self._rows():
            plan = self._plan(row)
            if plan:
                upgraded, request = plan
                yield structs.replace(
                    upgraded, problems=upgraded.problems or self._judging.refusals(row, row.profile(), request)
                )

    def applied(self, service: ProfileWrites, *, author: Author) -> Iterator[Upgraded]:
        """Carry over what there is, each profile through the ordinary way of a write."""
        for row in self._rows():
            upgraded = self._applied(row, service, author)
            if upgraded:
                yield upgraded

    def _rows(self) -> Iterator[StoredProfile]:
        after = -1
        while True:
            rows, after = self._scan.profiles(after)
            if not rows:
                return
            yield from rows

    def _plan(self, row: StoredProfile) -> tuple[Upgraded, bytes] | None:
        """What is to be done, with the request that does it; `None` where nothing is."""
        try:
            profile = row.profile()
        except RowUnreadable:
            return None  # said by `profiles doctor`; there is no config to carry over
        plan = self._judging.plan(row, profile)
        found = plan.migrated
        upgraded = Upgraded(registry=row.registry, slug=row.slug, version=row.version, problems=found.failures)
        if upgraded.problems:
            return upgraded, b""
        if not found.reason:
            return None
        return structs.replace(upgraded, reason=found.reason, changes=found.changes), plan.request

    def _applied(self, row: StoredProfile, service: ProfileWrites, author: Author) -> Upgraded | None:
        found: StoredProfile | None = row
        while found:
            plan = self._plan(found)
            if plan is None or plan[0].problems:
                return plan and plan[0]
            upgraded, request = plan
            try:
                outcome = service.write(
                    "update", target_of(row), request, author=structs.replace(author, reason=upgraded.reason)
                )
            except VersionConflict:
                found = self._scan.profile((row.registry, row.slug))
            except PinocchioError as error:
                return structs.replace(upgraded, problems=problems_of(error))
            else:
                return structs.replace(upgraded, version=outcome.version)
        return None
