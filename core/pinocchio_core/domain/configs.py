"""Configs of middlewares: how they may be sent, and the one form in which they are stored.

A config is sent inline (`runtime.middlewares[i].config`) or in the extension `middleware.<name>_config@vN` under
`instances`; it is stored in the extension only. The slot of a use with an id is `id:<id>`, that of the one use of
a name without an id is `default`. The original program numbered slots by position, `index:<n>`, and so handed
configs to the wrong use when the order changed; such slots are read as `default`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from pinocchio_core.domain.profile import MiddlewareUse, slot_of
from pinocchio_core.domain.slugs import trim

_POSITIONAL = re.compile(r"index:[0-9]+")


class SentUse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A use of a middleware as it is sent, perhaps with its config."""

    name: str | None = None
    id: str | None = None
    enabled: bool | None = None
    config: Raw | UnsetType = UNSET

    @property
    def inline(self) -> Raw | None:
        """The config that was sent with it; `null` counts as none."""
        return None if isinstance(self.config, UnsetType) or bytes(self.config) == b"null" else self.config

    def use(self) -> MiddlewareUse:
        """The use without its config, with its names trimmed."""
        return MiddlewareUse(name=trim(self.name or ""), id=trim(self.id or "") or None, enabled=self.enabled)


def canonical_slot(slot: str) -> str:
    """The slot under which a config sent as `slot` is stored."""
    if _POSITIONAL.fullmatch(slot):
        return "default"
    prefix, colon, use_id = slot.partition(":")
    return slot_of(trim(use_id)) if colon and prefix == "id" else slot


def slot_clashes(slots: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Slots that would be stored as one: the canonical slot and those that were sent."""
    by_slot: dict[str, list[str]] = {}
    for slot in slots:
        by_slot.setdefault(canonical_slot(slot), []).append(slot)
    return [(slot, sent) for slot, sent in by_slot.items() if len(sent) > 1]


def stored_form(
    uses: Sequence[SentUse],
    extensions: Mapping[str, Raw],
    *,
    key_of: Callable[[str], str],
    holds_configs: Callable[[str], bool],
) -> tuple[tuple[MiddlewareUse, ...], dict[str, Raw]]:
    """The uses without configs, and the extensions with all configs in them.

    `extensions` has canonical keys, `key_of` gives the extension key for a middleware's name, `holds_configs` says
    whether an extension is meant to hold configs. An inline config wins over one in the extension, and replaces an
    extension that holds none. Values that need no change, or can have none, stay as the bytes they are.
    """
    plain = tuple(sent.use() for sent in uses)
    inline: dict[str, dict[str, Raw]] = {}
    for sent, use in zip(uses, plain, strict=True):
        if sent.inline is not None:
            inline.setdefault(key_of(use.name), {})[use.slot] = sent.inline
    merged = {key: Raw(value) for key, value in extensions.items()}
    for key in inline.keys() | set(filter(holds_configs, merged)):
        merged[key] = _with_instances(merged.get(key), inline.get(key, {}))
    return plain, merged


def _with_instances(extension: Raw | None, inline: Mapping[str, Raw]) -> Raw:
    try:
        value: dict[str, Any] = {} if extension is None else msgspec.json.decode(extension, type=dict[str, Raw])
        instances: dict[str, Raw] = msgspec.json.decode(value.get("instances", b"{}"), type=dict[str, Raw])
    except msgspec.ValidationError:  # stored while nobody knew what it is for
        value, instances = {}, {}
    as_they_are = slot_clashes(instances) or all(canonical_slot(slot) == slot for slot in instances)
    if extension is not None and not inline and as_they_are:
        return extension
    renamed = {canonical_slot(slot): config for slot, config in instances.items()}
    return Raw(msgspec.json.encode(value | {"instances": renamed | dict(inline)}))
