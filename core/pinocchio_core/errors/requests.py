"""What a request is refused for."""

from collections.abc import Mapping, Sequence
from typing import Any

from pinocchio_core.errors.base import MAX_PROBLEMS, Problem, RequestError


class InvalidRequest(RequestError):
    """A request whose content is wrong; `problems` lists everything found, never empty."""

    code = "validation_error"

    def __init__(self, problems: Sequence[Problem], *, next_step: str | None = None) -> None:
        self.problems = tuple(problems[:MAX_PROBLEMS])
        if len(problems) > MAX_PROBLEMS:
            self.problems += (Problem(field=self.problems[0].field, reason="and more problems than are listed here"),)
        self.next_step = next_step
        first, rest = self.problems[0], len(self.problems) - 1
        more = f"; and {rest} more" if rest else ""
        super().__init__(f"validation error ({first.field}): {first.reason}{more}")


class BodyTooLarge(RequestError):
    """A request body over the limit of `limit_bytes`."""

    code = "body_too_large"

    def __init__(self, limit_bytes: int) -> None:
        self.next_step = f"send at most {limit_bytes} bytes"
        super().__init__(f"the request body is larger than {limit_bytes} bytes")


class UnsupportedMediaType(RequestError):
    """A request body that does not say it is JSON."""

    code = "unsupported_media_type"
    next_step = "send the header Content-Type: application/json"

    def __init__(self, sent: str | None) -> None:
        super().__init__(f"the request body must be application/json, not {sent or 'of no stated type'}")


class NotFound(RequestError):
    """Something named in the request does not exist."""

    code = "not_found"


class RegistryNotFound(NotFound):
    """No registry of that slug."""

    code = "registry_not_found"
    next_step = "list the registries with GET /api/chat/registries, or see them all in pinocchio profiles export"

    def __init__(self, registry: str) -> None:
        self.registry = registry
        super().__init__(f'registry not found: "{registry}"')


class ProfileNotFound(NotFound):
    """No profile of that slug in the registry."""

    code = "profile_not_found"
    next_step = "list the profiles with GET /api/chat/profiles or pinocchio profiles list"

    def __init__(self, registry: str, slug: str) -> None:
        self.registry, self.slug = registry, slug
        super().__init__(f'profile not found: "{slug}" in registry "{registry}"')


class RevisionNotFound(NotFound):
    """A profile has no such version, or no label of that name; or nothing is left of it to use."""

    code = "revision_not_found"

    def __init__(self, registry: str, slug: str, pin: int | str, *, reason: str = "") -> None:
        self.registry, self.slug, self.pin = registry, slug, pin
        what = "revisions" if isinstance(pin, int) else "labels"
        self.next_step = f"see GET /api/chat/profiles/{slug}/{what} or pinocchio profiles history {slug}"
        super().__init__(
            f'revision not found: "{slug}@{pin}" in registry "{registry}"' + (f": {reason}" if reason else "")
        )


class PolicyViolation(RequestError):
    """The request is well-formed and forbidden."""

    code = "policy_violation"


class ProfileReadOnly(PolicyViolation):
    """The profile's policy forbids changing or deleting it."""

    code = "profile_read_only"
    next_step = (
        'lift it first with PATCH {"policy": {"read_only": false}}, or apply a file that changes nothing but that'
    )

    def __init__(self, registry: str, slug: str) -> None:
        self.registry, self.slug = registry, slug
        super().__init__(f'profile "{slug}" in registry "{registry}" is read-only')


class OverrideRefused(PolicyViolation):
    """The profile's policy denies an override of the request."""

    code = "override_refused"
    next_step = "leave these overrides out, or change the policy of the profile"

    def __init__(self, registry: str, slug: str, reasons: Mapping[str, str]) -> None:
        """`reasons` says why, by the key of each override."""
        self.registry, self.slug, self.reasons = registry, slug, dict(reasons)
        told = "; ".join(f"{key}: {reason}" for key, reason in reasons.items())
        super().__init__(f'profile "{slug}" in registry "{registry}" does not allow these overrides: {told}')


class StoreReadOnly(PolicyViolation):
    """The database was opened read-only."""

    code = "store_read_only"
    next_step = "start the server on a writable database to change profiles"

    def __init__(self, reason: str, *, next_step: str | None = None) -> None:
        if next_step:
            self.next_step = next_step
        super().__init__(f"the profile store is read-only: {reason}")


class SourceReadOnly(PolicyViolation):
    """The registry is served from files, and is changed there."""

    code = "source_read_only"

    def __init__(self, registry: str, source: str) -> None:
        self.registry, self.source = registry, source
        self.next_step = f"edit {source}; it is read again when it has changed"
        super().__init__(f'registry "{registry}" is served from {source} and cannot be changed over HTTP')


