"""Making profiles out of checked requests: a new one, or a stored one with changes."""

from typing import Any

from msgspec import Raw, structs

from pinocchio_core.domain.configs import SentUse, stored_form
from pinocchio_core.domain.profile import (
    OPEN_POLICY,
    Base,
    Metadata,
    MiddlewareUse,
    Policy,
    Profile,
    Runtime,
    same_content,
)
from pinocchio_core.domain.references import parse_label
from pinocchio_core.domain.slugs import middleware_key, parse_extension_key, parse_slug, trim
from pinocchio_core.host.catalog import Catalog
from pinocchio_core.service.checking.requests import PatchProfile, SentBase, SentPolicy, SentRuntime

_NOT_YET = Metadata(version=0, created_at_ms=0, updated_at_ms=0, created_by="", updated_by="", source="")


def drafted(request: PatchProfile, *, registry: str, slug: str, catalog: Catalog) -> Profile:
    """The new profile that a request asks for; version, times and authors come with `stamped`."""
    empty = Profile(registry=registry, slug=slug, runtime=Runtime(), policy=OPEN_POLICY, metadata=_NOT_YET)
    return changed(empty, request, catalog)


def changed(old: Profile, request: PatchProfile, catalog: Catalog) -> Profile:
    """`old` with each field that the request has; metadata other than tags stays."""
    sent_uses: tuple[SentUse, ...] = _as_sent(old.runtime.middlewares or ())
    runtime = old.runtime
    if request.runtime is not None:
        runtime, sent_uses = _runtime(request.runtime), request.runtime.middlewares or ()
    extensions: dict[str, Raw] = old.extensions
    if request.extensions is not None:
        extensions = {str(parse_extension_key(key)): value for key, value in request.extensions.items()}
    if request.runtime is not None or request.extensions is not None:
        uses, extensions = stored_form(
            sent_uses,
            extensions,
            key_of=lambda name: _key_of(name, catalog),
            holds_configs=lambda key: catalog.middleware_of(key) is not None,
        )
        runtime = structs.replace(runtime, middlewares=uses or None)
    tags = request.metadata.tags if request.metadata else None
    metadata = old.metadata if tags is None else structs.replace(old.metadata, tags=names_of(tags))
    return structs.replace(
        old,
        display_name=text_of(request.display_name, old.display_name),
        description=text_of(request.description, old.description),
        runtime=runtime,
        policy=old.policy if request.policy is None else _policy(request.policy),
        metadata=metadata,
        extensions=extensions,
    )


def stamped(draft: Profile, *, version: int, at_ms: int, actor: str, source: str) -> Profile:
    """The draft as the next version of itself."""
    first = draft.metadata.version == 0
    metadata = structs.replace(
        draft.metadata,
        version=version,
        created_at_ms=at_ms if first else draft.metadata.created_at_ms,
        updated_at_ms=at_ms,
        created_by=actor if first else draft.metadata.created_by,
        updated_by=actor,
        source=source,
    )
    return structs.replace(draft, metadata=metadata)


def lifts_read_only(old: Profile, request: PatchProfile, catalog: Catalog) -> Profile | None:
    """`old` without `read_only` where that is all that the request changes, else `None`.

    A policy of nothing but `read_only: false` leaves the rest of the stored policy as it is.
    """
    sent = request.policy
    if sent is None or sent.read_only is not False:
        return None
    lifted = structs.replace(old, policy=structs.replace(old.policy, read_only=False))
    if sent == SentPolicy(read_only=False):
        request = structs.replace(request, policy=None)
    return lifted if same_content(changed(lifted, request, catalog), lifted) else None


def _key_of(name: str, catalog: Catalog) -> str:
    entry = catalog.middlewares.get(name)
    return entry.key if entry else str(middleware_key(name, 1))


def _as_sent(uses: tuple[MiddlewareUse, ...]) -> tuple[SentUse, ...]:
    return tuple(SentUse(name=use.name, id=use.id, enabled=use.enabled) for use in uses)


def _runtime(sent: SentRuntime) -> Runtime:
    settings: dict[str, dict[str, Any]] | None = sent.step_settings_patch
    prompt, tools = sent.system_prompt, sent.tools
    if not sent.extends:  # where there is nothing to take away, empty is nothing
        prompt, tools = prompt or None, tools or None
    extends = tuple(map(_base, sent.extends or ())) or None
    return Runtime(extends=extends, system_prompt=prompt, tools=tools, step_settings_patch=settings or None)


def _base(sent: SentBase) -> Base:
    registry, label = trim(sent.registry or ""), trim(sent.label or "")
    return Base(
        registry=parse_slug(registry, what="registry slug") if registry else None,
        slug=parse_slug(sent.slug or ""),
        version=sent.version,
        label=parse_label(label) if label else None,
    )


def _policy(sent: SentPolicy) -> Policy:
    return Policy(
        allow_overrides=sent.allow_overrides or False,
        read_only=sent.read_only or False,
        allowed_override_keys=sent.allowed_override_keys,
        denied_override_keys=sent.denied_override_keys,
    )


def names_of(tags: tuple[str, ...]) -> tuple[str, ...] | None:
    """Tags as they are stored: trimmed, each one once, `None` for none."""
    return tuple(dict.fromkeys(trim(tag) for tag in tags)) or None


def text_of(sent: str | None, old: str | None) -> str | None:
    """A text as it is stored: trimmed, the old one where none was sent, `None` for an empty one."""
    return old if sent is None else trim(sent) or None
