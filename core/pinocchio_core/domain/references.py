"""Names of profiles that may say which version is meant: `slug`, `slug@7`, `slug@production`."""

import re
from functools import lru_cache
from typing import Final

from msgspec import Struct

from pinocchio_core.domain.slugs import fold, parse_slug, shown

MAX_VERSION: Final = 2**63 - 1
LABEL_RULE = 'use 1 to 63 of a-z, 0-9, "_" and "-", starting with a letter'

_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_VERSION = re.compile(r"[1-9][0-9]{0,18}")

Pin = int | str
"""Which version of a profile: its number, or a label that points to it."""


class Reference(Struct, frozen=True):
    """A profile by its slug, or one version of it."""

    slug: str
    pin: Pin | None = None
    """`None`: the profile as it is now."""

    def __str__(self) -> str:
        return self.slug if self.pin is None else f"{self.slug}@{self.pin}"


def parse_label(raw: str) -> str:
    """The canonical form of a label; it begins with a letter, so it is never taken for a version.

    Raises:
        ValueError: it is no label; the text says why.
    """
    label = fold(raw)
    if not _LABEL.fullmatch(label):
        raise ValueError(f"invalid label {shown(raw)}: {LABEL_RULE}")
    return label


def parse_pin(raw: str) -> Pin:
    """A version number or a label.

    Raises:
        ValueError: it is neither; the text says why.
    """
    text = fold(raw)
    if _VERSION.fullmatch(text) and int(text) <= MAX_VERSION:
        return int(text)
    if not _LABEL.fullmatch(text):
        raise ValueError(
            f"invalid version {shown(raw)}: use a number from 1 to {MAX_VERSION}, or a label ({LABEL_RULE})"
        )
    return text


@lru_cache(1024)  # each request asks more than once, and most ask for few
def parse_reference(raw: str) -> Reference:
    """The canonical form of `slug`, `slug@version` or `slug@label`.

    Raises:
        ValueError: it is none of them; the text says why.
    """
    slug, at, pin = raw.partition("@")
    return Reference(parse_slug(slug), parse_pin(pin) if at else None)