class Conflict(RequestError):
    """The stored state does not allow the change."""

    code = "conflict"


class VersionConflict(Conflict):
    """The version the client saw is not the version that is stored."""

    code = "version_conflict"
    next_step = "read it again, apply your change to what is there now, and send that version"

    def __init__(self, what: str, *, expected: int, actual: int, current: dict[str, Any] | None = None) -> None:
        self.expected, self.actual, self.current = expected, actual, current
        self.conflict: dict[str, Any] | None = None
        super().__init__(f"{what} version conflict: expected={expected} actual={actual}")


class AlreadyExists(Conflict):
    """The slug is taken."""

    code = "already_exists"

    def __init__(self, what: str, *, current: dict[str, Any] | None = None) -> None:
        self.current = current
        self.next_step = "change it with PATCH, or choose another slug"
        super().__init__(f"{what} already exists")


class InUse(Conflict):
    """Something else depends on what was to be removed."""

    code = "in_use"

    def __init__(self, detail: str, *, next_step: str, dependents: Sequence[dict[str, Any]] = ()) -> None:
        """`dependents` are things that point at it, each with its `kind` and its `name`."""
        self.next_step, self.dependents = next_step, list(dependents)
        super().__init__(detail)


class PreconditionFailed(RequestError):
    """An If-Match or If-None-Match header does not hold (RFC 9110, section 13)."""

    code = "precondition_failed"
    next_step = "read it again and send the ETag of that answer"

    def __init__(self, header: str, *, current: dict[str, Any] | None = None) -> None:
        self.current = current
        self.conflict: dict[str, Any] | None = None
        super().__init__(f"the condition in {header} does not hold")


class ConversationNotFound(NotFound):
    """There is no such conversation."""

    code = "conversation_not_found"
    next_step = "see GET /api/chat/conversations for those there are"

    def __init__(self, conv_id: str) -> None:
        self.conv_id = conv_id
        super().__init__(f'there is no conversation "{conv_id}"')


class IdempotencyMismatch(Conflict):
    """An idempotency key that stands for another request already."""

    code = "idempotency_key_reused"
    next_step = "send a new key with a new request"

    def __init__(self, conv_id: str) -> None:
        super().__init__(f'the idempotency key was used for another request in conversation "{conv_id}"')


class ConversationBusy(RequestError):
    """Too many turns of one conversation wait for the one that runs."""

    code = "conversation_busy"
    next_step = "send one turn of a conversation after the other"
    retry_after_s = 2

    def __init__(self, conv_id: str) -> None:
        super().__init__(f'too many turns of conversation "{conv_id}" wait already')


class TurnCancelled(RequestError):
    """Nobody waits for the turn any more."""

    code = "client_gone"

    next_step = "send it again"

    def __init__(self) -> None:
        super().__init__("the client has gone")


class Unauthorized(RequestError):
    """The request has no token that is valid; which part of one was wrong is for the log."""

    code = "unauthorized"
    next_step = "send the header Authorization: Bearer TOKEN with a token that is valid"

    def __init__(self) -> None:
        super().__init__("a valid token is needed here")


class Forbidden(RequestError):
    """The request is sound, and not for this caller to make."""

    code = "forbidden"
    next_step = "use a token that may, or ask whoever gives out the tokens"

    def __init__(self, reason: str) -> None:
        super().__init__(f"not allowed: {reason}")


class CrossSiteRefused(Forbidden):
    """A browser sends it for a page of another site."""

    code = "cross_site"
    next_step = "start the server with --cors-origin ORIGIN if that site is yours"

    def __init__(self) -> None:
        super().__init__("a page of another origin may not write here")


class TooManyAttempts(RequestError):
    """Too many tokens from one address were not valid."""

    code = "too_many_attempts"

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        self.next_step = f"try again in {retry_after_s} s, with a token that is valid"
        super().__init__("too many tokens from this address were not valid")


class HostRefused(RequestError):
    """The header Host names no host that this server goes by (RFC 9110, section 7.4)."""

    code = "unknown_host"
    next_step = "use a host that this server goes by, or start it with --allow-host HOST"

    def __init__(self, host: str) -> None:
        """`host` is shown, so it is short and quoted."""
        super().__init__(f"this server does not go by the host {host}")


class HistoryReset(RequestError):
    """The place in the feed of changes that a client goes on from is no more: an older database was restored."""

    code = "history_reset"

    def __init__(self, after: str, newest: str) -> None:
        self.newest = newest
        self.current = {"cursor": newest}
        self.next_step = "read everything again, and then the changes after the cursor in `current`"
        super().__init__(f"the changes after {after} cannot be told: the history does not go through it any more")
