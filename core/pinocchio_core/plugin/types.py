"""What plugins give and get: plain records. Fields are only ever added, with a default."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pinocchio_core.domain.profile import Profile
from pinocchio_core.domain.turns import Handler, Middleware


@dataclass(frozen=True)
class MiddlewareDefinition:
    """A middleware that profiles may use. See `pinocchio_middleware_definitions`.

    It implies the extension schema `middleware.<name>_config@v<version>`.
    """

    name: str
    """`[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?`, case-sensitive, at most 57 characters."""
    config_schema: Mapping[str, Any]
    """JSON Schema (draft 2020-12) of the config of one use; no reference may leave the document."""
    build: Callable[[Mapping[str, Any]], Middleware]
    """Makes the middleware from a config that is valid under the schema and has its defaults applied."""
    _: KW_ONLY
    version: int = 1
    """Version of the config schema, 1 to 99999."""
    display_name: str = ""
    """Falls back to the schema's `title`, then to the name."""
    description: str = ""
    """Falls back to the schema's `description`."""
    migrate_config: Callable[[dict[str, Any], int], Mapping[str, Any]] | None = None
    """Makes a config for this version from a copy of one that was valid under an older version, which it is told.

    `pinocchio plugins check` previews what it does to stored profiles, `pinocchio plugins migrate` applies it.
    """


@dataclass(frozen=True)
class ExtensionSchema:
    """The schema of an extension that is no middleware's config. See `pinocchio_extension_schemas`."""

    key: str
    """`namespace.feature@vN`; released schemas are frozen, a change of meaning is the next version."""
    schema: Mapping[str, Any]
    """JSON Schema (draft 2020-12); no reference may leave the document."""


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """What the operator says of the engine that the server uses, apart from any profile."""

    base_url: str | None = None
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    """It is for `base_url` and no other place."""
    allowed_origins: tuple[str, ...] = ()
    """Origins (`https://host:port`) that settings of a profile may name besides; without the key."""


@dataclass(frozen=True)
class EngineDefinition:
    """An engine that answers turns. See `pinocchio_engines`."""

    name: str
    _: KW_ONLY
    build: Callable[[Mapping[str, Any], EngineOptions], Handler]
    """Makes the engine from its settings, section → field → value, and what the operator says.

    Called for each new combination of both; what it returns answers turns of many conversations at one time. It adds
    the blocks of its answer to a turn, assistant text or tool calls, and raises `EngineFailed` where it cannot.
    """
    settings_schema: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema (draft 2020-12) of the sections it reads."""
    display_name: str = ""
    description: str = ""
    offline: bool = False
    """Whether it answers from the turn and its settings alone, so that `check_plugin` may ask it."""


@dataclass(frozen=True)
class ProfileSeed:
    """A profile for a store that is filled for the first time. See `pinocchio_bootstrap_profiles`."""

    slug: str
    _: KW_ONLY
    document: Mapping[str, Any] = field(default_factory=dict)
    """The fields of a create request apart from `slug`: `runtime`, `policy`, `extensions` and so on."""


@dataclass(frozen=True, kw_only=True)
class ProfileChange:
    """A committed change. See `pinocchio_profile_changed`."""

    op: Literal["create", "update", "delete", "set_default"]
    registry: str
    slug: str
    version: int
    """The profile's version after the change; a deletion counts as one."""
    actor: str
    at_ms: int
    """Milliseconds since 1970-01-01 UTC."""
    profile: Profile | None = None
    """The profile after the change; `None` when it was deleted."""


@dataclass(frozen=True, kw_only=True)
class StartupInfo:
    """What a plugin may know of the program it runs in. See `pinocchio_startup`."""

    version: str
    """Version of the distribution pinocchio-webchat."""
    default_registry: str
    database_path: Path | None = None
    """The profile database's file, `None` where it is not a file."""
    conversations_path: Path | None = None
    """That of the database of conversations, or `None`. Open neither with a SQLite of your own: see docs/hooks.md."""
