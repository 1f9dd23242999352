"""What would become of a stored profile whose configs are carried over: the one judgement of all who ask."""

import msgspec
from msgspec import Struct

from pinocchio_core.domain.profile import Profile
from pinocchio_core.errors import InvalidRequest, PinocchioError, Problem, ProfileReadOnly
from pinocchio_core.host.host import Host
from pinocchio_core.service.checking.requests import PatchProfile
from pinocchio_core.service.checking.targets import Target
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.upgrades.config_migration import ConfigMigration, Migrated
from pinocchio_core.service.writing.drafts import changed
from pinocchio_core.store.tables.rows import StoredProfile


class Plan(Struct, frozen=True):
    """What is to be done with a profile."""

    migrated: Migrated
    request: bytes = b""
    """The write that does it; empty where there is nothing to do, or nothing can be done."""


class Judging:
    """Judges migrations by the plugins of a host, which must have been told of the database."""

    def __init__(self, host: Host) -> None:
        self._validation = Validation(host)
        self._migration = ConfigMigration(host.catalog)

    def plan(self, row: StoredProfile, profile: Profile) -> Plan:
        """What a migration comes to."""
        found = self._migration.of(profile)
        if not found.reason:
            return Plan(found)
        body = {"extensions": found.profile.extensions, "expected_version": row.version}
        return Plan(found, msgspec.json.encode(body))

    def refusals(self, row: StoredProfile, profile: Profile, request: bytes) -> tuple[Problem, ...]:
        """What the write of a plan would be refused for, hooks of plugins included; nothing is written."""
        if profile.policy.read_only:
            return problems_of(ProfileReadOnly(row.registry, row.slug))
        try:
            asked = self._validation.request(request, PatchProfile, target=target_of(row), stored=lambda _: profile)
            self._validation.change(changed(profile, asked, self._validation.catalog), profile)
        except PinocchioError as error:
            return problems_of(error)
        return ()

    def stored_problems(self, payload: bytes) -> list[Problem]:
        """What schemas have against a document as it is stored."""
        return self._validation.stored_problems(payload)


def target_of(row: StoredProfile) -> Target:
    """The profile as requests name it."""
    return Target(slug=row.slug, registry=row.registry)


def problems_of(error: PinocchioError) -> tuple[Problem, ...]:
    """What an error of a write says is wrong."""
    return error.problems if isinstance(error, InvalidRequest) else (Problem(field="", reason=str(error)),)
