"""The use case of resolving: a stored profile, and what a request wants to be different."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct, structs

from pinocchio_core.domain.profile import Profile, encode_document
from pinocchio_core.domain.stacks import effective
from pinocchio_core.errors import InvalidRequest, Problem
from pinocchio_core.host.host import Host
from pinocchio_core.service.checking.names import reference_problems
from pinocchio_core.service.checking.overrides import FIELD, allowed_overrides, parse_overrides
from pinocchio_core.service.checking.requests import ChatRequest, ResolveProfile
from pinocchio_core.service.checking.targets import Target, checked
from pinocchio_core.service.kept import Kept
from pinocchio_core.service.operator import OperatorConfigs
from pinocchio_core.service.references import referenced_row
from pinocchio_core.service.resolve import Parts, Resolved, Resolver
from pinocchio_core.service.stacks import StackReader
from pinocchio_core.store.sqlite.blocking import about_to_block
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.rows import StoredProfile

_MAX_KEPT_BYTES: Final = 64 * 1024
"""Larger profiles are taken apart each time, so that what is kept has a bound in bytes too."""


class ResolveService:
    """What profiles come to."""

    def __init__(self, store: Store, host: Host, operator: OperatorConfigs, *, default_registry: str) -> None:
        self._store = store
        self._host = host
        self._resolver = Resolver(host.catalog, operator)
        self._kept: Kept[_Known] = Kept()
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
        if explain:
            about_to_block()
        slug, overrides = target.slug or "", overrides_of(request)
        resolved = self._resolve(registry, slug, overrides, explain=explain, registries=target.registries)
        return resolution_document(resolved, explain=explain)

    def resolve(
        self,
        registry: str,
        slug: str,
        overrides: Any = None,
        *,
        explain: bool = False,
        registries: frozenset[str] | None = None,
    ) -> Resolved:
        """A stored profile, or a version of one, with these overrides.

        With `explain` those that policy refuses are kept as such. `slug` may be `slug@version` or `slug@label`.
        `registries` are the only ones that exist for who asks, `None` for all.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, RevisionNotFound, OverrideRefused, RowUnreadable,
            StackBroken.
        """
        problems = list(reference_problems("profile", slug))
        if problems:
            raise InvalidRequest(problems)
        return self._resolve(registry, slug, overrides, explain=explain, registries=registries)

    def _resolve(
        self, registry: str, slug: str, overrides: Any, *, explain: bool, registries: frozenset[str] | None
    ) -> Resolved:
        """As `resolve`, for a sound slug."""
        known = self._known(referenced_row(self._store, registry, slug), registries)
        sent = parse_overrides(overrides, self._host.catalog)
        allowed = allowed_overrides(sent, known.whole, collect=explain)
        if allowed.middlewares:
            about_to_block()
        return self._resolver.resolve(known.stack, allowed, own=known.parts)

    def _known(self, row: StoredProfile, registries: frozenset[str] | None) -> "_Known":
        def alone() -> _Known:
            about_to_block()
            profile = row.profile()
            return _Known((profile,), profile, None if profile.runtime.extends else self._resolver.parts((profile,)))

        large = len(row.payload) > _MAX_KEPT_BYTES
        known = alone() if large else self._kept.get((row.payload, row.sha256), alone)
        if known.parts is not None:
            return known
        return self._stacked(known.whole, registries)

    def _stacked(self, leaf: Profile, registries: frozenset[str] | None) -> "_Known":
        """What a profile comes to with those that it builds on, which are read each time."""
        about_to_block()
        stack = (*StackReader(self._store, registries=registries).bases_of(leaf), leaf)
        key = tuple(map(encode_document, stack))

        def together() -> _Known:
            return _Known(stack, effective(stack), self._resolver.parts(stack))

        return together() if sum(map(len, key)) > _MAX_KEPT_BYTES else self._kept.get(key, together)


class _Known(Struct, frozen=True):
    """A profile with those that it builds on, taken apart."""

    stack: Sequence[Profile]
    """The lowest first, itself last."""
    whole: Profile
    """What they come to together."""
    parts: Parts | None
    """`None` where those that it builds on are not among the stack."""


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
                    "layers": [structs.asdict(layer) for layer in leaf.written_by],
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
