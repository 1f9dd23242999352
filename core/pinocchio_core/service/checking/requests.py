"""Bodies of requests, field by field. `null` counts as absent everywhere."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from pinocchio_core.domain.configs import SentUse
from pinocchio_core.domain.references import MAX_VERSION

Version = Annotated[int, Meta(ge=0)]


class SentMetadata(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tags` is the client's; the others are the server's, may be sent back as they were read, and are ignored."""

    tags: tuple[str, ...] | None = None
    version: int | None = None
    created_at_ms: int | None = None
    updated_at_ms: int | None = None
    created_by: str | None = None
    updated_by: str | None = None
    source: str | None = None


class SentPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy; what is left out is false or no list."""

    allow_overrides: bool | None = None
    read_only: bool | None = None
    allowed_override_keys: tuple[str, ...] | None = None
    denied_override_keys: tuple[str, ...] | None = None


class SentBase(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A profile to build on; `version` and `label` exclude each other."""

    registry: str | None = None
    slug: str | None = None
    version: Annotated[int, Meta(ge=1, le=MAX_VERSION)] | None = None
    label: str | None = None


class SentRuntime(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A runtime, with configs of middlewares perhaps inline."""

    extends: tuple[SentBase, ...] | None = None
    system_prompt: str | None = None
    middlewares: tuple[SentUse, ...] | None = None
    tools: tuple[str, ...] | None = None
    step_settings_patch: dict[str, dict[str, Any]] | None = None


class PatchProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes of a profile: each top-level field that is there replaces the stored one as a whole."""

    registry: str | None = None
    slug: str | None = None
    display_name: str | None = None
    description: str | None = None
    runtime: SentRuntime | None = None
    policy: SentPolicy | None = None
    metadata: SentMetadata | None = None
    extensions: dict[str, Raw] | None = None
    expected_version: Version | None = None
    reason: str | None = None
    is_default: bool | None = None
    warnings: Any = None
    """The server's, from the answer of a write; ignored."""


class CreateProfile(PatchProfile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new profile."""

    set_default: bool | None = None


class ReplaceProfile(PatchProfile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole profile in place of a stored one: what is left out is empty afterwards."""


class SetDefault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which registry, the version of it that the client saw, and why."""

    registry: str | None = None
    expected_version: Version | None = None
    reason: str | None = None


class PutLabel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a label is to point, whether only admins may move it then, and the version that it points to now."""

    registry: str | None = None
    version: Annotated[int, Meta(ge=1, le=MAX_VERSION)] | None = None
    protected: bool | None = None
    expected_version: Version | None = None
    reason: str | None = None


class RestoreRevision(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a version is brought back, and over which one."""

    registry: str | None = None
    expected_version: Version | None = None
    reason: str | None = None


class ChooseProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The profile that a browser wants from now on."""

    slug: str | None = None
    registry: str | None = None


class SentWrite(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One write of several; `document` is the body of the request that does it alone."""

    op: str | None = None
    slug: str | None = None
    registry: str | None = None
    expected_version: Version | None = None
    document: Raw | UnsetType = UNSET


class BatchRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several writes, each a `SentWrite`; registry and reason are those of all that have none."""

    registry: str | None = None
    reason: str | None = None
    writes: tuple[Raw, ...] | None = None


class PatchRegistry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes of a registry itself."""

    slug: str | None = None
    display_name: str | None = None
    description: str | None = None
    default_profile_slug: str | None = None
    metadata: SentMetadata | None = None
    expected_version: Version | None = None
    reason: str | None = None
    is_default: bool | None = None
    profile_count: int | None = None


class CreateRegistry(PatchRegistry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new, empty registry."""


class ResolveProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a profile is to be resolved with."""

    registry: str | None = None
    slug: str | None = None
    overrides: Any = None
    request_overrides: Any = None
    explain: bool | None = None


class ChatRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user's message, and where it belongs."""

    prompt: str | None = None
    text: str | None = None
    conv_id: str | None = None
    profile: str | None = None
    registry: str | None = None
    overrides: Any = None
    request_overrides: Any = None
    idempotency_key: str | None = None
    stream: bool | None = None
