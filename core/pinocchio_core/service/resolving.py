"""The use case of resolving: a stored profile, and what a request wants to be different."""

from typing import Any, Final

from pinocchio_core.domain.profile import Profile
from pinocchio_core.errors import InvalidRequest, Problem
from pinocchio_core.host.host import Host
from pinocchio_core.service.kept import Kept
from pinocchio_core.service.names import reference_problems
from pinocchio_core.service.operator import OperatorConfigs
from pinocchio_core.service.overrides import FIELD, allowed_overrides, parse_overrides
from pinocchio_core.service.references import referenced_row
from pinocchio_core.service.requests import ChatRequest, ResolveProfile
from pinocchio_core.service.resolve import Resolved, Resolver, Uses
from pinocchio_core.service.targets import Target, checked
from pinocchio_core.store.rows import StoredProfile
from pinocchio_core.store.store import Store

_MAX_KEPT_BYTES: Final = 64 * 1024
"""Larger profiles are taken apart each time, so that what is kept has a bound in bytes too."""


class ResolveService:
    """What profiles come to."""

    def __init__(self, store: Store, host: Host, operator: OperatorConfigs, *, default_registry: str) -> None:
        self._store = store
        self._host = host
        self._resolver = Resolver(host.catalog, operator)
        self._kept: Kept[tuple[Profile, Uses]] = Kept()
        self.default_registry = default_registry

    def requested(self, target: Target, body: bytes) -> dict[str, Any]:
        """The answer to a request to resolve a profile.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, RevisionNotFound, OverrideRefused, RowUnreadable.
        """
        if body.strip():
            request = checked(body, ResolveProfile, target)
        else:
            target.check()
            request = ResolveProfile()
        registry = target.registry_slug(request.registry, self.default_registry)
        explain = bool(request.explain)
        resolved = self.resolve(registry, target.slug or "", overrides_of(request), explain=explain)
        return resolution_document(resolved, explain=explain)

    def resolve(self, registry: str, slug: str, overrides: Any = None, *, explain: bool = False) -> Resolved:
        """A stored profile, or a version of one, with these overrides.

        With `explain` those that policy refuses are kept as such. `slug` may be `slug@version` or `slug@label`.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, RevisionNotFound, OverrideRefused, RowUnreadable.
        """
        problems = list(reference_problems("profile", slug))
        if problems:
            raise InvalidRequest(problems)
        profile, uses = self._known(referenced_row(self._store, registry, slug))
        sent = parse_overrides(overrides, self._host.catalog)
        return self._resolver.resolve(profile, allowed_overrides(sent, profile, collect=explain), own=uses)

    def _known(self, row: StoredProfile) -> tuple[Profile, Uses]:
        def make() -> tuple[Profile, Uses]:
            profile = row.profile()
            return profile, self._resolver.own_uses(profile)

        if len(row.payload) > _MAX_KEPT_BYTES:
            return make()
        return self._kept.get((row.payload, row.sha256), make)


def resolution_document(resolved: Resolved, *, explain: bool) -> dict[str, Any]:
    """A resolved profile as JSON."""
    document = {
        "registry": resolved.registry,
        "profile": resolved.slug,
        "runtime_key": resolved.runtime_key,
        "profile_version": resolved.version,
        "runtime_fingerprint": resolved.fingerprint,
        "runtime": resolved.runtime(),
    }
    if explain:
        document["explain"] = {
            "values": [
                {
                    "pointer": leaf.pointer,
                    "value": leaf.value,
                    "layers": [vars(layer) for layer in leaf.written_by],
                    "won": leaf.written_by[-1].source,
                }
                for leaf in resolved.explained()
            ],
            "refused": [{"key": key, "reason": reason} for key, reason in resolved.refused.items()],
        }
    return document


def overrides_of(request: ResolveProfile | ChatRequest) -> Any:
    """The overrides of a request, under either of their names; InvalidRequest where it has both."""
    if request.overrides is not None and request.request_overrides is not None:
        reason = f"is the same as {FIELD}; send one of the two"
        raise InvalidRequest([Problem(field="request_overrides", reason=reason)])
    return request.request_overrides if request.overrides is None else request.overrides
