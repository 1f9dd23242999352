"""Everything this program raises on purpose, and `Problem`, the unit of bad input.

    PinocchioError
    ├── RequestError                 a request cannot be carried out
    │   ├── InvalidRequest           its own content is wrong; carries every Problem
    │   ├── BodyTooLarge
    │   ├── UnsupportedMediaType
    │   ├── NotFound
    │   │   ├── RegistryNotFound
    │   │   ├── ProfileNotFound
    │   │   ├── RevisionNotFound
    │   │   └── ConversationNotFound
    │   ├── Forbidden                it is for others to do
    │   ├── PolicyViolation
    │   │   ├── ProfileReadOnly
    │   │   ├── OverrideRefused
    │   │   ├── SourceReadOnly
    │   │   └── StoreReadOnly
    │   ├── Conflict
    │   │   ├── VersionConflict
    │   │   ├── AlreadyExists
    │   │   ├── InUse
    │   │   ├── StackBroken          what a profile builds on is not there
    │   │   └── IdempotencyMismatch
    │   ├── HistoryReset             a feed of changes cannot go on where it was
    │   ├── ConversationBusy         too many turns wait for the one that runs
    │   ├── TurnCancelled            nobody waits for the turn any more
    │   ├── Unauthorized             no valid token
    │   ├── Forbidden                a valid token that does not allow this
    │   │   └── CrossSiteRefused     a browser sends it for a page of another site
    │   ├── TooManyAttempts          too many invalid tokens from one address
    │   ├── HostRefused              for a host that the server does not go by
    │   └── PreconditionFailed
    ├── StoreUnavailable             locked, full or failing database; the same request may work later
    ├── Overloaded                   too many requests wait for plugins
    ├── TooManyTurns                 as many chat turns run or wait as may
    ├── ListenersFull                too many listen to changes
    ├── RowUnreadable                one stored profile or registry cannot be served; everything else can
    ├── HookFailed                   a plugin's hook raised while a request was running
    ├── MiddlewareFailed             a middleware raised while a turn was running
    ├── EngineFailed                 what answers chats could not; raised by engines
    └── StartupError                 the program cannot start; `exit_code` says which kind
        ├── SettingsError            a flag, variable or DSN is wrong (exit 2)
        ├── DatabaseRefused          the database cannot or must not be opened (exit 1)
        ├── FilesRefused             files with profiles cannot be used; carries every FileProblem (exit 1)
        ├── PlanOutdated             what is stored is not what a plan saw (exit 1)
        ├── CandidateFailed          a plugin that is tried cannot be installed or run (exit 1)
        └── PluginsFailed            plugins are broken; carries one line for each (exit 1)

The classes carry data and build their text from it. None of them knows HTTP: `web.errors` has the one table
from class to status.
"""

from pinocchio_core.errors.base import MAX_PROBLEMS, PinocchioError, Problem, RequestError
from pinocchio_core.errors.program import (
    CandidateFailed,
    DatabaseRefused,
    EngineFailed,
    FileProblem,
    FilesRefused,
    HookFailed,
    ListenersFull,
    MiddlewareFailed,
    Overloaded,
    PlanOutdated,
    PluginsFailed,
    RowUnreadable,
    SettingsError,
    StartupError,
    StoreUnavailable,
    TooManyTurns,
)
from pinocchio_core.errors.requests import (
    AlreadyExists,
    BodyTooLarge,
    Conflict,
    ConversationBusy,
    ConversationNotFound,
    CrossSiteRefused,
    Forbidden,
    HistoryReset,
    HostRefused,
    IdempotencyMismatch,
    InUse,
    InvalidRequest,
    NotFound,
    OverrideRefused,
    PolicyViolation,
    PreconditionFailed,
    ProfileNotFound,
    ProfileReadOnly,
    RegistryNotFound,
    RevisionNotFound,
    SourceReadOnly,
    StoreReadOnly,
    TooManyAttempts,
    TurnCancelled,
    Unauthorized,
    UnsupportedMediaType,
    VersionConflict,
)
from pinocchio_core.errors.stacks import StackBroken

__all__ = [
    "MAX_PROBLEMS",
    "AlreadyExists",
    "BodyTooLarge",
    "CandidateFailed",
    "Conflict",
    "ConversationBusy",
    "ConversationNotFound",
    "CrossSiteRefused",
    "DatabaseRefused",
    "EngineFailed",
    "FileProblem",
    "FilesRefused",
    "Forbidden",
    "HistoryReset",
    "HookFailed",
    "HostRefused",
    "IdempotencyMismatch",
    "InUse",
    "InvalidRequest",
    "ListenersFull",
    "MiddlewareFailed",
    "NotFound",
    "Overloaded",
    "OverrideRefused",
    "PinocchioError",
    "PlanOutdated",
    "PluginsFailed",
    "PolicyViolation",
    "PreconditionFailed",
    "Problem",
    "ProfileNotFound",
    "ProfileReadOnly",
    "RegistryNotFound",
    "RequestError",
    "RevisionNotFound",
    "RowUnreadable",
    "SettingsError",
    "SourceReadOnly",
    "StackBroken",
    "StartupError",
    "StoreReadOnly",
    "StoreUnavailable",
    "TooManyAttempts",
    "TooManyTurns",
    "TurnCancelled",
    "Unauthorized",
    "UnsupportedMediaType",
    "VersionConflict",
]
