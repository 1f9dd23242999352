"""Everything this program raises on purpose, and `Problem`, the unit of bad input.

    PinocchioError
    ├── RequestError                 a request cannot be carried out
    │   ├── InvalidRequest           its own content is wrong; carries every Problem
    │   ├── BodyTooLarge
    │   ├── UnsupportedMediaType
    │   ├── NotFound
    │   │   ├── RegistryNotFound
    │   │   └── ProfileNotFound
    │   ├── PolicyViolation
    │   │   ├── ProfileReadOnly
    │   │   ├── OverrideRefused
    │   │   └── StoreReadOnly
    │   ├── Conflict
    │   │   ├── VersionConflict
    │   │   ├── AlreadyExists
    │   │   └── InUse
    │   └── PreconditionFailed
    ├── StoreUnavailable             locked, full or failing database; the same request may work later
    ├── Overloaded                   too many requests wait for plugins
    ├── RowUnreadable                one stored profile or registry cannot be served; everything else can
    ├── HookFailed                   a plugin's hook raised while a request was running
    └── StartupError                 the program cannot start; `exit_code` says which kind
        ├── SettingsError            a flag, variable or DSN is wrong (exit 2)
        ├── DatabaseRefused          the database cannot or must not be opened (exit 1)
        └── PluginsFailed            plugins are broken; carries one line for each (exit 1)

The classes carry data and build their text from it. None of them knows HTTP: `web.errors` has the one table
from class to status.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a document.

    `field` is the path of the value (`runtime.middlewares[0].name`), `reason` says what is wrong in words;
    `expected` and `actual` are given where both are known and harmless to show.
    """

    field: str
    reason: str
    expected: str | None = None
    actual: str | None = None


MAX_PROBLEMS = 100
"""Problems that one answer lists; a request may have tens of thousands."""


class PinocchioError(Exception):
    """Anything this program raises on purpose."""

    next_step: str | None = None
    """One sentence: what to do now."""


class RequestError(PinocchioError):
    """A request that cannot be carried out."""

    code: ClassVar[str] = "request_refused"
    """Stable, snake_case, for programs."""


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
    next_step = "list the registries with GET /api/chat/registries"

    def __init__(self, registry: str) -> None:
        self.registry = registry
        super().__init__(f'registry not found: "{registry}"')


class ProfileNotFound(NotFound):
    """No profile of that slug in the registry."""

    code = "profile_not_found"
    next_step = "list the profiles with GET /api/chat/profiles"

    def __init__(self, registry: str, slug: str) -> None:
        self.registry, self.slug = registry, slug
        super().__init__(f'profile not found: "{slug}" in registry "{registry}"')


class PolicyViolation(RequestError):
    """The request is well-formed and forbidden."""

    code = "policy_violation"


class ProfileReadOnly(PolicyViolation):
    """The profile's policy forbids changing or deleting it."""

    code = "profile_read_only"
    next_step = 'lift it first with PATCH {"policy": {"read_only": false}}'

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

    def __init__(self, reason: str) -> None:
        super().__init__(f"the profile store is read-only: {reason}")


class Conflict(RequestError):
    """The stored state does not allow the change."""

    code = "conflict"


class VersionConflict(Conflict):
    """The version the client saw is not the version that is stored."""

    code = "version_conflict"
    next_step = "read it again, apply your change to what is there now, and send that version"

    def __init__(self, what: str, *, expected: int, actual: int, current: dict[str, Any] | None = None) -> None:
        self.expected, self.actual, self.current = expected, actual, current
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

    def __init__(self, detail: str, *, next_step: str) -> None:
        self.next_step = next_step
        super().__init__(detail)


class PreconditionFailed(RequestError):
    """An If-Match or If-None-Match header does not hold (RFC 9110, section 13)."""

    code = "precondition_failed"
    next_step = "read it again and send the ETag of that answer"

    def __init__(self, header: str, *, current: dict[str, Any] | None = None) -> None:
        self.current = current
        super().__init__(f"the condition in {header} does not hold")


class StoreUnavailable(PinocchioError):
    """The database cannot serve now: locked beyond the busy timeout, disk full, I/O error."""

    def __init__(self, reason: str, *, retry_after_s: int = 1) -> None:
        self.reason, self.retry_after_s = reason, retry_after_s
        self.next_step = f"try again in {retry_after_s} s"
        super().__init__(f"store unavailable: {reason}")


class Overloaded(PinocchioError):
    """Too many requests wait for plugins; one more would take a thread that the others need."""

    retry_after_s = 1
    next_step = "try again in 1 s; if it stays, look in the server's log for the plugin that is slow"

    def __init__(self, waiting: int, plugins: str) -> None:
        super().__init__(f"{waiting} requests are waiting for plugins: {plugins}")


class RowUnreadable(PinocchioError):
    """A stored row is damaged: its payload does not match its checksum, or is not what it should be."""

    next_step = "replace it, from a backup perhaps, or delete it; everything else is served"

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"the stored {what} is unreadable: {reason}")


class HookFailed(PinocchioError):
    """A plugin's hook raised, so the request was refused and nothing was written."""

    def __init__(self, plugin: str, hook: str) -> None:
        self.plugin, self.hook = plugin, hook
        self.next_step = f"see the server's log, and report it to the authors of {plugin}"
        super().__init__(f"plugin {plugin} failed in {hook}; nothing was written")


class StartupError(PinocchioError):
    """The program cannot start as asked."""

    exit_code: ClassVar[int] = 1

    def __init__(self, detail: str, *, next_step: str | None = None) -> None:
        self.next_step = next_step
        super().__init__(detail)


class SettingsError(StartupError):
    """A flag, an environment variable or a DSN is wrong."""

    exit_code = 2


class DatabaseRefused(StartupError):
    """The database cannot be opened, or must not be touched."""


class PluginsFailed(StartupError):
    """One or more plugins are broken; `faults` has one line for each."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__(
            "broken plugins:\n  " + "\n  ".join(self.faults),
            next_step="repair or uninstall them, name them in PINOCCHIO_BLOCK_PLUGINS,"
            " or start without them with --plugin-errors=warn",
        )
